"""What a mailbox may send: its day, its gap, and how many more."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mailrotate.core.values.clock import next_whole_second

# What a plan may allow a mailbox in a day; no provider lets so much through.
HIGHEST_CAP = 100_000

_DAY = timedelta(days=1)
_HALF_A_DAY = _DAY / 2


def midnight_after(now: datetime, zone: str) -> datetime:
    """The first instant of the next calendar day in `zone`, in UTC; right across clock changes."""
    tomorrow = now.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), ZoneInfo(zone)).astimezone(UTC)


def midnight_before(now: datetime, zone: str) -> datetime:
    """The first instant of the running calendar day in `zone`, in UTC."""
    today = now.astimezone(ZoneInfo(zone)).date()
    return datetime.combine(today, time(), ZoneInfo(zone)).astimezone(UTC)


def day_of(
    now: datetime, zone: str, day_from: datetime | None, day_until: datetime | None
) -> tuple[datetime, datetime]:
    """The mailbox's day that holds `now`: [start, end).

    `day_from` and `day_until` are set by a change of time zone: the day that was running then lasts
    until the later of the two midnights (B4), so that a change never gives a second allowance.
    """
    start, end = midnight_before(now, zone), midnight_after(now, zone)
    if day_from is None or day_until is None or now < day_from:
        return start, end
    if now < day_until:
        return day_from, day_until
    return max(start, day_until), end


def day_after_zone_change(
    now: datetime, running: tuple[datetime, datetime], new_zone: str
) -> tuple[datetime, datetime]:
    """The running day as it lasts after a change to `new_zone`."""
    return running[0], max(running[1], midnight_after(now, new_zone))


@dataclass(frozen=True)
class Ramp:
    """A daily limit that grows: `start` messages on the day of `from_at`, `step` more on each further
    calendar day, up to `ceiling` (B4)."""

    start: int
    step: int
    ceiling: int
    from_at: datetime

    def __str__(self) -> str:
        return f"{self.start},{self.step},{self.ceiling}"

    def day(self, day_starts_at: datetime) -> int:
        """Which day of the ramp-up a mailbox's day is, the first one being 1.

        `from_at` begins a day as well, so a whole number of days lies between them, give or take the hour of
        a clock change. Calendar dates would tell the same, but a change of zone could move the running day
        to another number, and so give it another allowance.
        """
        return max(0, (day_starts_at - self.from_at + _HALF_A_DAY) // _DAY) + 1

    def limit(self, day: int) -> int:
        return min(self.ceiling, self.start + self.step * (day - 1))


def gap_after(token: str, gap: timedelta) -> timedelta:
    """How long a mailbox rests after the message with this token: the gap and up to a third more.

    The addition comes from the message's own id: irregular, as a person's would be, yet reproducible, so
    that an explanation can name the second.
    """
    third = int(gap.total_seconds() * 1000) // 3
    if third == 0:
        return gap
    digest = hashlib.blake2b(token.encode(), digest_size=4, person=b"gap").digest()
    return gap + timedelta(milliseconds=int.from_bytes(digest) % (third + 1))


def rest_until(sent_at: datetime, token: str, gap: timedelta) -> datetime | None:
    """When the lane may send again, in whole seconds; None when the mailbox keeps no gap."""
    if not gap:
        return None
    return next_whole_second(sent_at + gap_after(token, gap))
