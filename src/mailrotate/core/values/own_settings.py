"""The settings of a mailbox, one entry each (B3, B4, B6, G3).

`mailbox set` takes its flags from here, the store its columns, `mailbox show` its list, and a connect what it
resets. A new setting is an entry here and a revision that adds its columns.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, get_type_hints
from zoneinfo import available_timezones

from mailrotate.core.values.duration import format_duration, parse_duration
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.mail import DEFAULT_GAP, INBOX

PERSONAL, SHARED = "personal", "shared"
_LONGEST_NAME = 200
# Of a text that is not a name, this many characters are quoted.
_QUOTED = 60
_LONGEST_GAP = timedelta(days=7)
_DAY = timedelta(days=1)
_HALF_A_DAY = _DAY / 2

# Settings as typed, by key; a repeated flag has several texts.
Given = Mapping[str, str | Sequence[str]]
# The same as values; None takes a setting back to its default.
Wanted = Mapping[str, Any]


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
        """The number of a mailbox's day in the ramp-up, counted from 1.

        `from_at` begins a day as well, so a whole number of days lies between them, give or take the hour of
        a clock change. Calendar dates would tell the same, but a change of zone could move the running day
        to another number, and so give it another allowance.
        """
        return max(0, (day_starts_at - self.from_at + _HALF_A_DAY) // _DAY) + 1

    def limit(self, day: int) -> int:
        return min(self.ceiling, self.start + self.step * (day - 1))


@dataclass(frozen=True)
class ShownSetting:
    """A setting's value and where it comes from: `own`, `user`, `plan`, `workspace` or `default`."""

    name: str
    value: str | int | timedelta | tuple[str, ...] | None
    origin: str


@dataclass(frozen=True)
class Change:
    """One changed setting with old and new value (for a password, only that it changed)."""

    key: str
    before: object
    after: object
    origin: str = "own"


@dataclass(frozen=True)
class Setting:
    """How one setting is typed, read, stored, shown and reset."""

    help: str
    # What can be typed, beside the word that takes it back to its default.
    form: str
    reset_word: str
    read: Callable[[Any], object]
    default: Any = None
    follows: str = "default"
    # The column of its name, unless others are named; `save` returns a value for each, also for None.
    columns: tuple[str, ...] = ()
    load: Callable[..., Any] = lambda stored: stored
    save: Callable[[Any], tuple[object, ...]] = lambda value: (value,)
    show: Callable[[Any], Any] = lambda value: value
    is_repeated: bool = False
    key: str = ""

    def named(self, key: str) -> "Setting":
        return replace(self, key=key, columns=self.columns or (key,))

    @property
    def flag(self) -> str:
        return "--" + self.key.replace("_", "-")

    @property
    def metavar(self) -> str:
        return f"{self.form}|{self.reset_word}" if self.reset_word else self.form

    def parse(self, typed: str | Sequence[str]) -> object:
        """Parse the typed value. Raises BadInput that names the flag."""
        if typed == ([self.reset_word] if self.is_repeated else self.reset_word):
            return None
        try:
            return self.read(typed)
        except BadInput as wrong:
            raise BadInput(wrong.code, f"{self.flag}: {wrong.message}", wrong.hint) from None

    def stored(self, value: object) -> dict[str, object]:
        """The columns that hold the value."""
        return dict(zip(self.columns, self.save(value), strict=True))

    def typed(self, value: object) -> list[str]:
        """The flags that set the value again."""
        words = []
        for each in value if isinstance(value, tuple) else (value,):
            words += [self.flag, format_duration(each) if isinstance(each, timedelta) else str(each)]
        return words


def check_name(what: str, flag: str, text: str) -> str:
    """A name that fits in one header line. Raises BadInput (`mailbox.name`)."""
    if not (text.strip() and text.isprintable() and len(text) <= _LONGEST_NAME):
        raise BadInput(
            "mailbox.name",
            f"{text[:_QUOTED]!r} is not a {what}: it is one line of up to {_LONGEST_NAME} characters",
            f"write it like {flag} 'Anna Example'",
        )
    return text


def _sender_name(text: str) -> str:
    return check_name("sender name", "--sender-name", text)


def _name(text: str) -> str:
    return check_name("mailbox name", "--name", text)


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise BadInput(
            "limit.invalid",
            f"'{text}' is not a daily limit: it is a number from 1, or plan for the plan's",
            Hint("write it like --daily-limit 120; to send nothing:", Command("mailbox", "pause", "ADDRESS")),
        )
    return int(text)


def _ramp(text: str) -> tuple[int, int, int]:
    parts = [int(part) for part in text.split(",") if part.strip().isdecimal() and len(part) < 10]
    if not (text.count(",") == 2 and len(parts) == 3 and 1 <= parts[0] <= parts[2] and parts[1] >= 1):
        raise BadInput(
            "mailbox.ramp",
            f"'{text}' is not a ramp-up: it begins with at least 1 a day, grows by at least 1, and ends no "
            "lower than it begins",
            "write it like --ramp 20,10,120, or off",
        )
    return parts[0], parts[1], parts[2]


def _gap(text: str) -> timedelta:
    gap = parse_duration(text)
    if gap > _LONGEST_GAP:
        named, longest = format_duration(gap), format_duration(_LONGEST_GAP)
        raise BadInput("mailbox.gap", f"a gap is at most {longest}, not {named}", "write it like --gap 90s")
    return gap


def _zone(text: str) -> str:
    if text not in available_timezones():
        raise BadInput(
            "timezone.unknown", f"there is no time zone '{text}'", "write it like --timezone Europe/Berlin"
        )
    return text


def _access(text: str) -> str:
    if text != SHARED:
        raise BadInput(
            "mailbox.access",
            f"access is {PERSONAL} or {SHARED}, not '{text}'",
            f"add --access {PERSONAL}, or --access {SHARED}",
        )
    return text


def _sent_copy(text: str) -> str:
    if text not in ("on", "off"):
        raise BadInput(
            "mailbox.sent_copy", f"sent copies are auto, on or off, not '{text}'", "add --sent-copy auto"
        )
    return text


def _folders(names: Sequence[str]) -> tuple[str, ...] | None:
    """Each once, without the INBOX, which alone is written in any case (RFC 9051 5.1); None for none."""
    wanted = tuple(name for name in dict.fromkeys(names) if name.upper() != INBOX)
    if "" in wanted:
        raise BadInput(
            "folder.unnamed",
            "'' is not a folder name",
            "name one, or for the INBOX alone add --folders default",
        )
    return wanted or None


@dataclass(frozen=True)
class OwnSettings:
    """A connection's own settings; None where the default applies."""

    sender_name: Annotated[
        str | None,
        Setting("Name that recipients see; '' for the user's.", "TEXT", "", _sender_name, follows="user"),
    ] = None
    name: Annotated[
        str | None,
        Setting("Your own name for the mailbox; '' for none.", "TEXT", "", _name, columns=("mailbox_name",)),
    ] = None
    daily_limit: Annotated[
        int | None, Setting("Most messages a day.", "N", "plan", _limit, follows="plan")
    ] = None
    ramp: Annotated[
        Ramp | None,
        Setting(
            "Daily limit that grows: START today, STEP more each day.", "START,STEP,CEILING", "off", _ramp,
            columns=("ramp_start", "ramp_step", "ramp_ceiling", "ramp_from"),
            load=lambda *parts: None if None in parts else Ramp(*parts),
            save=lambda ramp: astuple(ramp) if ramp else (None,) * 4,
            show=str,
        ),
    ] = None  # fmt: skip
    gap: Annotated[
        timedelta | None,
        Setting(
            "Minimum time between two messages.", "DURATION", "default", _gap, DEFAULT_GAP,
            columns=("gap_seconds",),
            load=lambda seconds: None if seconds is None else timedelta(seconds=seconds),
            save=lambda gap: (None if gap is None else int(gap.total_seconds()),),
        ),
    ] = None  # fmt: skip
    timezone: Annotated[
        str | None,
        Setting("Time zone used for the daily limit.", "ZONE", "workspace", _zone, follows="workspace"),
    ] = None
    access: Annotated[
        str | None,
        Setting(
            "Whether other users can be allowed to send from it.", SHARED, PERSONAL, _access, PERSONAL,
            columns=("is_shared",),
            load=lambda is_shared: SHARED if is_shared else None,
            save=lambda access: (access == SHARED,),
        ),
    ] = None  # fmt: skip
    folders: Annotated[
        tuple[str, ...] | None,
        Setting(
            "Folder that is also read for replies, beside the INBOX; repeat for more.",
            "FOLDER", "default", _folders, (INBOX,),
            load=lambda stored: None if stored is None else tuple(json.loads(stored)),
            save=lambda folders: (folders and json.dumps(folders),),
            show=lambda folders: (INBOX, *folders),
            is_repeated=True,
        ),
    ] = None  # fmt: skip
    sent_copy: Annotated[
        str | None,
        Setting(
            "Whether mailrotate files copies of sent messages.", "on|off", "auto", _sent_copy, "auto",
            load=lambda stored: None if stored == "auto" else stored,
            save=lambda copies: (copies or "auto",),
        ),
    ] = None  # fmt: skip

    @property
    def is_shared(self) -> bool:
        return self.access == SHARED


SETTINGS: Mapping[str, Setting] = {
    key: declared.__metadata__[0].named(key)
    for key, declared in get_type_hints(OwnSettings, include_extras=True).items()
}


def load(columns: Callable[[str], Any]) -> OwnSettings:
    """Build the settings of a row, looking up each column by name."""
    return OwnSettings(*(setting.load(*map(columns, setting.columns)) for setting in SETTINGS.values()))


def parse(given: Given) -> dict[str, Any]:
    """Parse the typed values. Raises BadInput that names the flag."""
    return {key: SETTINGS[key].parse(typed) for key, typed in given.items()}
