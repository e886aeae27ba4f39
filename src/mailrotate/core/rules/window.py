"""When a delivery window opens (D4)."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from mailrotate.core.values.delivery_window import DeliveryWindow

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
# Beyond a year and its holidays nothing opens that has not opened before.
_LOOK_AHEAD_DAYS = 370


def next_open(window: DeliveryWindow, instant: datetime) -> datetime | None:
    """The first instant (UTC) at or after `instant` inside the window; None when it never opens.

    Inside means that the wall clock of the window's zone reads an hour of a block: an hour that a clock
    change skips is never open, one that it repeats is open twice.
    """
    if window.unusable is not None:
        return None
    zone = ZoneInfo(window.zone)
    local = instant.astimezone(zone)
    if _is_inside(window, local):
        return instant.astimezone(UTC)
    # From the day before, because a clock change at midnight can repeat the end of a day.
    day = local.date() - _DAY
    weekdays = {weekday for block in window.blocks for weekday in block.weekdays}
    for _ in range(_LOOK_AHEAD_DAYS + len(window.closed_on)):
        if day.weekday() in weekdays and day not in window.closed_on:
            opens = min(
                (start for start in _openings(window, zone, day) if start >= instant),
                default=None,
            )
            if opens is not None:
                return opens
        day += _DAY
    return None


def room_until(
    window: DeliveryWindow, begins_at: datetime, ends_at: datetime, gap: timedelta, most: int
) -> int:
    """How many messages, at most `most`, can leave inside the window before `ends_at`, a gap apart."""
    count, instant = 0, next_open(window, begins_at)
    if not gap:
        return max(0, most) if instant is not None and instant < ends_at else 0
    while instant is not None and instant < ends_at and count < most:
        count, instant = count + 1, next_open(window, instant + gap)
    return count


def _is_inside(window: DeliveryWindow, local: datetime) -> bool:
    minute, weekday = local.hour * 60 + local.minute, local.weekday()
    for block in window.blocks:
        if block.opens <= minute < block.closes and weekday in block.weekdays:
            return local.date() not in window.closed_on
    return False


def _openings(window: DeliveryWindow, zone: ZoneInfo, day: date) -> Iterator[datetime]:
    """Every instant of the day at which the window may turn from closed to open, if it is open then.

    That is where a block begins, by the clock before and after a change, and the change itself.
    """
    offsets, change = _clock_of(zone, day)
    midnight = datetime.combine(day, time(), UTC)
    starts = [
        midnight + timedelta(minutes=block.opens) - offset
        for block in window.blocks
        if day.weekday() in block.weekdays
        for offset in offsets
    ]
    for start in starts if change is None else [*starts, change]:
        local = start.astimezone(zone)
        if local.date() == day and _is_inside(window, local):
            yield start


@lru_cache(maxsize=4096)
def _clock_of(zone: ZoneInfo, day: date) -> tuple[tuple[timedelta, ...], datetime | None]:
    """The zone's offsets on that day, and the instant at which the clock changes, if it does."""
    first = datetime.combine(day, time(), zone).astimezone(UTC) - _SECOND
    last = datetime.combine(day + _DAY, time(), zone).astimezone(UTC)
    before, after = _offset(zone, first), _offset(zone, last)
    if before == after:
        return (before,), None
    low, high = first, last
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return (before, after), high


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
