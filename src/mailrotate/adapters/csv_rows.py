"""Read recipients' CSV files (RFC 4180 and its common dialects) as a stream.

A bad line is reported with its number, and reading continues. Only a problem of the whole file (encoding,
header) is an error.
"""

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

from mailrotate.adapters.formulas import unescape
from mailrotate.adapters.text_stream import TextStream, open_text
from mailrotate.core.rules.field_names import (
    EMAIL,
    MOST_COLUMNS,
    ColumnChoice,
    has_known_email,
    name_columns,
)
from mailrotate.core.rules.text import is_blank
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    import _csv

# The csv module's own limit for a cell, in characters. It is global to the process, so we leave it alone
# and count on its default.
LONGEST_CELL = 131_072
_LONGEST_RECORD = 8 * 1024 * 1024  # characters, over all its lines
_DELIMITERS = (",", ";", "\t", "|")  # of two that fit equally well, the first
# Excel's own line before the header names the delimiter.
_SEP_LINE = re.compile(r'"?sep=(?P<delimiter>[^\s"\w]|\t)"?[,;|]*\s*', re.IGNORECASE)
# Some exports begin with a few lines about themselves, as LinkedIn's do.
_MOST_RECORDS_BEFORE_HEADER = 20
_MOST_LINES_OF_HEAD = 60
# How bytes that the encoding does not have come out of the decoder, and the NUL that no text has.
_NO_TEXT = re.compile(r"[\udc80-\udcff\0]")
_IMPORT = Command("recipient", "import", "CAMPAIGN", "FILE")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be used: the line it starts on, its address if known, and the reason."""

    line: int
    problem: str
    email: str | None = None


class _Header(NamedTuple):
    """The cells of a header, the line that ends it, and the delimiter that was found by it."""

    cells: tuple[str, ...]
    last_line: int
    delimiter: str


class CsvRows:
    """The records of one file, after its header; iterate once, in a `with` block.

    `columns` are the names that templates use, `headers` the names in the file; the column with the address
    is always called `email`. Each record is (the line it starts on, its cells) or a BadRow; empty records
    are skipped. `notes` say which columns have another name than in the file, or are left out.
    """

    def __init__(self, text: TextStream, choice: ColumnChoice) -> None:
        self._text = text
        head = _head_of(text)
        header = _find_header(head, choice, text.name)
        named = name_columns(header.cells, choice)
        kept = [index for index, name in enumerate(named.names) if name is not None]
        self.headers, self.delimiter, self.notes = header.cells, header.delimiter, named.notes
        self.columns = tuple(name for name in named.names if name is not None)
        self.email_index = self.columns.index(EMAIL)
        # Cells after the last column that has a name are surplus.
        self._width = kept[-1] + 1
        self._email_cell = kept[self.email_index]
        self._pick = None if len(kept) == self._width else _picking(kept)
        self._first_line = header.last_line
        self._lines = itertools.chain(head[header.last_line :], text.lines)

    def __iter__(self) -> Iterator[tuple[int, list[str]] | BadRow]:
        """Yield the records. Raises BadInput (`csv.encoding`, `csv.line_too_long`)."""
        record = _Record(self._lines, self.delimiter, self._text.name)
        reader = _reader(record, self.delimiter)
        width, email, pick, text = self._width, self._email_cell, self._pick, self._text
        start = self._first_line + 1
        while True:
            try:
                for cells in reader:
                    if record.has_apostrophe:
                        cells = list(map(unescape, cells))
                    if len(cells) == width and cells[email].strip() and not text.suspicious:
                        yield start, cells if pick is None else pick(cells)
                    elif any(map(str.strip, cells)):
                        yield self._examine(start, cells)
                    record.end()
                    start = self._first_line + reader.line_num + 1
                return
            except csv.Error as trouble:
                # The reader starts a new record with the next line.
                last = self._first_line + reader.line_num
                repaired = _without_blanks_after_quotes(record.lines, self.delimiter)
                yield _broken(start, last, trouble) if repaired is None else self._examine(start, repaired)
                record.end()
                start = last + 1

    def _examine(self, line: int, cells: list[str]) -> tuple[int, list[str]] | BadRow:
        if bad := _NO_TEXT.search("".join(cells)):
            number = next(number for number, cell in enumerate(cells, start=1) if bad[0] in cell)
            what = "a NUL byte" if bad[0] == "\0" else f"bytes that are not {self._text.encoding}"
            return BadRow(line, f"{what} in cell {number}")
        width = self._width
        if len(cells) > width and not all(map(is_blank, cells[width:])):
            address = cells[self._email_cell]
            return BadRow(line, f"{len(cells)} cells, but the header names {width} columns", address)
        # Spreadsheets leave blank cells out at the end of a row, or write more of them.
        whole = cells[:width] + [""] * (width - len(cells))
        return line, whole if self._pick is None else self._pick(whole)

    @property
    def read_share(self) -> float | None:
        """How much of the file was read, from 0 to 1; None if its size is unknown."""
        return self._text.read_share

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.close()


class _Record:
    """Hands lines to a reader and keeps those of the record that it is reading."""

    def __init__(self, lines: Iterable[str], delimiter: str, name: str) -> None:
        self._lines = lines
        self._name = name
        self._delimiter = delimiter
        self.end()

    def end(self) -> None:
        self.lines: list[str] = []
        self.size = 0
        self.has_apostrophe = False

    def __iter__(self) -> Iterator[str]:
        blanks = _blanks_before_quote(self._delimiter)
        for line in self._lines:
            self.size += len(line)
            if self.size > _LONGEST_RECORD:
                raise BadInput(
                    "csv.line_too_long",
                    f"one record of {self._name} is longer than {_LONGEST_RECORD:,} characters",
                )
            if '"' in line:
                line = blanks.sub(_as_spaces, line)
            self.lines.append(line)
            if "'" in line:
                self.has_apostrophe = True
            yield line


def open_rows(
    source: Path | BinaryIO,
    choice: ColumnChoice | None = None,
    encoding: str | None = None,
    again: Command = _IMPORT,
) -> CsvRows:
    """Read the header of a file, or of a binary stream such as standard input (which stays open).

    Raises as `open_text`, and BadInput: `csv.empty`, `csv.header`, `csv.no_email`, `csv.no_column`.
    """
    text = open_text(source, encoding, again)
    try:
        return CsvRows(text, choice or ColumnChoice())
    except BaseException:
        text.close()
        raise


def _reader(lines: Iterable[str], delimiter: str) -> "_csv.Reader":
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _picking(kept: Sequence[int]) -> Callable[[list[str]], list[str]]:
    return lambda cells: [cells[index] for index in kept]


# --- the header


def _head_of(text: TextStream) -> list[str]:
    """Read so many lines that the header is among them."""
    head: list[str] = []
    size = 0
    for line in itertools.islice(text.lines, _MOST_LINES_OF_HEAD):
        head.append(line)
        size += len(line)
        if size > _LONGEST_RECORD:
            break
    return head


def _find_header(head: Sequence[str], choice: ColumnChoice, name: str) -> _Header:
    """Find the record with the address column, and the delimiter that gives it the most cells."""
    first = next((index for index, line in enumerate(head) if line.strip()), 0)
    said = _SEP_LINE.fullmatch(head[first]) if head else None
    skipped = 0 if said is None else first + 1
    found: list[_Header] = []
    trouble: csv.Error | None = None
    for delimiter in _DELIMITERS if said is None else (said["delimiter"],):
        try:
            found += _header_by(head, skipped, delimiter, choice)
        except csv.Error as error:
            trouble = trouble or error
    if not found and trouble is None:
        raise BadInput("csv.empty", f"{name} is empty: it needs a header line with a column 'email'")
    if not found:
        raise BadInput("csv.header", f"the header line of {name} cannot be read: {trouble}")
    header = max(found, key=lambda one: (has_known_email(one.cells, choice), len(one.cells)))
    if len(header.cells) > MOST_COLUMNS:
        raise BadInput(
            "csv.header",
            f"the header line of {name} has {len(header.cells):,} columns; at most {MOST_COLUMNS:,} are read",
        )
    if _NO_TEXT.search("".join(header.cells)):
        raise BadInput("csv.header", f"the header line of {name} contains bytes that are not text")
    return header


def _header_by(head: Sequence[str], skipped: int, delimiter: str, choice: ColumnChoice) -> Iterator[_Header]:
    """The first record with an address column, else the first record; none in a file without text."""
    blanks = _blanks_before_quote(delimiter)
    reader = _reader((blanks.sub(_as_spaces, line) for line in head[skipped:]), delimiter)
    first: _Header | None = None
    try:
        for cells in itertools.islice(filter(_has_text, reader), _MOST_RECORDS_BEFORE_HEADER):
            header = _Header(tuple(cells), skipped + reader.line_num, delimiter)
            first = first or header
            if len(cells) > MOST_COLUMNS or has_known_email(cells, choice):
                yield header
                return
    except csv.Error:
        if first is None:
            raise
    if first is not None:
        yield first


def _has_text(cells: Sequence[str]) -> bool:
    return any(map(str.strip, cells))


# --- blanks around quotes


def _blanks_before_quote(delimiter: str) -> re.Pattern[str]:
    """What stands between a delimiter and a quote: the csv module skips spaces there and nothing else."""
    return re.compile(
        rf'(?:^|(?<={re.escape(delimiter)}))(?:[^\S\r\n{re.escape(delimiter)}]|[\u200b\u2060\ufeff])+(?=")'
    )


def _as_spaces(blanks: re.Match[str]) -> str:
    return " " * len(blanks[0])


def _without_blanks_after_quotes(lines: Sequence[str], delimiter: str) -> list[str] | None:
    """Read the lines of one record again, without what stands between a quote and a delimiter."""
    after = re.compile(rf'(?<=")[^\S\r\n{re.escape(delimiter)}]+(?={re.escape(delimiter)}|[\r\n]|\Z)')
    try:
        (cells,) = _reader([after.sub("", line) for line in lines], delimiter)
    except (csv.Error, ValueError):
        return None
    return list(map(unescape, cells))


def _broken(first: int, last: int, trouble: csv.Error) -> BadRow:
    skipped = f"; lines {first} to {last} were skipped" if last > first else ""
    return BadRow(first, f"its quotes or cells cannot be read: {trouble}{skipped}")
