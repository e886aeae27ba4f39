"""Text from a file or a pipe, in bounded memory: its encoding, and what is no text at all.

A file is refused once, with the encoding that it seems to have, instead of line by line.
"""

import codecs
import io
import os
import re
import stat
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command

# Bytes; a file without line ends would otherwise be read into memory whole.
_LONGEST_LINE = 8 * 1024 * 1024
_BLOCK = 256 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose mark is its beginning.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The codecs that a file may be said to have by `--encoding` are Python's, but not those for other purposes.
_NO_CHARSETS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"}
# Of encodings that explain the bytes equally well, the first.
_LIKELY = (
    "cp1252", "cp1250", "mac_roman", "cp850", "cp1251", "cp1254", "cp1253", "cp932", "gb18030", "big5",
    "euc_jp", "cp949", "koi8_r", "cp1255",
)  # fmt: skip
_PAIR = 2
# How a byte that is not UTF-8 comes out of the decoder.
_BROKEN = re.compile("[\udc80-\udcff]")
_WORD = re.compile(r"[^\W\d_]+")
# Signs between letters, and letters that outside Iceland mostly come from reading Turkish wrongly.
_ODD = re.compile(r"(?<=[^\W\d_])[^\x00-\x7f\w\s’·](?=[^\W\d_])|[ÝÞðýþ]")

# The first bytes of files that spreadsheets and address books write, with how each becomes a CSV file.
_SAVE_AS = (
    "in the spreadsheet program, choose File > Save As (or Download), format 'CSV UTF-8', and import that"
)
_NUMBERS = "in Numbers, choose File > Export To > CSV with the encoding UTF-8, and import that file"
_UNPACK = "unpack it and import the CSV file in it"
_EXPORT = "export it again as CSV"
_ZIPS = (
    (b"xl/", "an Excel workbook (.xlsx)", _SAVE_AS),
    (b"opendocument.spreadsheet", "an OpenDocument spreadsheet (.ods)", _SAVE_AS),
    (b".iwa", "a Numbers spreadsheet (.numbers)", _NUMBERS),
    (b"word/", "a Word document (.docx)", _EXPORT),
)
_FORMATS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)", _SAVE_AS),
    (b"%PDF", "a PDF document", _EXPORT),
    (b"\x1f\x8b", "a compressed file (.gz)", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a compressed file (.7z)", _UNPACK),
    (b"SQLite format 3\0", "a SQLite database", _EXPORT),
    (b"{\\rtf", "a document in Rich Text Format (.rtf)", _EXPORT),
    (b"BEGIN:VCARD", "a file of vCards (.vcf)", _EXPORT),
)


class TextStream:
    """A text file being read; use it in a `with` block, which closes the file but not standard input.

    `lines` gives the text. A byte that the encoding does not have comes out as a lone surrogate, a NUL as it
    is; `suspicious` is true from the first block on that may hold one.
    """

    def __init__(
        self, stream: BinaryIO, name: str, close: Callable[[], None], encoding: str | None, again: Command
    ) -> None:
        self.name = name
        self.total_bytes = _size_of(stream)
        self._close = close
        self._bytes = _WatchedBytes(stream, name, encoding, again)
        self.encoding = self._bytes.encoding
        buffered = io.BufferedReader(self._bytes, _BLOCK)
        # newline="": CR, LF and CRLF all end a line, and stay unchanged inside quotes.
        self.lines = io.TextIOWrapper(buffered, encoding=self.encoding, errors="surrogateescape", newline="")

    @property
    def read_bytes(self) -> int:
        """Bytes read so far, for showing progress against `total_bytes`."""
        return self._bytes.read_bytes

    @property
    def suspicious(self) -> bool:
        return self._bytes.suspicious

    @property
    def read_share(self) -> float | None:
        """How much of the file was read, from 0 to 1; None if its size is unknown."""
        return self.read_bytes / self.total_bytes if self.total_bytes else None

    def close(self) -> None:
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _WatchedBytes(io.RawIOBase):
    """Counts the bytes read from a stream, and notices problems that csv and the decoder accept."""

    def __init__(self, stream: BinaryIO, name: str, encoding: str | None, again: Command) -> None:
        self._stream = stream
        self._name = name
        self._again = again
        self._start = self._unread = stream.read(_BLOCK)
        _refuse_other_formats(self._start, name)
        marked = next((codec for mark, codec in _BOMS if self._start.startswith(mark)), None)
        self.encoding = encoding or marked or "UTF-8"
        self._is_utf8 = self.encoding in ("UTF-8", "utf-8", "utf-8-sig")
        self._is_broken = False  # from the first block on that is not UTF-8, or holds a NUL
        if self._is_utf8:
            self._refuse_utf16()
        self._line_bytes = 0
        self._check = codecs.getincrementaldecoder("utf-8")()
        self.read_bytes = 0

    @property
    def suspicious(self) -> bool:
        return not self._is_utf8 or self._is_broken

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        block = self._unread or self._stream.read(len(buffer))
        block, self._unread = block[: len(buffer)], block[len(buffer) :]
        self.read_bytes += len(block)
        if not self.suspicious:
            try:
                self._check.decode(block, final=not block)
            except UnicodeDecodeError:
                self._refuse_other_encoding(block)
                self._is_broken = True
            self._is_broken |= b"\0" in block
        self._limit_line(block)
        buffer[: len(block)] = block
        return len(block)

    def _limit_line(self, block: bytes) -> None:
        end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line_bytes = len(block) - end - 1 if end >= 0 else self._line_bytes + len(block)
        if self._line_bytes > _LONGEST_LINE:
            raise BadInput(
                "csv.line_too_long",
                f"the line that reaches byte {self.read_bytes:,} of {self._name} is longer than "
                f"{_LONGEST_LINE:,} bytes: this is not a list of people",
            )

    def _refuse_utf16(self) -> None:
        """Refuse UTF-16 without its mark, by the NUL that each ASCII letter has there."""
        start = self._start
        head = start[: _PAIR * (len(start) // _PAIR)][:1000]
        for encoding, letters, nuls in (
            ("utf-16-le", head[::2], head[1::2]),
            ("utf-16-be", head[1::2], head[::2]),
        ):
            if nuls and 2 * nuls.count(0) > len(nuls) and 0 not in letters:
                raise self._refusal(encoding, head.decode(encoding, "replace"))

    def _refuse_other_encoding(self, block: bytes) -> None:
        """Refuse a file that is not UTF-8; one that is, except for a few lines, is read without these."""
        sample = block if self.read_bytes == len(block) else self._start + block
        decoded = sample.decode("utf-8", "surrogateescape")
        broken_count = len(_BROKEN.findall(decoded))
        if sum(not character.isascii() for character in decoded) - broken_count <= broken_count:
            raise self._refusal(*_guess(sample))

    def _refusal(self, encoding: str, text: str) -> BadInput:
        example = next((line for line in text.splitlines() if not line.isascii()), text.partition("\n")[0])
        return BadInput(
            "csv.encoding",
            f"{self._name} is not UTF-8; it seems to be {encoding}, "
            f"in which a line reads {example.strip()[:60]!r}",
            Command(*self._again.words, "--encoding", encoding),
        )


def read_encoding(name: str) -> str:
    """Return the name of a character encoding that Python knows. Raises BadInput (`encoding.unknown`)."""
    try:
        found = codecs.lookup(name)
        found.incrementaldecoder("strict").decode(b"")
    except (LookupError, TypeError, UnicodeError, ValueError):
        found = None
    if found is None or not _is_charset(found):
        raise BadInput(
            "encoding.unknown",
            f"there is no encoding {name[:40]!r}",
            "usual ones are utf-8, utf-16, cp1252 (Western Windows), cp1250, mac_roman, cp932, gb18030",
        )
    return found.name


def _is_charset(found: codecs.CodecInfo) -> bool:
    # `rot13` gives text for text, `zlib` bytes for bytes: only an encoding gives text for bytes.
    try:
        b"a".decode(found.name, "replace")
    except (LookupError, UnicodeError):
        return False
    return found.name.replace("_", "-") not in _NO_CHARSETS


def open_text(source: Path | BinaryIO, encoding: str | None, again: Command) -> TextStream:
    """Open a text file, or a binary stream such as standard input (which stays open).

    `again` is the command being run, for the refusal that adds `--encoding` to it. Raises NotFound
    (`csv.not_found`) and BadInput: `csv.unreadable`, `csv.encoding`, `csv.format`, `encoding.unknown`; while
    reading, `csv.encoding` and `csv.line_too_long`.
    """
    named = None if encoding is None else read_encoding(encoding)
    if not isinstance(source, Path):
        return TextStream(source, "standard input", lambda: None, named, again)
    stream = _open_file(source)
    try:
        return TextStream(stream, str(source), stream.close, named, again)
    except BaseException:
        stream.close()
        raise


def _open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise NotFound("csv.not_found", f"there is no file {path}") from None
    except (OSError, ValueError) as trouble:
        said = getattr(trouble, "strerror", None) or trouble
        raise BadInput("csv.unreadable", f"cannot read {path}: {said}") from None


def _size_of(stream: BinaryIO) -> int | None:
    """Return the size in bytes; None if it is unknown, as for a pipe."""
    try:
        status = os.fstat(stream.fileno())
    except OSError:  # io.UnsupportedOperation is an OSError: a stream in memory
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _refuse_other_formats(start: bytes, name: str) -> None:
    zipped = ((mark, what, how) for mark, what, how in _ZIPS if mark in start)
    if start.startswith(b"PK\x03\x04"):
        _, what, how = next(zipped, (b"", "a compressed file (.zip)", _UNPACK))
    else:
        head = start.removeprefix(codecs.BOM_UTF8).lstrip()[:20].upper()
        found = next(((what, how) for mark, what, how in _FORMATS if head.startswith(mark.upper())), None)
        if found is None and head.startswith((b"<HTML", b"<!DOCTYPE", b"<TABLE", b"<?XML")):
            # What many web applications call .xls.
            found = ("a web page (HTML or XML)", _SAVE_AS)
        if found is None:
            return
        what, how = found
    raise BadInput("csv.format", f"{name} is {what}, not a text file", how)


def _guess(sample: bytes) -> tuple[str, str]:
    """Return the encoding that text which is not UTF-8 most likely has, and the text read with it."""
    # Imported here, because nearly no file needs it.
    from charset_normalizer import from_bytes

    # Lines in ASCII say nothing, and there may be many of them.
    telling = b"\n".join([line for line in sample.splitlines() if not line.isascii()][:1000])
    found = {
        encoding: (_oddness(str(match)), round(20 * match.chaos), _LIKELY.index(encoding), str(match))
        for match in from_bytes(telling, cp_isolation=list(_LIKELY), threshold=0.5)
        for encoding in (match.encoding, *match.could_be_from_charset)
        if encoding in _LIKELY
    }
    if not found:
        return _LIKELY[0], telling.decode(_LIKELY[0], "replace")
    best = min(found, key=found.__getitem__)
    return best, found[best][3]


def _oddness(text: str) -> int:
    """Count what a wrong encoding makes of words, which the library overlooks: capitals and signs inside."""
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    mixed = sum(word not in (word.lower(), word.upper(), word.title()) for word in words)
    signs = sum(
        before.isalpha() and not sign.isascii() and unicodedata.category(sign)[0] in "SC"
        for before, sign in pairwise(text)
    )
    return mixed + signs + len(_ODD.findall(text))
