"""A line of the event log as people read it: in `log`, in `run`, and in the history of a message."""

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from mailrotate.cli.output import Speech, counted, instant
from mailrotate.core.values.reasons import answered, ending, heard, paused, spoken

if TYPE_CHECKING:
    from mailrotate.core.store.events import LoggedEvent


# What follows the instant in further lines of a narrow terminal stands below the action.
_INDENT = len("2026-11-29 17:42:53  ")


def print_line(speech: Speech, line: "LoggedEvent", zone: str) -> None:
    speech.wrapped(line_of(line, zone), _INDENT)


def stream_line(speech: Speech, line: "LoggedEvent", zone: str) -> None:
    """Print an event at once, also to a script."""
    from mailrotate.core.services.views import logbook

    if speech.as_json:
        speech.stream(logbook.as_row(line))
    else:
        print_line(speech, line, zone)
        sys.stdout.flush()


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
            if words := said(value, zone):
                yield f"{_NAMES.get(key) or spoken(key)}: {words}"


def _until(value: object, zone: str) -> str:
    return instant(datetime.fromisoformat(str(value)), zone)


def _notice(nth: object, _zone: str) -> str:
    """When a notice of a failure is due, as `rules/notice_schedule.py` names it."""
    told = str(nth)
    if told.isdecimal():
        return f"after {counted(int(told), 'day')}" if int(told) else "at once"
    when = {"before": "a day before a deadline", "end": "at the end of a deadline"}
    return when.get(told.partition(" ")[0], "")


# What has a code in the log, or an instant under a name without `_at`.
_WORDS: Mapping[str, Callable[[object, str], str]] = {
    "error_class": lambda value, _zone: answered(str(value)),
    "nth": _notice,
    "reply": lambda value, _zone: heard(str(value)),
    # The action says already that a recipient replied or has had every step.
    "reason": lambda value, _zone: ending("", str(value)) or "",
    "reasons": lambda value, _zone: paused(value if isinstance(value, list) else [str(value)]),
    "until": _until,
}
# Names that say too little by themselves.
_NAMES = {"failed_at": "failed since", "mails": "mails planned", "nth": "notice", "reasons": "was"}


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
