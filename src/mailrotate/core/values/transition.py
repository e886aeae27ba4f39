"""A change of state, allowed by the rules and written by the store."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Transition:
    """Moves a row of `machine` from one of `origins` to `target`.

    If it `creates`, it also inserts new rows, which begin in `target`.
    """

    machine: str
    event: str
    origins: tuple[StrEnum, ...]
    target: StrEnum
    creates: bool = False
