"""A change of state, as the rules allow it and the store writes it."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Transition:
    """What an event changes: a row of `machine` in one of `origins` goes to `target`.

    One that `creates` also makes new rows, which begin in `target`.
    """

    machine: str
    event: str
    origins: tuple[StrEnum, ...]
    target: StrEnum
    creates: bool = False
