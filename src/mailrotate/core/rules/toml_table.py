"""Read typed values from a TOML table, and collect mistakes with their lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from mailrotate.core.rules.toml_lines import Path, line_of
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput

_KINDS = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


def key_of(path: Path) -> str:
    """Format a key's path like `steps[2].text`."""
    return "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


@dataclass
class Report:
    """The mistakes and warnings found so far, each with its line in the campaign's file."""

    file_name: str
    text: str
    lines: Mapping[Path, int]
    problems: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: Path, message: str, *, is_mistake: bool = True) -> None:
        place = f"{self.file_name}:{line_of(path, self.lines)}: {key_of(path)}"
        self.add_elsewhere(path, place, message, is_mistake=is_mistake)

    def place_beside(self, name: str, line: int) -> str:
        """A line of a file that the campaign's file names: its path, as the campaign's file was typed."""
        folder = "" if name.startswith("/") else "".join(self.file_name.rpartition("/")[:2])
        return f"{folder}{name}:{line}"

    def add_elsewhere(self, path: Path, place: str, message: str, *, is_mistake: bool = True) -> None:
        found = self.problems if is_mistake else self.warnings
        found.append((line_of(path, self.lines), f"{place}: {message}"))


def in_order(found: Sequence[tuple[int, str]]) -> list[str]:
    """What was found, by line."""
    return [message for _, message in sorted(found, key=lambda one: one[0])]


@dataclass(frozen=True)
class Table:
    """A table of the file with typed access; values of a wrong type are reported."""

    values: Mapping[str, Any]
    path: Path
    report: Report

    def add(self, key: str, message: str) -> None:
        self.report.add((*self.path, key), message)

    def check_keys(self, allowed: Sequence[str]) -> None:
        for key in self.values:
            if key not in allowed:
                close = get_close_matches(key, allowed, 1, cutoff=0.7)
                hint = f"did you mean '{close[0]}'? " if close else ""
                self.add(key, f"there is no such key; {hint}allowed are {', '.join(allowed)}")

    def text(self, key: str, like: str) -> str | None:
        """A text that is not blank; None if it is missing or wrong."""
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, str) and value.strip():
            return value
        what = "must not be empty" if isinstance(value, str) else f"must be a text, not {kind_of(value)}"
        self.add(key, f'{what}; write {key} = "{like}"')
        return None

    def texts(self, key: str, like: str) -> list[str]:
        value = self.values.get(key, [])
        if isinstance(value, list) and all(isinstance(entry, str) and entry.strip() for entry in value):
            return value
        self.add(key, f'must be a list of texts; write {key} = ["{like}"]')
        return []

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        value = self.values.get(key, default)
        if value in allowed:
            return str(value)
        self.add(key, f"{value!r} is not known; allowed: {', '.join(allowed)}")
        return default

    def address(self, key: str, written: str) -> str | None:
        try:
            return normalise_address(written)
        except BadInput as trouble:
            self.add(key, trouble.message)
            return None


def kind_of(value: object) -> str:
    """The name of a TOML value's type."""
    return _KINDS.get(type(value), "a date or time")
