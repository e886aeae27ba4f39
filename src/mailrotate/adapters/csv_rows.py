"""Read recipients' CSV files (RFC 4180 and its common dialects) as a stream.

A bad line is reported with its number, and reading continues. Only a problem of the whole file (encoding,
header) is an error.
"""

import codecs
import csv
import io
import itertools
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Hint, Shell

# The csv module's own limit for a cell, in characters. It is global to the process, so we leave it alone
# and count on its default.
LONGEST_CELL = 131_072
_LONGEST_LINE = 8 * 1024 * 1024  # bytes; a file without line ends would otherwise be read into memory whole
_BLOCK = 256 * 1024
_DELIMITERS = (",", ";", "\t")  # of two that fit equally well, the first
_EMAIL_NAMES = ("email", "e_mail", "email_address", "e_mail_address")
# How bytes that are not UTF-8 come out of the decoder, and the NUL that no text has.
_NO_TEXT = re.compile(r"[\udc80-\udcff\0]")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that cannot be used: the line it starts on, its address if known, and the reason."""

    line: int
    problem: str
    email: str | None = None


class _WatchedBytes(io.RawIOBase):
    """Counts the bytes read from a stream, and notices problems that csv and the decoder accept."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._line_bytes = 0
        self._check = codecs.getincrementaldecoder("utf-8")()
        self.read_bytes = 0
        self.suspicious = False  # from the first block on that holds a NUL or is not UTF-8

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        block = self._stream.read(len(buffer))
        self.read_bytes += len(block)
        if not self.suspicious:
            try:
                self._check.decode(block, final=not block)
            except UnicodeDecodeError:
                self.suspicious = True
            self.suspicious |= b"\0" in block
        self._limit_line(block)
        buffer[: len(block)] = block
        return len(block)

    def _limit_line(self, block: bytes) -> None:
        end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line_bytes = len(block) - end - 1 if end >= 0 else self._line_bytes + len(block)
        if self._line_bytes > _LONGEST_LINE:
            raise BadInput(
                "csv.line_too_long",
                f"the line that reaches byte {self.read_bytes:,} is longer than "
                f"{_LONGEST_LINE:,} bytes: this is not a CSV file",
            )


class CsvRows:
    """The records of one file, after its header; iterate once, in a `with` block.

    `columns` are the names that templates use, `headers` the names in the file; the column with the address
    is always called `email`. Each record is (the line it starts on, its cells) or a BadRow; empty records
    are skipped.
    """

    def __init__(self, stream: BinaryIO, source: str, close: Callable[[], None]) -> None:
        self.close = close
        self._watched = _WatchedBytes(stream)
        self.total_bytes = _size_of(stream)
        text = _decode(self._watched, source)
        # One copy of the stream for each delimiter that is tried on the header, and one to continue from.
        *trials, lines = itertools.tee(text, len(_DELIMITERS) + 1)
        self.delimiter, self.headers = _find_header(trials, source)
        self.columns = _name_columns(self.headers, source)
        self.email_index = self.columns.index("email")
        self._reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        next(filter(None, self._reader))

    @property
    def read_bytes(self) -> int:
        """Bytes read so far, for showing progress against `total_bytes`."""
        return self._watched.read_bytes

    @property
    def renamed(self) -> dict[str, str]:
        """Headers that have a different name in templates, with that name."""
        return {
            header: column
            for header, column in zip(self.headers, self.columns, strict=True)
            if header != column
        }

    def __iter__(self) -> Iterator[tuple[int, list[str]] | BadRow]:
        """Yield the records. Raises BadInput (`csv.line_too_long`) if the rest cannot be read."""
        reader, watched = self._reader, self._watched
        width, email = len(self.columns), self.email_index
        line = reader.line_num + 1
        while True:
            try:
                for cells in reader:
                    if len(cells) == width and cells[email].strip() and not watched.suspicious:
                        yield line, cells
                    elif any(map(str.strip, cells)):
                        yield self._examine(line, cells)
                    line = reader.line_num + 1
                return
            except csv.Error as trouble:
                # The reader starts a new record with the next line.
                yield _broken(line, reader.line_num, trouble)
                line = reader.line_num + 1

    def _examine(self, line: int, cells: list[str]) -> tuple[int, list[str]] | BadRow:
        if bad := _NO_TEXT.search("".join(cells)):
            number = next(number for number, cell in enumerate(cells, start=1) if bad[0] in cell)
            what = "a NUL byte" if bad[0] == "\0" else "bytes that are not UTF-8"
            return BadRow(line, f"{what} in cell {number}")
        if len(cells) == len(self.columns):
            return line, cells
        address = cells[self.email_index] if len(cells) > self.email_index else None
        return BadRow(line, f"{len(cells)} cells, but the header has {len(self.columns)}", address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_rows(source: Path | BinaryIO) -> CsvRows:
    """Read the header of a file, or of a binary stream such as standard input (which stays open).

    Raises NotFound (`csv.not_found`) and BadInput: `csv.unreadable`, `csv.encoding`, `csv.empty`,
    `csv.header`, `csv.no_email`, `csv.line_too_long`.
    """
    if not isinstance(source, Path):
        return CsvRows(source, "standard input", lambda: None)
    stream = _open_file(source)
    try:
        return CsvRows(stream, str(source), stream.close)
    except BaseException:
        stream.close()
        raise


def _open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise NotFound("csv.not_found", f"there is no file {path}") from None
    except OSError as trouble:
        raise BadInput("csv.unreadable", f"cannot read {path}: {trouble.strerror}") from None


def _size_of(stream: BinaryIO) -> int | None:
    """Return the size in bytes; None if it is unknown, as for a pipe."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # io.UnsupportedOperation is an OSError: a stream in memory
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _decode(watched: _WatchedBytes, source: str) -> io.TextIOWrapper:
    buffered = io.BufferedReader(watched, _BLOCK)
    start = buffered.peek(len(codecs.BOM_UTF8))
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _not_utf8(source, "UTF-16", "UTF-16")
    if start.startswith(codecs.BOM_UTF8):
        buffered.read(len(codecs.BOM_UTF8))
    # Bytes that are not UTF-8 become lone surrogates, found in their row without stopping the reading.
    # newline="": CR, LF and CRLF all end a line, and stay unchanged inside quotes.
    return io.TextIOWrapper(buffered, encoding="utf-8", errors="surrogateescape", newline="")


def _not_utf8(source: str, what: str, encoding: str) -> BadInput:
    file = "FILE" if source == "standard input" else source
    return BadInput(
        "csv.encoding",
        f"{source} is written in {what}, not in UTF-8",
        Hint(Shell("iconv", "-f", encoding, "-t", "UTF-8", file), "> utf8.csv"),
    )


def _find_header(trials: Sequence[Iterator[str]], source: str) -> tuple[str, tuple[str, ...]]:
    """Find the delimiter that gives an address column and the most cells; return it and the cells."""
    found: list[tuple[str, list[str]]] = []
    trouble: csv.Error | None = None
    for delimiter, lines in zip(_DELIMITERS, trials, strict=True):
        try:
            cells = next(filter(None, csv.reader(lines, delimiter=delimiter, strict=True)), None)
        except csv.Error as error:
            trouble = trouble or error
            continue
        if cells is None:
            raise BadInput("csv.empty", f"{source} is empty: it needs a header line with a column 'email'")
        found.append((delimiter, cells))
    if not found:
        raise BadInput("csv.header", f"the header line of {source} cannot be read: {trouble}")
    delimiter, cells = max(found, key=lambda one: (_has_email(one[1]), len(one[1])))
    if bad := _NO_TEXT.search("".join(cells)):
        raise (
            _not_utf8(source, "UTF-16, it seems,", "UTF-16LE")
            if bad[0] == "\0"
            else _not_utf8(source, "another encoding", "WINDOWS-1252")
        )
    return delimiter, tuple(cells)


def _has_email(headers: Sequence[str]) -> bool:
    return any(_field_name(header) in _EMAIL_NAMES for header in headers)


def _field_name(header: str) -> str:
    """Return the name that templates use: `First Name` and `first-name` become `first_name`."""
    # NFC: a letter can be one character or two, and a template's author cannot see the difference.
    return re.sub(r"\W+", "_", unicodedata.normalize("NFC", header).lower()).strip("_")


def _name_columns(headers: Sequence[str], source: str) -> tuple[str, ...]:
    names = [_field_name(header) for header in headers]
    address = next((name for name in _EMAIL_NAMES if name in names), None)
    if address is None:
        raise BadInput(
            "csv.no_email",
            f"{source} has no column 'email'; its columns are: {', '.join(map(_shown, headers))}",
            "name the column with the addresses 'email' in the header line",
        )
    names[names.index(address)] = "email"
    problems = [f"column {number} has no name" for number, name in enumerate(names, start=1) if not name]
    for name, count in Counter(filter(None, names)).items():
        if count > 1:
            written = (_shown(header) for header, each in zip(headers, names, strict=True) if each == name)
            problems.append(f"{count} columns are named '{name}': {', '.join(written)}")
    if problems:
        raise BadInput(
            "csv.header",
            f"the header line of {source} cannot be used: {'; '.join(problems)}",
            "give each column a name of its own in the header line",
            problems,
        )
    return tuple(names)


def _shown(header: str) -> str:
    """Shorten a text from outside and put it on one line."""
    return repr(header[:40])


def _broken(first: int, last: int, trouble: csv.Error) -> BadRow:
    skipped = f"; lines {first} to {last} were skipped" if last > first else ""
    return BadRow(first, f"its quotes or cells cannot be read: {trouble}{skipped}")
