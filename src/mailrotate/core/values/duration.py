"""Durations as people type them: `90s`, `15m`, `1h30m`, `3d`, `2w`."""

import re
from datetime import timedelta

from mailrotate.core.values.errors import BadInput

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"(\d{1,9})([wdhms])")
_WHOLE = re.compile(r"(?:\d{1,9}[wdhms])+")


def parse_duration(text: str) -> timedelta:
    """Read a duration. A bare number is refused, because its unit is ambiguous.

    Raises BadInput (`duration.invalid`).
    """
    cleaned = text.strip().lower()
    seconds = sum(int(n) * _UNITS[unit] for n, unit in _PART.findall(cleaned))
    if not _WHOLE.fullmatch(cleaned):
        hint = "write a number with its unit, like 90s, 15m, 1h30m, 3d or 2w"
        raise BadInput("duration.invalid", f"'{text}' is not a duration", hint)
    if seconds > timedelta.max.total_seconds():
        raise BadInput("duration.invalid", f"'{text}' is too long", "write a shorter one, like 3d or 2w")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as the same whole seconds."""
    seconds = int(duration.total_seconds())
    if seconds == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
