"""The only place that reads the time. Everything else is told `now` (aware, UTC)."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


def monotonic_seconds() -> float:
    """Seconds that no clock change moves; only differences mean anything."""
    return time.monotonic()


def next_whole_second(instant: datetime) -> datetime:
    """The first whole second at or after `instant`.

    People and scripts see instants in whole seconds; a gate's `until` is rounded up so that what they
    see is never before what is meant.
    """
    if instant.microsecond == 0:
        return instant
    return instant.replace(microsecond=0) + timedelta(seconds=1)


def rfc3339(instant: datetime) -> str:
    """UTC with `Z`, whole seconds (RFC 3339 section 5.6)."""
    return next_whole_second(instant.astimezone(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
