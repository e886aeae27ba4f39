"""The workspace settings that all machines share; `periods.py` declares the durations among them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import quota
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.periods import OFF, PERIODS
from mailrotate.core.store import events, mailboxes, settings, workspaces
from mailrotate.core.store.events import About
from mailrotate.core.values.delivery_window import check_zone
from mailrotate.core.values.duration import format_duration, parse_duration
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command

_TIMEZONE = "timezone"
_DEFAULT_USER = "default_user"
KEYS = (_TIMEZONE, _DEFAULT_USER, *PERIODS)


@dataclass(frozen=True)
class Shown:
    """One setting. `default` is None if the workspace was created with its own value.

    `before` is its former value, of a setting that was just named in a change.
    """

    key: str
    value: str | None
    default: str | None
    about: str
    before: str | None = None


def show(context: Context) -> list[Shown]:
    with context.store.reading() as connection:
        return _shown(connection)


def _shown(connection: Connection) -> list[Shown]:
    workspace = workspaces.find(connection)
    if workspace is None:
        raise NotFound(
            "workspace.none", "there is no workspace yet", Command("mailbox", "connect", "ADDRESS")
        )
    user = None
    if workspace.default_user_id is not None:
        user = workspaces.user_by_id(connection, workspace.default_user_id)
    stored = workspaces.settings(connection)
    return [
        Shown(
            _TIMEZONE,
            workspace.timezone,
            None,
            "time zone of shown times, and of mailboxes and campaigns without their own",
        ),
        Shown(
            _DEFAULT_USER,
            None if user is None else user.email,
            None,
            "acting user when neither --as nor MAILROTATE_USER names one",
        ),
        *(_shown_period(key, stored.get(key)) for key in PERIODS),
    ]


def _shown_period(key: str, stored: str | None) -> Shown:
    default = format_duration(PERIODS[key].default)
    return Shown(key, stored or default, default, PERIODS[key].about)


def change(context: Context, assignments: Sequence[str], now: datetime) -> list[Shown]:
    """Set `KEY=VALUE` pairs, all or none. Raises BadInput with every mistake (`setting.invalid`)."""
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.SETTINGS)
        former = {shown.key: shown.value for shown in _shown(connection)}
        before = dict(former)
        problems: list[str] = []
        accepted: list[tuple[str, str]] = []
        for assignment in assignments:
            try:
                accepted.append(_read(connection, assignment))
            except BadInput as mistake:
                problems.append(mistake.sentence)
        if problems:
            said = problems[0] if len(problems) == 1 else f"{len(problems)} of these cannot be set"
            raise BadInput("setting.invalid", said, Command("settings", "show"), problems)
        for key, value in accepted:
            _store(connection, key, value, now)
            told: dict[str, object] = {"before": before[key], "after": value}
            if key == _DEFAULT_USER:
                told = {name: _user_id(connection, email) for name, email in told.items()}
            events.record(connection, context.actor, "setting.changed", now, About(), key=key, **told)
            before[key] = value
        named = {key for key, _ in accepted}
        return [
            replace(shown, before=former[shown.key]) if shown.key in named else shown
            for shown in _shown(connection)
        ]


def _user_id(connection: Connection, email: object) -> int | None:
    """The log knows users by id."""
    user = workspaces.user_by_email(connection, str(email))
    return None if user is None else user.id


def _read(connection: Connection, assignment: str) -> tuple[str, str]:
    key, equals, value = assignment.partition("=")
    if not equals:
        raise BadInput("setting.form", f"'{assignment}' is not KEY=VALUE")
    if key not in KEYS:
        raise BadInput("setting.unknown", f"there is no setting '{key}'; there are {', '.join(KEYS)}")
    value = value.strip()
    if key == _TIMEZONE:
        return key, check_zone(value)
    if key == _DEFAULT_USER:
        if workspaces.user_by_email(connection, value.lower()) is None:
            raise BadInput("setting.user", f"there is no user '{value}' in this workspace")
        return key, value.lower()
    known = PERIODS[key]
    if known.may_be_off and value == OFF:
        return key, OFF
    wanted = parse_duration(value)
    if not known.least <= wanted <= known.most:
        bounds = f"{format_duration(known.least)} to {format_duration(known.most)}"
        raise BadInput("setting.bounds", f"{key} must be {bounds}, not {value}")
    return key, format_duration(wanted)


def _store(connection: Connection, key: str, value: str, now: datetime) -> None:
    if key == _TIMEZONE:
        _move_to_zone(connection, value, now)
    elif key == _DEFAULT_USER:
        user = workspaces.user_by_email(connection, value)
        assert user is not None
        workspaces.change(connection, default_user_id=user.id)
    else:
        workspaces.set_setting(connection, key, value)


def _move_to_zone(connection: Connection, zone: str, now: datetime) -> None:
    """Mailboxes without a zone of their own move too; their running day ends at the later midnight (B4)."""
    for mailbox_id, stored in settings.listing(connection).items():
        if stored.own.timezone is None and stored.timezone != zone:
            running = quota.day_of(now, stored.timezone, stored.day_from, stored.day_until)
            day_from, day_until = quota.day_after_zone_change(now, running, zone)
            mailboxes.change(connection, mailbox_id, day_from=day_from, day_until=day_until)
    workspaces.change(connection, timezone=zone)
