"""Read models of mailboxes and their settings; default mailbox, pause, release of holds (B3–B5, B12)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import quota, roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.timeline_filter import NEVER_LINKED, read_link
from mailrotate.core.services import periods
from mailrotate.core.services.access import authority, seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.services.mailboxes import sharing
from mailrotate.core.store import (
    aliases,
    connections,
    deadlines,
    events,
    mailboxes,
    signatures,
    visibility,
    workspaces,
)
from mailrotate.core.store.aliases import StoredAlias
from mailrotate.core.store.connections import HangingCampaign
from mailrotate.core.store.deadlines import RunningDeadline
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import inboxes, lanes, sending_mailboxes, unread_mail
from mailrotate.core.store.sending.inboxes import StoredFolder
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.store.sending.unread_mail import UnreadMail
from mailrotate.core.store.settings import StoredSettings
from mailrotate.core.values.mail import Endpoint
from mailrotate.core.values.own_settings import PERSONAL, SETTINGS, SHARED, ShownSetting
from mailrotate.core.values.states import REMOVED_MAILBOX, ConnectionState, ReplyClass

# After so many intervals without a test, "connected" is no longer known.
_MISSED_TESTS = 2


@dataclass(frozen=True)
class ListedMailbox:
    """One line of the list; `state` is the connection's, or `removed`, `trouble` what is wrong now."""

    id: int
    address: str
    user: str
    slot_id: int | None
    provider: str
    state: str
    paused_at: datetime | None
    hold_reason: str | None
    hold_until: datetime | None
    is_default: bool
    access: str
    sender_name: str
    daily_limit: int
    ramp_day: int | None
    sent_today: int
    last_test_at: datetime | None
    last_sent_at: datetime | None
    last_read_at: datetime | None
    # Since when nothing has shown that a connected mailbox still works (C1).
    unchecked_since: datetime | None
    last_error: str | None
    trouble: str | None
    failed_at: datetime | None
    disconnected_at: datetime | None
    removed_at: datetime | None
    deadlines: Sequence[RunningDeadline]


@dataclass(frozen=True)
class ShownMailbox:
    """Everything about one mailbox except its secret."""

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
    folders: Sequence[StoredFolder]
    unread_mails: Sequence[UnreadMail]
    broke_by: str | None


def listing(context: Context, now: datetime, *, removed: bool = False) -> list[ListedMailbox]:
    """List mailboxes, or removed ones, by their first connection; a member sees their own (A6)."""
    with looking(context, now) as connection:
        viewer = authority.viewer_of(connection, context.actor)
        seen = None if viewer is None else visibility.mailbox_ids(connection, viewer)
        boxes = sending_mailboxes.listing(connection, removed=removed)
        return _listed(connection, [box for box in boxes if seen is None or box.id in seen], now)


def is_among_others(context: Context) -> bool:
    """Whether the acting user sees other users (A6), with mailboxes or without."""
    with context.store.reading() as connection:
        acting_user = seats.require_active(connection, context.actor)
        return roles.may(acting_user.role, Deed.SEE_TEAM) and len(workspaces.users(connection)) > 1


def _listed(connection: Connection, boxes: Sequence[SendingMailbox], now: datetime) -> list[ListedMailbox]:
    days = {box.id: _day_of(box, now)[0] for box in boxes}
    sent = mailboxes.sent_since_each(connection, days)
    running = deadlines.running(connection, list(days))
    last_sent = mailboxes.last_sent_each(connection, list(days))
    checked_after = now - _MISSED_TESTS * periods.period(connection, "test_every")
    return [
        _line(
            box,
            now,
            days[box.id],
            sent.get(box.id, 0),
            last_sent.get(box.id),
            checked_after,
            running.get(box.id, ()),
        )
        for box in boxes
    ]


def _day_of(box: SendingMailbox, now: datetime) -> tuple[datetime, datetime]:
    return quota.day_of(now, box.settings.timezone, box.settings.day_from, box.settings.day_until)


def _line(
    box: SendingMailbox,
    now: datetime,
    day_from: datetime,
    sent_today: int,
    last_sent_at: datetime | None,
    checked_after: datetime,
    deadlines: Sequence[RunningDeadline],
) -> ListedMailbox:
    daily_limit, ramp_day = box.settings.limit_of_day(day_from)
    health = box.health
    worked = (health.last_test_at, last_sent_at, box.inbox.read_at)
    last_worked = max((instant for instant in worked if instant is not None), default=health.connected_at)
    is_unchecked = box.state is ConnectionState.CONNECTED and last_worked < checked_after
    on_hold = health.hold_reason is not None and (health.hold_until is None or health.hold_until > now)
    return ListedMailbox(
        id=box.id,
        address=box.address,
        user=box.user_email,
        slot_id=None if box.state is ConnectionState.DISCONNECTED else box.slot_id,
        provider=box.provider,
        state=box.state if box.removed_at is None else REMOVED_MAILBOX,
        paused_at=health.paused_at,
        hold_reason=health.hold_reason if on_hold else None,
        hold_until=health.hold_until if on_hold else None,
        is_default=box.is_default,
        access=SHARED if box.is_shared else PERSONAL,
        sender_name=box.settings.sender_name,
        daily_limit=daily_limit,
        ramp_day=ramp_day,
        sent_today=sent_today,
        last_test_at=health.last_test_at,
        last_sent_at=last_sent_at,
        last_read_at=box.inbox.read_at,
        unchecked_since=last_worked if is_unchecked else None,
        last_error=health.last_error,
        trouble=_trouble(box, on_hold=on_hold),
        failed_at=health.failed_at,
        disconnected_at=health.disconnected_at,
        removed_at=box.removed_at,
        deadlines=deadlines,
    )


def _trouble(box: SendingMailbox, *, on_hold: bool) -> str | None:
    """What keeps the mailbox from sending or being read, in the order of the gates.

    A connection that has failed comes before the hold of an earlier trouble; a hold for a server that could
    not be used lasts until it was used with success. A disconnect ends every earlier trouble.
    """
    health = box.health
    if box.state is ConnectionState.DISCONNECTED:
        return "disconnected"
    if box.state is ConnectionState.FAILED and health.last_error:
        return health.last_error
    if on_hold or health.hold_class in (ReplyClass.NET, ReplyClass.RETRY):
        return health.hold_reason
    if health.last_error is not None:
        return health.last_error
    return None if box.inbox.failing_since is None else f"inbox: {box.inbox.error}"


def show(context: Context, address: str, now: datetime) -> ShownMailbox:
    """Show a mailbox, also a removed one. Raises NotFound (`mailbox.none`), Refused."""
    with looking(context, now) as connection:
        box = authority.find_seen_mailbox(connection, context.actor, address)
        hanging = connections.hanging_on(connection, box.id, box.slot_id) if box.removed_at is None else ()
        sending = sending_mailboxes.by_id(connection, box.id)
        login = connections.login_of(connection, box.id)
        return ShownMailbox(
            listed=_listed(connection, [sending], now)[0],
            settings=_settings_of(connection, box, sending.settings),
            smtp=login.smtp,
            imap=login.imap,
            username=login.username,
            files_sent_copy=sending.files_sent_copy,
            day_ends_at=_day_of(sending, now)[1],
            inbox_read_at=sending.inbox.read_at,
            inbox_error=sending.inbox.error,
            campaigns=hanging,
            sends_as=sending.settings.sends_as,
            aliases=aliases.of_connection(connection, box.connection_id),
            folders=inboxes.folders_of(connection, box.id, sending.settings.folders),
            unread_mails=unread_mail.of_mailbox(connection, box.id),
            broke_by=lanes.broken(connection).get(box.id),
        )


def _settings_of(connection: Connection, box: StoredMailbox, stored: StoredSettings) -> list[ShownSetting]:
    """List the settings of `mailbox set`, and those set by the plan and other commands."""
    link = read_link(stored.contact_book)
    known = signatures.of_connection(connection, box.connection_id)
    main = next((each.name for each in known if each.is_main), None)
    return [
        *(stored.in_force(setting) for setting in SETTINGS.values()),
        sharing.setting(connection, box),
        ShownSetting("sync_every", stored.sync_every, "plan"),
        ShownSetting("sends_as", stored.sends_as or box.address, "own" if stored.sends_as else "default"),
        ShownSetting("contact_book", str(link), "default" if link == NEVER_LINKED else "own"),
        ShownSetting("signature", main, "own" if main else "default"),
    ]


def make_default(context: Context, address: str, now: datetime) -> bool:
    """Make a mailbox its user's default (B5); False if it already was."""
    with acting(context, now) as (connection, now):
        # Wait for a removal, which would leave a default without a seat.
        workspaces.lock(connection)
        box = seats.find_connected(connection, context.actor, address)
        if box.is_default:
            return False
        user = workspaces.user_by_id(connection, box.user_id)
        before_id = None if user is None else user.default_mailbox_id
        before = None if before_id is None else mailboxes.by_id(connection, before_id).address
        workspaces.set_default_mailbox(connection, box.user_id, box.id)
        change = {"key": "default", "before": before, "after": box.address}
        events.record(connection, context.actor, "mailbox.default", now, About(box.id), **change)
        return True


def pause(context: Context, address: str, now: datetime) -> bool:
    """Pause a mailbox; its messages wait (B12). False if it is already paused."""
    return _set_paused(context, address, now, at=now)


def resume(context: Context, address: str, now: datetime) -> bool:
    """Resume a paused mailbox; False if it was not paused."""
    return _set_paused(context, address, now, at=None)


def _set_paused(context: Context, address: str, now: datetime, at: datetime | None) -> bool:
    with acting(context, now) as (connection, now):
        box = seats.find_mailbox(connection, context.actor, address)
        if (connections.health_of(connection, box.id).paused_at is None) == (at is None):
            return False
        mailboxes.change(connection, box.id, paused_at=at)
        action = "mailbox.resumed" if at is None else "mailbox.paused"
        events.record(connection, context.actor, action, now, About(box.id))
        return True


def release(context: Context, address: str, now: datetime) -> str | None:
    """End a hold; return its reason, or None if there was none (F4)."""
    with acting(context, now) as (connection, now):
        box = seats.find_mailbox(connection, context.actor, address)
        return end_hold(connection, context.actor, box, now)


def end_hold(connection: Connection, actor: Actor, box: StoredMailbox, now: datetime) -> str | None:
    """The same in the caller's transaction."""
    health = connections.health_of(connection, box.id)
    if health.hold_reason is not None:
        mailboxes.end_hold(connection, box.id)
        mailboxes.change(connection, box.id, released_at=now)
        held = {"key": "hold", "before": health.hold_class, "after": None}
        events.record(connection, actor, "mailbox.released", now, About(box.id), **held)
    return health.hold_reason
