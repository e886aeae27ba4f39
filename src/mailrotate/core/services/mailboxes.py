"""Mailboxes as people see and set them: listing, settings with their sources, rest and holds (B3–B5, B12)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict
from zoneinfo import available_timezones

from sqlalchemy import Connection

from mailrotate.core.rules import quota
from mailrotate.core.rules.contact_book import read_link
from mailrotate.core.services import authority, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import aliases, connections, events, mailboxes, sights, workspaces
from mailrotate.core.store.aliases import StoredAlias
from mailrotate.core.store.connections import HangingCampaign, RunningDeadline
from mailrotate.core.store.events import About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.values.duration import format_duration
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.mail import Endpoint
from mailrotate.core.values.states import ConnectionState

ACCESS = "personal"  # B6: only its seat's user writes from it
SENT_COPY = ("auto", "on", "off")
_LONGEST_NAME = 200
_LONGEST_GAP = timedelta(days=7)


class Settings(TypedDict, total=False):
    """The settings to change: one that is left out stays, None goes back to its default."""

    sender_name: str | None
    mailbox_name: str | None
    timezone: str | None
    daily_limit: int | None
    gap_seconds: int | None
    sent_copy: str


@dataclass(frozen=True)
class ListedMailbox:
    """One line of the list."""

    id: int
    address: str
    user: str
    slot_id: int | None
    provider: str
    state: ConnectionState
    paused_at: datetime | None
    hold_reason: str | None
    hold_until: datetime | None
    is_default: bool
    access: str
    sender_name: str
    daily_limit: int
    sent_today: int
    last_test_at: datetime | None
    last_error: str | None
    failed_at: datetime | None
    disconnected_at: datetime | None
    removed_at: datetime | None
    deadlines: Sequence[RunningDeadline]


@dataclass(frozen=True)
class ShownSetting:
    """A setting's value and where it comes from: `own`, `user`, `plan`, `workspace` or `default`."""

    name: str
    value: str | int | timedelta | None
    origin: str


@dataclass(frozen=True)
class ShownMailbox:
    """Everything about one mailbox but its secret."""

    listed: ListedMailbox
    settings: Sequence[ShownSetting]
    smtp: Endpoint
    imap: Endpoint
    username: str
    files_sent_copy: bool | None
    day_ends_at: datetime
    inbox_read_at: datetime | None
    inbox_error: str | None
    campaigns: Sequence[HangingCampaign]
    sends_as: str | None
    aliases: Sequence[StoredAlias]


def listing(context: Context, now: datetime, *, removed: bool = False) -> list[ListedMailbox]:
    """Every mailbox, or every removed one, in the order of their first connection; a member's own (A6)."""
    with context.store.reading() as connection:
        viewer = authority.viewer_of(connection, context.actor)
        seen = None if viewer is None else sights.mailbox_ids(connection, viewer)
        return [
            _listed(connection, box, now)
            for box in mailboxes.listing(connection, removed=removed)
            if seen is None or box.id in seen
        ]


def _listed(connection: Connection, box: StoredMailbox, now: datetime) -> ListedMailbox:
    day_from, _ = quota.day_of(now, box.timezone, box.day_from, box.day_until)
    on_hold = box.hold_reason is not None and (box.hold_until is None or box.hold_until > now)
    return ListedMailbox(
        id=box.id,
        address=box.address,
        user=box.user_email,
        slot_id=None if box.state is ConnectionState.DISCONNECTED else box.slot_id,
        provider=box.provider,
        state=box.state,
        paused_at=box.paused_at,
        hold_reason=box.hold_reason if on_hold else None,
        hold_until=box.hold_until if on_hold else None,
        is_default=box.is_default,
        access=ACCESS,
        sender_name=box.sender_name,
        daily_limit=box.daily_limit,
        sent_today=mailboxes.sent_since(connection, box.id, day_from),
        last_test_at=box.last_test_at,
        last_error=box.last_error,
        failed_at=box.failed_at,
        disconnected_at=box.disconnected_at,
        removed_at=box.removed_at,
        deadlines=connections.running_deadlines(connection, box.id),
    )


def show(context: Context, address: str, now: datetime) -> ShownMailbox:
    """For who may see it, as in the list; also a removed one. Raises NotFound (`mailbox.none`), Refused."""
    with context.store.reading() as connection:
        box = authority.find_seen_mailbox(connection, context.actor, address)
        hanging = connections.hanging_on(connection, box.id, box.slot_id) if box.removed_at is None else ()
        _, day_ends_at = quota.day_of(now, box.timezone, box.day_from, box.day_until)
        return ShownMailbox(
            listed=_listed(connection, box, now),
            settings=_settings_of(box),
            smtp=box.smtp,
            imap=box.imap,
            username=box.username,
            files_sent_copy=box.files_sent_copy,
            day_ends_at=day_ends_at,
            inbox_read_at=box.inbox_read_at,
            inbox_error=box.inbox_error,
            campaigns=hanging,
            sends_as=box.sends_as,
            aliases=aliases.of_connection(connection, box.connection_id),
        )


def _settings_of(box: StoredMailbox) -> list[ShownSetting]:
    capped = box.own_daily_limit is not None and box.own_daily_limit <= box.daily_cap
    return [
        ShownSetting("sender_name", box.sender_name, "user" if box.own_sender_name is None else "own"),
        ShownSetting("name", box.mailbox_name, "default" if box.mailbox_name is None else "own"),
        ShownSetting("daily_limit", box.daily_limit, "own" if capped else "plan"),
        ShownSetting("gap", box.gap, "default" if box.own_gap is None else "own"),
        ShownSetting("timezone", box.timezone, "workspace" if box.own_timezone is None else "own"),
        ShownSetting("sent_copy", box.sent_copy, "default" if box.sent_copy == "auto" else "own"),
        _contact_book_setting(box),
    ]


def _contact_book_setting(box: StoredMailbox) -> ShownSetting:
    return ShownSetting(
        "contact_book", str(read_link(box.contact_book)), "default" if box.contact_book is None else "own"
    )


def settings_reset(former: StoredMailbox, wanted: Settings) -> dict[str, str]:
    """The former connection's own settings that the new one does not have, each with what sets it again."""
    own: dict[str, tuple[object, str]] = {
        "sender_name": (former.own_sender_name, "--sender-name"),
        "mailbox_name": (former.mailbox_name, "--name"),
        "daily_limit": (former.own_daily_limit, "--daily-limit"),
        "gap_seconds": (None if former.own_gap is None else format_duration(former.own_gap), "--gap"),
        "timezone": (former.own_timezone, "--timezone"),
        "sent_copy": (None if former.sent_copy == "auto" else former.sent_copy, "--sent-copy"),
    }
    return {
        flag.removeprefix("--").replace("-", "_"): f"mailrotate mailbox set {former.address} {flag} "
        + _quoted(value)
        for name, (value, flag) in own.items()
        if value is not None and name not in wanted
    }


def _quoted(value: object) -> str:
    from shlex import quote

    return quote(str(value))


def validate_settings(connection: Connection | None, settings: Settings) -> None:
    """Raises BadInput, and Refused (`limit.above_cap`) for a daily limit above the plan's cap (B4)."""
    for what, name in (("sender name", "sender_name"), ("mailbox name", "mailbox_name")):
        text = settings.get(name)
        if isinstance(text, str) and not (text.strip() and text.isprintable() and len(text) <= _LONGEST_NAME):
            raise BadInput(
                "mailbox.name",
                f"a {what} is one line of up to {_LONGEST_NAME} letters",
                "mailrotate mailbox set --help",
            )
    zone = settings.get("timezone")
    if zone is not None and zone not in available_timezones():
        raise BadInput(
            "timezone.unknown", f"'{zone}' is no time zone", "write it like Europe/Berlin or America/New_York"
        )
    gap = settings.get("gap_seconds")
    if gap is not None and not 0 <= gap <= _LONGEST_GAP.total_seconds():
        raise BadInput(
            "mailbox.gap", f"a gap is at most {format_duration(_LONGEST_GAP)}", "write it like 90s"
        )
    if settings.get("sent_copy", "auto") not in SENT_COPY:
        raise BadInput("mailbox.sent_copy", f"sent copies are {', '.join(SENT_COPY)}", "add --sent-copy auto")
    cap = workspaces.daily_cap(connection)
    limit = settings.get("daily_limit")
    if limit is not None and limit < 1:
        raise BadInput(
            "limit.invalid",
            "a daily limit is at least 1",
            "to send nothing: mailrotate mailbox pause ADDRESS",
        )
    if limit is not None and limit > cap:
        raise Refused(
            "limit.above_cap",
            f"a daily limit of {limit} is above the plan's cap of {cap}",
            f"choose at most {cap}",
        )


def check_settings(context: Context, address: str, settings: Settings) -> None:
    """All refusals of `set_settings`, without changing anything."""
    with context.store.reading() as connection:
        seats.find_mailbox(connection, context.actor, address)
        validate_settings(connection, settings)


def set_settings(context: Context, address: str, settings: Settings, now: datetime) -> ShownMailbox:
    """Change settings; they reach every message that is not yet being sent (B3). Raises BadInput, Refused."""
    with context.store.writing() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
        if box.state is ConnectionState.DISCONNECTED:
            raise _is_disconnected(box)
        validate_settings(connection, settings)
        apply_settings(connection, box, settings, now)
        about = About(box.id)
        events.record(connection, context.actor, "mailbox.set", now, about, settings=sorted(settings))
    return show(context, address, now)


def apply_settings(connection: Connection, box: StoredMailbox, settings: Settings, now: datetime) -> None:
    """Write settings that were validated. After a change of zone the running day lasts on (B4)."""
    if settings:
        mailboxes.change_connection(connection, box.connection_id, **settings)
    if "timezone" not in settings:
        return
    new_zone = settings["timezone"] or box.workspace_timezone
    if new_zone != box.timezone:
        running = quota.day_of(now, box.timezone, box.day_from, box.day_until)
        start, end = quota.day_after_zone_change(now, running, new_zone)
        mailboxes.change(connection, box.id, day_from=start, day_until=end)


def make_default(context: Context, address: str, now: datetime) -> bool:
    """The address that its user sends from unless another is named (B5); False when it was so already."""
    with context.store.writing() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
        if box.state is ConnectionState.DISCONNECTED:
            raise _is_disconnected(box)
        if box.is_default:
            return False
        workspaces.set_default_mailbox(connection, box.user_id, box.id)
        events.record(connection, context.actor, "mailbox.default", now, About(box.id))
        return True


def pause(context: Context, address: str, now: datetime) -> bool:
    """Rest a mailbox: its messages wait, nothing is lost (B12). False when it rests already."""
    return _set_paused(context, address, now, at=now)


def resume(context: Context, address: str, now: datetime) -> bool:
    """Take a resting mailbox up again; False when it did not rest."""
    return _set_paused(context, address, now, at=None)


def _set_paused(context: Context, address: str, now: datetime, at: datetime | None) -> bool:
    with context.store.writing() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
        if (box.paused_at is None) == (at is None):
            return False
        mailboxes.change(connection, box.id, paused_at=at)
        action = "mailbox.resumed" if at is None else "mailbox.paused"
        events.record(connection, context.actor, action, now, About(box.id))
        return True


def release(context: Context, address: str, now: datetime) -> str | None:
    """End a hold; returns what it was for, or None when there was none (F4)."""
    with context.store.writing() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
        if box.hold_reason is not None:
            mailboxes.end_hold(connection, box.id)
            events.record(connection, context.actor, "mailbox.released", now, About(box.id))
        return box.hold_reason


def _is_disconnected(box: StoredMailbox) -> Refused:
    return Refused(
        "mailbox.disconnected",
        f"{box.address} is disconnected",
        f"mailrotate mailbox connect {box.address}",
    )
