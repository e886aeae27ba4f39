"""Tables for people: aligned text in a pipe, and what fits of it on a terminal.

On a terminal a row takes one line. Columns that a command can do without are left out until the others have
room, and a line below the table names them; then prose is cut. A link, an id, a name or an instant is never
cut, because people copy them, and of addresses only a very long one beside the id of its row. If a row still
does not fit, its cells stand below each other.

A long table is printed in pages, so that its memory does not grow with its rows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.table import Table

CELL_GAP = "  "
# An address, a link, an instant, an id or a name, and nothing else.
_COPIED = re.compile(r"\S*(?:@|://)\S*|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\S{1,40}")
_ADDRESS = re.compile(r"[^\s/]+@\S+")
# Columns are left out until longer prose shows at least this much, unless it goes on in further lines,
_READABLE = 40
# and if that does not help, it is cut to no less than this.
_SHORT = 18
# At last an address beside the id of its row is cut to this: one long address must not break up a whole list.
_LONG_ADDRESS = 40
# Few lists are longer, so that their columns keep one width.
_PAGE = 1_000

Page: TypeAlias = list[Sequence[str]]


def pages(rows: Iterable[Sequence[str]]) -> Iterator[Page]:
    """Read rows as they are needed, a page at a time."""
    left = iter(rows)
    while page := list(islice(left, _PAGE)):
        yield page


def aligned(columns: Sequence[str], found: Iterable[Page]) -> Iterator[str]:
    """The lines of a table with every column in its full width; a later page only makes columns wider."""
    widths = [0] * len(columns)
    heading = [[_capitals(column) for column in columns]]
    for page in found:
        lines, heading = [*heading, *page], []
        widths = [max(width, *(len(line[index]) for line in lines)) for index, width in enumerate(widths)]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            yield CELL_GAP.join(cells).rstrip()


def stacked(names: Sequence[str], values: Sequence[str]) -> Iterator[str]:
    """The lines that show names and values below each other."""
    width = max(map(len, names), default=0)
    for name, value in zip(names, values, strict=True):
        yield f"{name:<{width}}{CELL_GAP}{value}"


def _capitals(column: str) -> str:
    """All but what stands in brackets, such as a zone."""
    name, bracket, rest = column.partition(" (")
    return name.upper() + bracket + rest


def print_on_terminal(
    columns: Sequence[str], rows: Sequence[Sequence[str]], drop: Sequence[str], *, whole: bool
) -> None:
    """Print the columns that fit; `drop` are those to leave out, the least important first.

    With `whole`, prose goes on in further lines and is not cut.
    """
    from rich.console import Console
    from rich.rule import Rule

    console = Console()
    widths = _widths(columns, rows, drop, console.width, _SHORT if whole else _READABLE)
    if _taken(widths) > console.width:
        told = "\n\n".join("\n".join(stacked(columns, row)) for row in rows)
        console.print(told, markup=False, highlight=False, soft_wrap=True)
        return
    console.print(_table(widths, [columns], whole=True), style="bold")
    console.print(Rule(style="none"))
    console.print(_table(widths, rows, whole=whole))
    left_out = [_name(column) for index, column in enumerate(columns) if index not in widths]
    if left_out:
        note = f"not shown at this width: {', '.join(left_out)}; --json shows everything"
        console.print(note, style="dim", highlight=False, soft_wrap=True)


def _name(column: str) -> str:
    """A column's name without what stands in brackets, such as a zone."""
    return column.partition(" (")[0]


def _widths(
    columns: Sequence[str], rows: Sequence[Sequence[str]], drop: Sequence[str], room: int, prose: int
) -> dict[int, int]:
    """The shown columns with their widths; columns are left out until prose shows `prose` characters."""
    readable = _narrowest(columns, rows, prose)
    shown = dict(readable)
    names = list(map(_name, columns))
    dropped = []
    for index in map(names.index, drop):
        if _taken(shown) > room:
            del shown[index]
            dropped.append(index)
    # Where a wide one had to go, a narrow one may still have room.
    for index in reversed(dropped):
        if _taken(shown) + len(CELL_GAP) + readable[index] <= room:
            shown[index] = readable[index]
    widths = {index: max(_length(row[index]) for row in (columns, *rows)) for index in sorted(shown)}
    short, cut = _narrowest(columns, rows, _SHORT), _narrowest(columns, rows, _SHORT, cut=True)
    narrowest = next((each for each in (readable, short) if _taken({i: each[i] for i in shown}) <= room), cut)
    while _taken(widths) > room:
        shrinkable = [index for index, width in widths.items() if width > narrowest[index]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=lambda index: widths[index])] -= 1
    return widths


def _taken(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + len(CELL_GAP) * (len(widths) - 1)


def _narrowest(
    columns: Sequence[str], rows: Sequence[Sequence[str]], prose: int, *, cut: bool = False
) -> dict[int, int]:
    """The least width of each column: of prose no less than `prose`; addresses are whole unless `cut`."""

    def least(text: str, index: int) -> int:
        length = _length(text)
        if cut and index and _ADDRESS.fullmatch(text):
            return min(length, _LONG_ADDRESS)
        return length if _COPIED.fullmatch(text) else min(length, prose)

    # A head may take two lines.
    heads = {index: min(_length(column), _SHORT) for index, column in enumerate(columns)}
    return {index: max(head, *(least(row[index], index) for row in rows)) for index, head in heads.items()}


def shortened(address: str, width: int) -> str:
    """Cut an address in the middle: both the name and the domain tell it from others."""
    if len(address) <= width:
        return address
    end = (width - 1) // 2
    return f"{address[: width - 1 - end]}…{address[len(address) - end :]}"


def _length(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _table(widths: Mapping[int, int], rows: Iterable[Sequence[str]], *, whole: bool) -> "Table":
    """Build a table of the given columns of the rows, each at its given width."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, len(CELL_GAP), 0, 0))
    for width in widths.values():
        table.add_column(width=width, overflow="fold" if whole else "ellipsis", no_wrap=not whole)
    for row in rows:
        # Text, not markup: a stranger's square brackets are letters.
        cells = [Text(row[index]) for index in widths]
        for cell, width in zip(cells, widths.values(), strict=True):
            if _ADDRESS.fullmatch(cell.plain):
                # Folded, its end would look like another word.
                cell.plain = shortened(cell.plain, width)
        table.add_row(*cells)
    return table
