"""Marks: what stands for a value while Markdown is read, so that no value can mean anything there.

A mark is a number between two characters of Unicode's private-use area, which Markdown takes for letters.
"""

import re
from collections.abc import Sequence

_OPEN, _CLOSE = "\ue000", "\ue001"
SIGNATURE, UNSUBSCRIBE = "\ue002", "\ue003"
# Opens the mark of a value inside a link's address.
_OPEN_URL = "\ue004"
_ANY = re.compile("[\ue000-\ue004]")
VALUE = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
URL_VALUE = re.compile(f"{_OPEN_URL}([0-9]+){_CLOSE}")


def mark(number: int) -> str:
    return f"{_OPEN}{number}{_CLOSE}"


def has_mark(text: str) -> bool:
    """Whether the text holds a character that marks are made of."""
    return _ANY.search(text) is not None


def as_url_mark(value_mark: str) -> str:
    """Convert a value's mark into the mark of the same value inside a link's address."""
    return value_mark.replace(_OPEN, _OPEN_URL)


def as_value_mark(text: str) -> str:
    """Convert all marks inside links' addresses into the marks of their values."""
    return text.replace(_OPEN_URL, _OPEN)


def fill_plainly(source: str, values: Sequence[str]) -> str:
    """Replace each mark by its value, unchanged."""
    return VALUE.sub(lambda found: values[int(found[1])], source)
