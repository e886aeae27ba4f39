"""How a headline counts, and how it says instants."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from mailrotate.core.values.clock import rfc3339

# Up to here people read "in 12 min" faster than an instant.
_COUNTED_DOWN = timedelta(minutes=90)


def counted(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def more(alike: Sequence[object], one: str = "more mailbox") -> str:
    """How many there are beside the one that is named, which is one of them."""
    several = f"{one}es" if one.endswith("x") else f"{one}s"
    return f" (and {counted(len(alike) - 1, one, several)})" if len(alike) > 1 else ""


def countdown(at: datetime, now: datetime) -> str:
    rest = at - now
    if rest <= timedelta(seconds=90):
        return f"in {max(1, round(rest.total_seconds()))} s"
    return f"in {round(rest / timedelta(minutes=1))} min" if rest <= _COUNTED_DOWN else f"at {ahead(at)}"


def ahead(at: datetime) -> str:
    """A future instant, rounded up to the minute that people read: never too early."""
    start = at.replace(second=0, microsecond=0)
    return rfc3339(start if start == at else start + timedelta(minutes=1))


def past(at: datetime) -> str:
    """An instant in the past, or a deadline: never too late."""
    return rfc3339(at.replace(microsecond=0))
