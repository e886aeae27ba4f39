"""Text from strangers, made fit for a line or for a page."""

import re
import unicodedata

# What nobody sees and no mail should hold, and halves of characters that UTF-8 cannot carry.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HALVES = re.compile("[\ud800-\udfff]")
_FILE_LINE_END = re.compile("\r\n?|\n")
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


def one_line(text: str) -> str:
    """The text with each run of white space as one blank, and nothing that a header cannot hold."""
    return " ".join(_CONTROL.sub(" ", _HALVES.sub("\ufffd", text)).split())


def plain_lines(text: str) -> str:
    """The text with LF as its only line end, and without control characters other than tabs."""
    return _CONTROL.sub("", _LINE_END.sub("\n", _HALVES.sub("\ufffd", text)))


def template_lines(text: str) -> list[tuple[int, str]]:
    """The lines of an author's text, cleaned as values are, each with its number in the file, from 1.

    What only looks like a line end to some programs (VT, FF, U+2028) ends a line here, but counts as none.
    """
    return [
        (number, line)
        for number, written in enumerate(_FILE_LINE_END.split(text), 1)
        for line in unicodedata.normalize("NFC", plain_lines(written)).split("\n")
    ]
