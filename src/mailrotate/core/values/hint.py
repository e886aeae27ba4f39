"""Hints as values: what a person can do next. The CLI quotes them and puts them into words."""

import json
from collections.abc import Mapping, Sequence
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


class Shell(Command):
    """A command of another program, its name first."""


@dataclass(frozen=True)
class Ask:
    """An action that other users may do: (address, role), best first.

    Without a command, they are to run the one that was refused.
    """

    users: tuple[tuple[str, str], ...]
    command: Command | None = None


@dataclass(frozen=True)
class Hint:
    """Several commands, or a command with the words around it, in the order in which they are read."""

    parts: tuple[str | Command | Ask, ...]

    def __init__(self, *parts: str | Command | Ask) -> None:
        object.__setattr__(self, "parts", parts)

    @classmethod
    def of(cls, written: Sequence[str | Sequence[str]]) -> "Hint":
        """From data, in which a list of words is a command."""
        return cls(*(part if isinstance(part, str) else Command(*part) for part in written))

    @classmethod
    def from_json(cls, stored: str) -> "Hint":
        """As the database keeps it; rows of earlier versions hold the finished text."""
        return cls.of(json.loads(stored)) if stored.startswith("[") else cls(stored)

    def to_json(self) -> str:
        return json.dumps([part.words if isinstance(part, Command) else part for part in self.parts])

    def filled(self, values: Mapping[str, str]) -> "Hint":
        """With the values for words in capitals."""
        return Hint(
            *(
                Command(*(values.get(word, word) for word in part.words))
                if isinstance(part, Command)
                else part
                for part in self.parts
            )
        )


AnyHint: TypeAlias = str | Command | Ask | Hint
