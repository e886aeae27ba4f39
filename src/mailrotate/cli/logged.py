"""A line of the event log as people read it: in `log`, in `run`, and in the history of a message."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from mailrotate.cli.output import instant
from mailrotate.core.values.reasons import answered, spoken

if TYPE_CHECKING:
    from mailrotate.core.store.events import LoggedEvent


def line_of(line: "LoggedEvent", zone: str) -> str:
    """The event as people read it, in one line."""
    about = [line.user, line.mailbox, line.campaign]
    about += [f"r_{line.recipient_id}" if line.recipient_id else None]
    about += [f"m_{line.message_id}" if line.message_id else None]
    who = [] if line.actor is None else [f"by {line.actor}"]
    words = [instant(line.at, zone), f"{line.action:<22}", *filter(None, about), *_said(line, zone), *who]
    return "  ".join(words).replace("\n", " ").rstrip()


def _said(line: "LoggedEvent", zone: str) -> Iterator[str]:
    """A change as `daily_limit 500 → 120`, everything else by its name, with words for codes."""
    rest = dict(line.data)
    if rest.keys() & {"before", "after"}:
        key, before, after = (rest.pop(name, None) for name in ("key", "before", "after"))
        if isinstance(before, dict) and isinstance(after, dict):
            changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            yield from (f"{name} {_value(before.get(name))} → {_value(after.get(name))}" for name in changed)
        else:
            yield f"{'' if key is None else f'{key} '}{_value(before)} → {_value(after)}"
    for key, value in rest.items():
        if value is not None:
            said = _until if key.endswith("_at") else _WORDS.get(key, _value)
            yield f"{spoken(key)}: {said(value, zone)}"


def _until(value: object, zone: str) -> str:
    return instant(datetime.fromisoformat(str(value)), zone)


# What has a code in the log, or an instant under a name without `_at`.
_WORDS: Mapping[str, Callable[[object, str], str]] = {
    "error_class": lambda value, _zone: answered(str(value)),
    "reason": lambda value, _zone: spoken(str(value)),
    "until": _until,
}


def _value(value: object, _zone: str = "") -> str:
    """As a table shows it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items()) or "-"
    return str(value)
