"""Mailboxes as people see and set them: listing, settings with their sources, rest and holds (B3–B5, B12)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules import quota
from mailrotate.core.services.access import accounts, authority, seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.mailboxes import folder_choice, sharing
from mailrotate.core.services.mailboxes.mailbox_settings import (
    Change,
    Settings,
    ShownSetting,
    access_of,
    apply_settings,
    settings_of,
    validate_settings,
)
from mailrotate.core.services.mailboxes.reconnecting import (
    KEEPS_LOGIN,
    LoginChange,
    Tell,
    login_after,
    login_changes,
    prove,
    renew,
)
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import (
    aliases,
    connections,
    deadlines,
    events,
    mailboxes,
    shares,
    visibility,
    workspaces,
)
from mailrotate.core.store.aliases import StoredAlias
from mailrotate.core.store.connections import HangingCampaign
from mailrotate.core.store.deadlines import RunningDeadline
from mailrotate.core.store.events import About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import inboxes
from mailrotate.core.store.sending.inboxes import StoredFolder
from mailrotate.core.values.duration import format_duration
from mailrotate.core.values.mail import Endpoint
from mailrotate.core.values.states import REMOVED_MAILBOX, ConnectionState


@dataclass(frozen=True)
class ListedMailbox:
    """One line of the list; `state` is the connection's, or `removed`."""

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
    last_error: str | None
    failed_at: datetime | None
    disconnected_at: datetime | None
    removed_at: datetime | None
    deadlines: Sequence[RunningDeadline]


@dataclass(frozen=True)
class ShownMailbox:
    """Everything about one mailbox but its secret; `changes` is what a deed has just made another."""

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
    changes: Sequence[Change] = ()


def listing(context: Context, now: datetime, *, removed: bool = False) -> list[ListedMailbox]:
    """Every mailbox, or every removed one, in the order of their first connection; a member's own (A6)."""
    with context.store.reading() as connection:
        viewer = authority.viewer_of(connection, context.actor)
        seen = None if viewer is None else visibility.mailbox_ids(connection, viewer)
        boxes = mailboxes.listing(connection, removed=removed)
        return _listed(connection, [box for box in boxes if seen is None or box.id in seen], now)


def _listed(connection: Connection, boxes: Sequence[StoredMailbox], now: datetime) -> list[ListedMailbox]:
    days = {box.id: quota.day_of(now, box.timezone, box.day_from, box.day_until)[0] for box in boxes}
    sent = mailboxes.sent_since_each(connection, days)
    running = deadlines.running(connection, list(days))
    return [_line(box, now, days[box.id], sent.get(box.id, 0), running.get(box.id, ())) for box in boxes]


def _line(
    box: StoredMailbox,
    now: datetime,
    day_from: datetime,
    sent_today: int,
    deadlines: Sequence[RunningDeadline],
) -> ListedMailbox:
    daily_limit, ramp_day = facts.limit_of_day(box, day_from)
    on_hold = box.hold_reason is not None and (box.hold_until is None or box.hold_until > now)
    return ListedMailbox(
        id=box.id,
        address=box.address,
        user=box.user_email,
        slot_id=None if box.state is ConnectionState.DISCONNECTED else box.slot_id,
        provider=box.provider,
        state=box.state if box.removed_at is None else REMOVED_MAILBOX,
        paused_at=box.paused_at,
        hold_reason=box.hold_reason if on_hold else None,
        hold_until=box.hold_until if on_hold else None,
        is_default=box.is_default,
        access=access_of(box),
        sender_name=box.sender_name,
        daily_limit=daily_limit,
        ramp_day=ramp_day,
        sent_today=sent_today,
        last_test_at=box.last_test_at,
        last_error=box.last_error,
        failed_at=box.failed_at,
        disconnected_at=box.disconnected_at,
        removed_at=box.removed_at,
        deadlines=deadlines,
    )


def show(context: Context, address: str, now: datetime) -> ShownMailbox:
    """For who may see it, as in the list; also a removed one. Raises NotFound (`mailbox.none`), Refused."""
    with context.store.reading() as connection:
        box = authority.find_seen_mailbox(connection, context.actor, address)
        hanging = connections.hanging_on(connection, box.id, box.slot_id) if box.removed_at is None else ()
        _, day_ends_at = quota.day_of(now, box.timezone, box.day_from, box.day_until)
        return ShownMailbox(
            listed=_listed(connection, [box], now)[0],
            settings=settings_of(connection, box),
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
            folders=inboxes.folders_of(connection, box.id, box.folders),
        )


def check_settings(context: Context, address: str, settings: Settings) -> StoredMailbox:
    """All refusals of `set_settings` that need no server, without changing anything."""
    with context.store.reading() as connection:
        box = seats.find_connected(connection, context.actor, address)
        validate_settings(connection, settings, context.actor)
        return box


def set_settings(
    context: Context,
    address: str,
    settings: Settings,
    now: datetime,
    *,
    login: LoginChange = KEEPS_LOGIN,
    tell: Tell = lambda _step: None,
) -> ShownMailbox:
    """Change settings, servers, login and folders, all of them or nothing (B3, B7).

    They reach every message that is not yet being sent. What only its server can judge is asked before, the
    folders with the new login. Raises BadInput, Refused, NotFound (`folder.none`), RemoteError, Busy,
    KeyTrouble: nothing is changed then.
    """
    box = check_settings(context, address, settings)
    named = settings.get("folders")
    if not (login or named):
        with context.store.writing() as connection:
            _, changes = _set_within(context, connection, box.address, settings, now)
        return replace(show(context, box.address, now), changes=changes)
    accounts.prove_key(context)
    with holding_lane(context, box.id, now):
        with context.store.reading() as connection:
            # Another login may have been stored while we waited for the lane.
            box = seats.find_connected(connection, context.actor, box.address)
        account = login_after(context, box, login, now, "set")
        if login:
            prove(context.provider(box.provider), account, tell, "set")
        ends = folder_choice.ends_of(context, account, named) if named else {}
        with context.store.writing() as connection:
            box, changes = _set_within(context, connection, box.address, settings, now)
            folder_choice.begin(connection, box.id, ends, now)
            if login:
                renewed = renew(context, connection, box, account, login, now)
                changes += login_changes(box, renewed, login)
    return replace(show(context, box.address, now), changes=changes)


def _set_within(
    context: Context, connection: Connection, address: str, settings: Settings, now: datetime
) -> tuple[StoredMailbox, list[Change]]:
    """The mailbox as it was, and what is another now."""
    # Not while the plan changes: what it allows is decided here.
    connections.lock_workspace(connection)
    box = seats.find_connected(connection, context.actor, address)
    validate_settings(connection, settings, context.actor)
    before = settings_of(connection, box)
    apply_settings(connection, box, settings, now)
    after = settings_of(connection, mailboxes.by_id(connection, box.id))
    changes = [
        Change(is_now.name, was.value, is_now.value, is_now.origin)
        for was, is_now in zip(before, after, strict=True)
        if (was.value, was.origin) != (is_now.value, is_now.origin)
    ]
    for one in changes:
        told = {"key": one.key, "before": _told(one.before), "after": _told(one.after)}
        events.record(connection, context.actor, "mailbox.set", now, About(box.id), **told)
    return box, changes


def _told(value: object) -> object:
    return format_duration(value) if isinstance(value, timedelta) else value


@dataclass(frozen=True)
class Unshared:
    """Who loses a mailbox that becomes personal, and which campaigns of theirs go on sending from it."""

    users: Sequence[str]
    campaigns: Sequence[str]


def losing(context: Context, address: str) -> Unshared:
    """Whom `--access personal` takes a shared mailbox from. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
        shared_with = sorted(shares.user_ids(connection, box.connection_id))
        return Unshared(sharing.named(connection, box), sharing.owned_by(connection, box, shared_with))


def make_default(context: Context, address: str, now: datetime) -> bool:
    """The address that its user sends from unless another is named (B5); False when it was so already."""
    with context.store.writing() as connection:
        # Not while the mailbox is removed: a default is on its user's seat.
        connections.lock_workspace(connection)
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
    """Rest a mailbox: its messages wait, nothing is lost (B12). False when it is already paused."""
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
            held = {"key": "hold", "before": box.hold_class, "after": None}
            events.record(connection, context.actor, "mailbox.released", now, About(box.id), **held)
        return box.hold_reason
