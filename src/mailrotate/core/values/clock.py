"""The only module that reads the time. All other code is given `now` (aware, UTC)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

Clock = Callable[[], datetime]

# A random name that Linux gives to each start of the machine; containers see that of their host.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Unlike `time.monotonic`, it goes on while the machine sleeps. On macOS CLOCK_MONOTONIC does.
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# More than adjtimex(2) writes, and its answer when no time server disciplines the clock.
_TIMEX_BYTES, _TIME_ERROR = 512, 5


def system_clock() -> datetime:
    """The wall clock, aware, in UTC."""
    return datetime.now(UTC)


def monotonic_seconds() -> float:
    """Seconds that no clock change moves; only differences mean anything."""
    return time.monotonic()


def seconds_since_boot() -> float:
    """Like `monotonic_seconds`, but goes on while the machine sleeps."""
    return time.clock_gettime(_SINCE_BOOT)


@dataclass(frozen=True)
class Boot:
    """One start of a machine, and when it was according to the wall clock.

    Every process of that start finds the same instant, until the wall clock is set.
    """

    id: str
    began_at: datetime


def present_boot() -> Boot | None:
    """The start that this process belongs to; None where the system does not name it, as on macOS."""
    try:
        name = _BOOT_ID.read_text().strip()
    except OSError:
        return None
    return Boot(name, system_clock() - timedelta(seconds=seconds_since_boot()))


def is_synchronised() -> bool:
    """Whether the kernel says that a time server keeps the wall clock right; setting it by hand ends that."""
    import ctypes

    ask = getattr(ctypes.CDLL(None), "adjtimex", None)
    return ask is not None and 0 <= ask(ctypes.create_string_buffer(_TIMEX_BYTES)) < _TIME_ERROR


def next_whole_second(instant: datetime) -> datetime:
    """The first whole second at or after `instant`: when something is permitted, never too early."""
    if instant.microsecond == 0:
        return instant
    return instant.replace(microsecond=0) + timedelta(seconds=1)


def rfc3339(instant: datetime) -> str:
    """UTC with `Z`, and microseconds where the instant has them (RFC 3339 section 5.6)."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
