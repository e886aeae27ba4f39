"""Connect a mailbox: its seat, slot and settings (B2, A5, A7-A9, C4).

The caller has logged in to both servers already; nothing here uses the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import provider_limits, quota, roles
from mailrotate.core.rules.transitions import CONNECTION, DEADLINE
from mailrotate.core.services.access import accounts, ownership, seats, secrets
from mailrotate.core.services.contacts import contact_book
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import (
    affected_campaigns,
    connection_errors,
    grace_periods,
    late_release,
    resuming,
)
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.services.effects.late_release import Late
from mailrotate.core.services.effects.resuming import StillPaused
from mailrotate.core.services.mailboxes import (
    alias_choice,
    mailbox_settings,
    sharing,
    signature_editing,
)
from mailrotate.core.store import (
    connections,
    deadlines,
    events,
    mailboxes,
    seat_addresses,
    senders,
    settings,
    workspaces,
)
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import inboxes, sending_mailboxes
from mailrotate.core.values import own_settings
from mailrotate.core.values.credential import Credential
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import MailAccount, ServerGuess
from mailrotate.core.values.own_settings import Given, Wanted
from mailrotate.core.values.states import DeadlineKind


@dataclass(frozen=True)
class NewConnection:
    """The requested connection, with the servers found for it."""

    address: str
    servers: ServerGuess
    credential: Credential
    settings: Given
    user_email: str | None = None
    slot_id: int | None = None
    # Connect even if the slot is still reserved for another mailbox (A5).
    takes_awaited_slot: bool = False
    # Return to every rotation in which its hour runs (C8), and resume the campaigns that its trouble paused.
    rejoins: bool = False
    resumes: bool = False
    # Keep messages that are too late until `outbox release` (H4).
    parks_late: bool = False

    @property
    def account(self) -> MailAccount:
        return MailAccount(
            address=self.address,
            provider=self.servers.provider,
            smtp=self.servers.smtp,
            imap=self.servers.imap,
            username=self.servers.username or self.address,
            credential=self.credential,
        )


@dataclass(frozen=True)
class Return:
    """How campaigns go on after a connect.

    `taken_over` are those of another mailbox's slot (C5); `rejoined` the rotations that the mailbox returned
    to, `awaiting` those that it may still return to, `settled` those in which its time was over, with the
    number of stopped recipients and the instant (C8); `resumed` the campaigns that run again; `late` the
    messages that the mailbox sends too late (H4).
    """

    taken_over: affected_campaigns.SlotTakenOver | None
    rejoined: Sequence[str]
    awaiting: Sequence[str]
    settled: Sequence[tuple[str, int, datetime]]
    resumed: Sequence[str]
    paused: Sequence[StillPaused]
    late: Sequence[Late]


@dataclass(frozen=True)
class Connected:
    """The result of a connect.

    `reset` are the settings that were reset, with the command for each; `followed` the campaigns that lost
    their slot and use this mailbox's new one; `warnings` concern the address on this seat (A8).
    """

    mailbox_id: int
    address: str
    user: str
    slot_id: int
    slots_taken: int
    slots_total: int
    is_default: bool
    default: str | None
    files_sent_copy: bool | None
    reset: Mapping[str, Command]
    followed: Sequence[str]
    back: Return
    warnings: Sequence[str]


def former_servers(context: Context, address: str) -> ServerGuess | None:
    """Return a disconnected mailbox's servers, which are not settings and therefore not reset (C4).

    None if the acting user may not connect it. Raises Refused (`user.…`).
    """
    with context.store.reading() as connection:
        acting = seats.require_active(connection, context.actor)
        box = mailboxes.by_address(connection, address)
        login = None if box is None else connections.login_of(connection, box.id)
    if (
        box is None
        or login is None
        or box.removed_at is not None
        or not roles.may_on_seat(acting.role, acting.id == box.user_id)
    ):
        return None
    return ServerGuess(login.provider, login.smtp, login.imap, "before", login.username)


def returns(
    context: Context, address: str, user_email: str | None, now: datetime
) -> list[tuple[str, datetime]]:
    """The rotations that a user's disconnected mailbox may still return to, each with its hour's end (C8).

    Raises NotFound, Refused (`user.…`).
    """
    with looking(context, now) as connection:
        user = seats.user_for(connection, context.actor, user_email)
        box = mailboxes.by_address(connection, address)
        if box is None or box.user_id != user.id:
            return []
        of_hour = deadlines.of_mailbox(box.id, DeadlineKind.DISCONNECT)
        return [(one.campaign, one.ends_at) for one in deadlines.running_where(connection, of_hour)]


def refuse_connect(
    context: Context,
    address: str,
    user_email: str | None,
    slot_id: int | None,
    given: Given,
    *,
    starts_key: bool = False,
) -> None:
    """Make every check that needs no server, before the login.

    With `starts_key` the workspace's key is lost, and a new one will be started. Raises Refused, NotFound,
    BadInput, KeyTrouble.
    """
    first = own_settings.parse(given)
    with context.store.reading() as connection:
        seats.seat_for(connection, context.actor, address, user_email, slot_id)
        mailbox_settings.refuse_unpermitted(connection, first, context.actor)
    if not starts_key:
        accounts.prove_key(context)


def connect(context: Context, wanted: NewConnection, now: datetime) -> Connected:
    """Store a connection after its login worked. Raises Refused, NotFound, KeyTrouble,
    ConfirmationNeeded (`slot.awaited`)."""
    accounts.prove_key(context)  # so that no transaction waits for a keyring
    address, account, first = wanted.address, wanted.account, own_settings.parse(wanted.settings)
    with acting(context, now) as (connection, now):
        # One at a time: two must not take the same slot or address.
        workspaces.lock(connection)
        seat = seats.seat_for(connection, context.actor, address, wanted.user_email, wanted.slot_id)
        if not wanted.takes_awaited_slot:
            grace_periods.refuse_awaited(connection, seat.slot_id, address, now)
        mailbox_settings.refuse_unpermitted(connection, first, context.actor)
        reset = reset_of(connection, seat.former, first)
        mailbox_id = _place_mailbox(connection, context.actor, seat, address, now)
        connection_id = connections.insert_connection(
            connection,
            CONNECTION["connect"],
            mailbox_id,
            seat.slot_id,
            now,
            provider=account.provider,
            username=account.username,
            **connections.server_columns(account.smtp, account.imap),
        )
        sealed = secrets.seal(context, connection, connection_id, 1, account.credential)
        mailboxes.change_connection(connection, connection_id, secret=sealed)
        if seat.former is None or seat.former.provider != account.provider:
            habit = provider_limits.files_sent_copy(account.provider)
            mailboxes.change(connection, mailbox_id, files_sent_copy=habit)
        mailbox_settings.apply(connection, mailboxes.by_id(connection, mailbox_id), first, now)
        if seat.user.default_mailbox_id is None:
            workspaces.set_default_mailbox(connection, seat.user.id, mailbox_id)
        about = About(mailbox_id)
        events.record(connection, context.actor, "mailbox.connected", now, about, provider=account.provider)
        is_new = seat.former is None or seat.former.removed_at is not None
        odd = ownership.warnings(connection, seat.user, address) if is_new else ()
        box = mailboxes.by_id(connection, mailbox_id)
        followed = affected_campaigns.follow_to_slot(connection, context.actor, box, now)
        return _connected(
            connection, box, reset, followed, _come_back(connection, context.actor, box, wanted, now), odd
        )


def _come_back(
    connection: Connection, actor: Actor, box: StoredMailbox, wanted: NewConnection, now: datetime
) -> Return:
    """Let the mailbox's campaigns go on as far as the user asked for it."""
    taken_over = affected_campaigns.take_slot_over(connection, box)
    connection_errors.go_on(connection, box)
    rejoined = affected_campaigns.rejoin(connection, actor, box, now) if wanted.rejoins else []
    of_hour = deadlines.of_mailbox(box.id, DeadlineKind.DISCONNECT)
    awaiting = [one.campaign for one in deadlines.running_where(connection, of_hour)]
    resumed = affected_campaigns.lift_pauses(connection, actor, box, now) if wanted.resumes else []
    settled = deadlines.last_settled(connection, box.id, DEADLINE["settled"].event)
    paused = resuming.still_paused(connection, actor, box)
    late = late_release.of_mailboxes(connection, actor, [box], wanted.parks_late, now)
    return Return(taken_over, rejoined, awaiting, settled, resumed, paused, late)


def reset_of(connection: Connection, former: StoredMailbox | None, wanted: Wanted) -> dict[str, Command]:
    """List what disconnect and connect reset (C4). A removed mailbox keeps nothing."""
    if former is None or former.removed_at is not None:
        return {}
    stored = settings.of(connection, former.id)
    return {
        **mailbox_settings.reset_commands(former, stored.own, wanted),
        **sharing.reset_commands(connection, former),
        **alias_choice.reset_commands(connection, former),
        **contact_book.reset_commands(connection, former),
        **signature_editing.reset_commands(connection, former),
    }


def _place_mailbox(
    connection: Connection, actor: Actor, seat: seats.Seat, address: str, now: datetime
) -> int:
    """Place the address on its seat, as a new mailbox or as the former one with its history."""
    former = seat.former
    if former is None:
        return connections.insert_mailbox(connection, address, seat.user.id, now)
    if former.removed_at is not None:
        senders.leave_all(connection, former.id, now)
        mailboxes.change(connection, former.id, user_id=seat.user.id, removed_at=None, paused_at=None)
        users = {"key": "user", "before": former.user_id, "after": seat.user.id}
        events.record(connection, actor, "mailbox.came_back", now, About(former.id), **users)
    _begin_anew(connection, former, now)
    return former.id


def _begin_anew(connection: Connection, former: StoredMailbox, now: datetime) -> None:
    """Reset the settings, which belong to the connection; history, counters and the default flag stay."""
    stored = settings.of(connection, former.id)
    connections.supersede(connection, former.id, now)
    seat_addresses.release_all(connection, former.id)
    seat_addresses.hold(connection, former.address, former.id)
    inboxes.forget_failure(connection, former.id)
    if stored.own.timezone is not None:
        # The workspace's zone applies again, with the same rule as for any change of zone (B4).
        running = quota.day_of(now, stored.timezone, stored.day_from, stored.day_until)
        start, end = quota.day_after_zone_change(now, running, stored.workspace_timezone)
        mailboxes.change(connection, former.id, day_from=start, day_until=end)


def _connected(
    connection: Connection,
    box: StoredMailbox,
    reset: Mapping[str, Command],
    followed: Sequence[str],
    back: Return,
    warnings: Sequence[str],
) -> Connected:
    user = workspaces.user_by_id(connection, box.user_id)
    default_id = None if user is None else user.default_mailbox_id
    return Connected(
        mailbox_id=box.id,
        address=box.address,
        user=box.user_email,
        slot_id=box.slot_id,
        slots_taken=connections.taken_slots(connection, box.user_id),
        slots_total=len(workspaces.slots_of(connection, box.user_id)),
        is_default=box.is_default,
        default=None if default_id is None else mailboxes.by_id(connection, default_id).address,
        files_sent_copy=sending_mailboxes.by_id(connection, box.id).files_sent_copy,
        reset=reset,
        followed=followed,
        back=back,
        warnings=warnings,
    )
