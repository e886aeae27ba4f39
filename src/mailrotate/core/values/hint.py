"""Hints as values: what a person can do next. The CLI quotes them and puts them into words."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Command:
    """A command line as its words, without the program's name.

    A word in capitals (`ADDRESS`, `FILE`, `KEY=VALUE`) stands for a value that the person fills in.
    """

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)


@dataclass(frozen=True)
class Ask:
    """A command that the acting user may not run, with the users who may: (address, role), best first."""

    users: tuple[tuple[str, str], ...]
    command: Command


@dataclass(frozen=True)
class Hint:
    """Several commands, or a command with the words around it, in the order in which they are read."""

    parts: tuple["str | Command | Ask", ...]

    def __init__(self, *parts: "str | Command | Ask") -> None:
        object.__setattr__(self, "parts", parts)


AnyHint: TypeAlias = str | Command | Ask | Hint
