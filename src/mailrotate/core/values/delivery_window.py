"""Delivery windows: the weekdays, hours and zone within which a campaign may send (D4)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from mailrotate.core.values.errors import BadInput

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_MINUTES_OF_DAY = 24 * 60
_DAYS_HINT = "write days like mon-fri, mon,wed,fri or mon-wed,sat"
_HOURS_HINT = "write hours like 09:00-17:30; a day ends at 24:00, and what passes midnight takes two blocks"


@dataclass(frozen=True)
class Block:
    """Hours that repeat on some weekdays.

    `weekdays` counts from 0, Monday; `opens` and `closes` are minutes on the wall clock of the day, the
    second exclusive and at most 1440.
    """

    weekdays: tuple[int, ...]
    opens: int
    closes: int


WORKDAYS = Block((0, 1, 2, 3, 4), 9 * 60, 17 * 60)


@dataclass(frozen=True)
class DeliveryWindow:
    """Open when the wall clock of `zone` (IANA) stands inside a block on a day that is not closed.

    `unusable`: why its opening times are unknown; it stays closed until a user acts.
    """

    blocks: tuple[Block, ...] = (WORKDAYS,)
    zone: str = "UTC"
    closed_on: frozenset[date] = frozenset()
    unusable: str | None = None

    @classmethod
    def parse(cls, written: object, zone: str = "UTC") -> "DeliveryWindow":
        """Read what a campaign's file says; None is the default window.

        `written` is `{days = "mon-fri", hours = "09:00-17:30"}` or a list of such blocks. Raises BadInput
        (`window.form`, `window.days`, `window.hours`, `zone.unknown`).
        """
        check_zone(zone)
        if written is None:
            return cls(zone=zone)
        listed = [written] if isinstance(written, Mapping) else written
        if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
            raise _bad_form(written)
        return cls(tuple(_parse_block(block) for block in listed), zone)

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> "DeliveryWindow":
        """Read what `to_json` gave; zone and closed days may be missing."""
        window = cls.parse(stored["blocks"], str(stored.get("zone", "UTC")))
        closed = stored.get("closed_on", ())
        assert isinstance(closed, Sequence)
        return cls(window.blocks, window.zone, frozenset(date.fromisoformat(day) for day in closed))

    def to_json(self) -> dict[str, object]:
        """The form in which a window is stored and shown; equal windows give equal text."""
        blocks = [
            {"days": _format_days(block.weekdays), "hours": _format_hours(block)} for block in self.blocks
        ]
        closed = sorted(day.isoformat() for day in self.closed_on)
        return {"blocks": blocks, "zone": self.zone, "closed_on": closed}


def check_zone(name: str) -> str:
    """The name of a time zone, if there is one of it. Raises BadInput (`zone.unknown`)."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # zoneinfo looks for a file of that name: KeyError for none, the others for what is not a name.
        hint = "write an IANA name like Europe/Berlin, America/New_York or UTC"
        raise BadInput("zone.unknown", f"there is no time zone '{name}'", hint) from None
    return name


def _bad_form(written: object) -> BadInput:
    return BadInput(
        "window.form",
        f"{written!r} is not a delivery window",
        'write { days = "mon-fri", hours = "09:00-17:30" } or a list of such blocks',
    )


def _parse_block(written: object) -> Block:
    if not isinstance(written, Mapping) or set(written) != {"days", "hours"}:
        raise _bad_form(written)
    mistakes: list[BadInput] = []
    days: tuple[int, ...] = ()
    hours = (0, 0)
    try:
        days = _parse_days(written["days"])
    except BadInput as mistake:
        mistakes.append(mistake)
    try:
        hours = _parse_hours(written["hours"])
    except BadInput as mistake:
        mistakes.append(mistake)
    if mistakes:
        first = mistakes[0]
        every = [mistake.sentence for mistake in mistakes]
        raise BadInput(first.code, first.message, first.hint, every)
    return Block(days, *hours)


def _parse_days(written: object) -> tuple[int, ...]:
    chosen: set[int] = set()
    for part in str(written).lower().split(","):
        ends = [end.strip() for end in part.split("-")]
        if len(ends) > 2 or any(end not in _DAYS for end in ends):
            raise BadInput("window.days", f"'{written}' does not name weekdays", _DAYS_HINT)
        first, last = _DAYS.index(ends[0]), _DAYS.index(ends[-1])
        # sat-mon goes over the end of the week.
        chosen.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    return tuple(sorted(chosen))


def _parse_hours(written: object) -> tuple[int, int]:
    found = _HOURS.fullmatch("".join(str(written).split()))
    if found is None:
        raise BadInput("window.hours", f"'{written}' is not a span of hours", _HOURS_HINT)
    opens, closes = (_minutes(found[1], found[2]), _minutes(found[3], found[4]))
    if opens is None or closes is None:
        raise BadInput("window.hours", f"'{written}' contains an impossible time", _HOURS_HINT)
    if closes <= opens:
        raise BadInput("window.hours", f"'{written}' ends before it begins", _HOURS_HINT)
    return opens, closes


def _minutes(hour: str, minute: str) -> int | None:
    minutes = int(hour) * 60 + int(minute)
    return minutes if int(minute) < 60 and minutes <= _MINUTES_OF_DAY else None


def _format_days(weekdays: Sequence[int]) -> str:
    runs: list[list[int]] = []
    for day in sorted(weekdays):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    parts = []
    for run in runs:
        if len(run) > 2:
            parts.append(f"{_DAYS[run[0]]}-{_DAYS[run[-1]]}")
        else:
            parts.extend(_DAYS[day] for day in run)
    return ",".join(parts)


def _format_hours(block: Block) -> str:
    return "-".join(f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (block.opens, block.closes))
