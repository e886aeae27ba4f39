"""The only module that reads the time. All other code is given `now` (aware, UTC)."""

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
    """The first whole second at or after `instant`: when something is permitted, never too early."""
    if instant.microsecond == 0:
        return instant
    return instant.replace(microsecond=0) + timedelta(seconds=1)


def rfc3339(instant: datetime) -> str:
    """UTC with `Z`, and microseconds where the instant has them (RFC 3339 section 5.6)."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
