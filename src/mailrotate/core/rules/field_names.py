"""The names of fields: what the column of a file is called in a template, and which column has the address.

The headers that exporters write are `column_names.toml`, dated and with their sources.
"""

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from mailrotate.core.rules.template_language import field_name, usable_name
from mailrotate.core.rules.text import composed
from mailrotate.core.values.errors import BadInput

EMAIL = "email"
# As many as a spreadsheet has at most.
MOST_COLUMNS = 16_384
_ADDRESS = re.compile(r"[^\s@]{1,64}@[^\s@.]+\.[^\s@]+")


@dataclass(frozen=True)
class ColumnChoice:
    """What is known of a file's columns: `mapped` gives headers their fields, `used` the text's fields."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    email_column: str | None = None
    used: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Columns:
    """The field of each column, None for one that is left out, and what there is to say about it."""

    names: tuple[str | None, ...]
    notes: tuple[str, ...]


def has_known_email(headers: Sequence[str], choice: ColumnChoice) -> bool:
    """Whether these are the cells of a header: one of them is the address column that is chosen, or known."""
    written = [field_name(header) for header in headers[:MOST_COLUMNS]]
    try:
        chosen = _chosen_email(headers, written, choice)
    except BadInput:
        return False
    return chosen is not None or not set(_groups()[EMAIL]).isdisjoint(written)


def name_columns(headers: Sequence[str], choice: ColumnChoice) -> Columns:
    """Name the columns of a file, at most `MOST_COLUMNS`.

    Raises BadInput: `csv.no_header`, `csv.no_email`, `csv.header`, `csv.no_column` (a column of `choice` that
    is not there).
    """
    if found := next(filter(_ADDRESS.fullmatch, headers), None):
        raise BadInput(
            "csv.no_header",
            f"the file begins with a recipient ('{found[:80]}'), not with the names of its columns",
            "put a line with column names above it, such as: email,first_name",
        )
    written = [field_name(header) for header in headers]
    names: list[str | None] = [usable_name(header) or None for header in headers]
    fixed = {_find(headers, written, column): name for column, name in choice.mapped.items()}
    address = _email_index(headers, written, choice)
    if address is None:
        raise BadInput(
            "csv.no_email",
            f"no column has the addresses; the columns are: {', '.join(map(shown, headers[:40]))}",
            "name it: --email-column COLUMN",
        )
    fixed[address] = EMAIL
    for index, name in fixed.items():
        names[index] = name
    names = _with_aliases(names, fixed.keys(), choice.used)
    problems = list(_doubled(headers, names, fixed, choice.used))
    if problems:
        raise BadInput(
            "csv.header",
            "the text uses a field that several columns have",
            "choose one of them: --map COLUMN=FIELD (COLUMN is its header or its number)",
            problems,
        )
    _number_doubles(names, fixed)
    return Columns(tuple(names), tuple(_notes(headers, names)))


def _email_index(headers: Sequence[str], written: Sequence[str], choice: ColumnChoice) -> int | None:
    chosen = _chosen_email(headers, written, choice)
    if chosen is not None:
        return chosen
    known = next((name for name in _groups()[EMAIL] if name in written), None)
    if known is not None:
        same = _all(written, known)
        plain = [index for index in same if headers[index] == known]
        if len(same) > 1 and len(plain) != 1:
            raise _several(headers[same[0]], same)
        return (plain or same)[0]
    # The header of an exporter that the list does not have, if there is no choice.
    likely = [index for index, name in enumerate(written) if re.search(r"(^|_)e_?mail(_address)?$", name)]
    return likely[0] if len(likely) == 1 else None


def _chosen_email(headers: Sequence[str], written: Sequence[str], choice: ColumnChoice) -> int | None:
    mapped = (column for column, name in choice.mapped.items() if name == EMAIL)
    column = choice.email_column or next(mapped, None)
    return None if column is None else _find(headers, written, column)


def _all(written: Sequence[str], name: str) -> list[int]:
    return [index for index, each in enumerate(written) if each == name]


def _find(headers: Sequence[str], written: Sequence[str], column: str) -> int:
    """Find a column by its header, by its name in templates, or by its number from 1."""
    wanted = composed(column).strip()
    exact = [index for index, header in enumerate(headers) if composed(header).strip() == wanted]
    found = exact or (_all(written, name) if (name := field_name(column)) else [])
    if not found and column.isascii() and column.isdigit() and 0 < int(column[:9]) <= len(headers):
        return int(column) - 1
    if len(found) == 1:
        return found[0]
    if found:
        raise _several(column, found)
    columns = ", ".join(map(shown, headers[:40]))
    raise BadInput("csv.no_column", f"there is no column {shown(column)}; the columns are: {columns}")


def _several(column: str, indexes: Sequence[int]) -> BadInput:
    numbers = ", ".join(str(index + 1) for index in indexes)
    return BadInput(
        "csv.no_column",
        f"several columns are named {shown(column)}: {numbers}",
        "name one by its number: --email-column NUMBER, or --map NUMBER=FIELD",
    )


def _with_aliases(
    names: Sequence[str | None], fixed: Iterable[int], used: frozenset[str]
) -> list[str | None]:
    """Let a field of the text that no column has be the column that an exporter calls differently."""
    named = list(names)
    for missing in sorted(used - set(names)):
        group = next((group for group in _groups().values() if missing in group), ())
        for alias in group:
            if alias in named and alias not in used and (index := named.index(alias)) not in fixed:
                named[index] = missing
                break
    return named


def _doubled(
    headers: Sequence[str],
    names: Sequence[str | None],
    fixed: Mapping[int, str],
    used: frozenset[str],
) -> Iterator[str]:
    counts = Counter(name for name in names if name is not None)
    for name in sorted(used & counts.keys()):
        if counts[name] > 1 and name not in fixed.values():
            columns = (f"{i + 1} {shown(headers[i])}" for i, each in enumerate(names) if each == name)
            yield f"'{name}' (columns {', '.join(columns)})"


def _number_doubles(names: list[str | None], fixed: Mapping[int, str]) -> None:
    """Give each name once: the first column keeps it, or the one that was chosen for it."""
    taken = {name: index for index, name in fixed.items()}
    for index, name in enumerate(names):
        if name is not None:
            taken.setdefault(name, index)
    last = dict.fromkeys(taken, 1)
    for index, name in enumerate(names):
        if name is not None and taken[name] != index:
            number = last[name] + 1
            while f"{name}_{number}" in taken:
                number += 1
            last[name] = number
            names[index] = new = f"{name}_{number}"
            taken[new] = index
            last[new] = 1


def _notes(headers: Sequence[str], names: Sequence[str | None]) -> Iterator[str]:
    nameless = [str(number) for number, name in enumerate(names, start=1) if name is None]
    if nameless:
        more = f" and {len(nameless) - 10} more" if len(nameless) > 10 else ""
        several = len(nameless) > 1
        yield (
            f"{'columns' if several else 'column'} {', '.join(nameless[:10])}{more} "
            f"{'have' if several else 'has'} no name and {'are' if several else 'is'} left out"
        )
    counts = Counter(headers)
    for number, (header, name) in enumerate(zip(headers, names, strict=True), start=1):
        if name is not None and name != header:
            column = f"column {number} ({shown(header)})" if counts[header] > 1 else f"column {shown(header)}"
            yield (
                f"{column} has the addresses" if name == EMAIL else f"{column} is the field {{{{ {name} }}}}"
            )


def shown(header: str) -> str:
    """Shorten a text from outside and put it on one line."""
    return repr(header[:40])


@cache
def _groups() -> dict[str, list[str]]:
    text = (files("mailrotate.core.rules") / "column_names.toml").read_text(encoding="utf-8")
    groups = tomllib.loads(text)["groups"]
    return {name: [unicodedata.normalize("NFC", each) for each in names] for name, names in groups.items()}
