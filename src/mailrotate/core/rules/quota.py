"""A mailbox's day, and the gap between its messages."""

import hashlib
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mailrotate.core.values.clock import next_whole_second

# The highest daily limit of a plan; no provider allows as much.
HIGHEST_CAP = 100_000


def midnight_after(now: datetime, zone: str) -> datetime:
    """The first instant of the next calendar day in `zone`, in UTC; right across clock changes."""
    tomorrow = now.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), ZoneInfo(zone)).astimezone(UTC)


def midnight_before(now: datetime, zone: str) -> datetime:
    """The first instant of the current calendar day in `zone`, in UTC."""
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
    """The current day as it lasts after a change to `new_zone`."""
    return running[0], max(running[1], midnight_after(now, new_zone))


def gap_after(token: str, gap: timedelta) -> timedelta:
    """How long a mailbox waits after the message with this token: the gap and up to a third more.

    The addition comes from the message's own id: irregular, as a person's would be, yet reproducible, so
    that an explanation can name the second.
    """
    third = int(gap.total_seconds() * 1000) // 3
    if third == 0:
        return gap
    digest = hashlib.blake2b(token.encode(), digest_size=4, person=b"gap").digest()
    return gap + timedelta(milliseconds=int.from_bytes(digest) % (third + 1))


def rest_until(sent_at: datetime, token: str, gap: timedelta) -> datetime | None:
    """When the lane may send again, in whole seconds; None if the mailbox has no gap."""
    if not gap:
        return None
    return next_whole_second(sent_at + gap_after(token, gap))
