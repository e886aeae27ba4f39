"""Text from outside, cleaned for a header, a page or a field.

`clean_value` and `is_blank` are the only judges of a field's value: the import, the claim, the preview and
the check all ask them.
"""

import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache

# What nobody sees and no mail should hold, and halves of characters that UTF-8 cannot carry.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HALVES = re.compile("[\ud800-\udfff]")
_FILE_LINE_END = re.compile("\r\n?|\n")
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")

# Letters and symbols of Unicode that are drawn as nothing: Hangul and Khitan fillers, the empty Braille cell,
# blanks of hieroglyphs and of music, and the mark of an object that was lost when a text was copied.
_EMPTY_SIGNS = "\u115f\u1160\u3164\uffa0\u2800\ufffc\U00013441\U00013442\U00016fe4\U0001d159"
# Characters that only steer layout: C1 controls, soft hyphen, zero-width space, word joiner, byte order mark,
# and the marks that turn the direction of the text after them. Spreadsheets and address books leave them in
# copied cells. Joiners and variation selectors stay: scripts and emoji are built with them.
_STEERING = re.compile(
    "[\x80-\x84\x86-\x9f\xad\u180e\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|"
    "[\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001]"
)
_WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_TRAILING = f"{_WHITE_SPACE}{_EMPTY_SIGNS}\u061c\u200e\u200f"
# Without a letter before them, joiners and variation selectors join and vary nothing.
_LEADING = f"{_TRAILING}\u034f\u200c\u200d" + "".join(map(chr, range(0xFE00, 0xFE10)))

_LONG = 1000  # characters


def one_line(text: str) -> str:
    """The text with each run of white space as one blank, and nothing that a header cannot hold."""
    return " ".join(_CONTROL.sub(" ", _HALVES.sub("\ufffd", text)).split())


def plain_lines(text: str) -> str:
    """The text with LF as its only line end, and without control characters other than tabs."""
    return _CONTROL.sub("", _LINE_END.sub("\n", _HALVES.sub("\ufffd", text)))


def clean_value(text: str) -> str:
    """Return a field's value as it is kept and placed: in NFC, trimmed, without invisible characters.

    A blank value becomes ''.
    """
    # Nearly every cell takes the short ways, and a file has millions of them.
    if text.isprintable():
        if text.isascii():
            return text.strip()
    else:
        text = _STEERING.sub("", plain_lines(text))
    seen = composed(text).lstrip(_LEADING).rstrip(_TRAILING)
    return "" if is_blank(seen) else seen


def clean_values(texts: Sequence[str]) -> list[str]:
    """Return the `clean_value` of each text; faster than a call for each where all are plain ASCII."""
    joined = "".join(texts)
    plain = joined.isascii() and joined.isprintable()
    return list(map(str.strip if plain else clean_value, texts))


def composed(text: str) -> str:
    """Return a text in NFC: a letter with a mark can be one character or two, and both look the same."""
    if len(text) > _LONG:
        text = _mark_runs().sub(r"\1", text)
    return unicodedata.normalize("NFC", text)


@cache
def _mark_runs() -> re.Pattern[str]:
    # Sorting the marks of one letter takes quadratic time. No language has more than 30 on one (UAX #15,
    # Stream-Safe Text Format): what follows is cut off.
    marks = "".join(filter(unicodedata.combining, map(chr, range(sys.maxunicode + 1))))
    return re.compile(f"([{marks}]{{30}})[{marks}]+")


def same_name(name: str) -> str:
    """Return the form in which names of fields are compared, from columns, texts and options."""
    # Lower case makes two characters of the Turkish İ, of which no keyboard has the second.
    return composed(name).replace("i\u0307", "i")


def template_lines(text: str) -> list[tuple[int, str]]:
    """The lines of an author's text, cleaned as values are, each with its number in the file, from 1.

    What only looks like a line end to some programs (VT, FF, U+2028) ends a line here, but counts as none.
    """
    return [
        (number, line)
        for number, written in enumerate(_FILE_LINE_END.split(text), 1)
        for line in composed(plain_lines(written)).split("\n")
    ]


def is_blank(text: str) -> bool:
    """Whether a text has no visible character: only white space, controls, joiners, or marks alone."""
    return not any(map(_is_visible, text))


def _is_visible(character: str) -> bool:
    # C: controls and joiners, M: marks on a letter, Z: white space. A private-use character has a glyph in
    # some fonts.
    category = unicodedata.category(character)
    return (category[0] not in "CMZ" or category == "Co") and character not in _EMPTY_SIGNS
