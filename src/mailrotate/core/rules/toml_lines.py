"""Find the line of each key in a TOML text; `tomllib` returns values without their lines."""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_LONG_STRING = re.compile("\"\"\"|'''")
_NAME = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def key_lines(text: str) -> dict[Path, int]:
    """Map each table header and key to its line, counted from 1; array indexes count from 0.

    Expects text that `tomllib` accepts; for other text the result is a best effort.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    inside = None
    for number, line in enumerate(text.splitlines(), 1):
        if inside is None:
            if header := _HEADER.match(line):
                table = _table(header, counts)
                found.setdefault(table, number)
                if isinstance(table[-1], int):
                    found.setdefault(table[:-1], number)
            elif key := _KEY.match(line):
                found.setdefault((*table, *_names(key[1])), number)
        inside = _string_after(line, inside)
    return found


def line_of(path: Path, lines: Mapping[Path, int]) -> int:
    """The line of a key, or of the nearest enclosing table that has one."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 1


def _table(header: re.Match[str], counts: dict[Path, int]) -> Path:
    path: Path = ()
    names = _names(header[2])
    for depth, name in enumerate(names, 1):
        path = (*path, name)
        if header[1] == "[[" and depth == len(names):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(name.strip("\"'") for name in _NAME.findall(dotted))


def _string_after(line: str, inside: str | None) -> str | None:
    """The quotes of the long string that is open at the end of a line."""
    for quotes in _LONG_STRING.finditer(line):
        if inside is None:
            inside = quotes[0]
        elif inside == quotes[0]:
            inside = None
    return inside
