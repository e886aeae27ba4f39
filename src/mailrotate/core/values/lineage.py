"""The mark before the latest final dot, as the database knows it and as this machine does (F3)."""

from collections.abc import Sequence
from dataclasses import dataclass

# Stands for the pass of a database that has never sent.
NO_PASS = "-"


@dataclass(frozen=True)
class DatabaseMark:
    """What the database knows: how many marks it has seen, where it sent last, and in which pass."""

    number: int = 0
    home: str | None = None
    pass_id: str | None = None


@dataclass(frozen=True)
class OutsideMark:
    """What this machine knows outside the database. `passes` has two entries while a pass begins."""

    instance: str
    passes: Sequence[str]
    number: int
