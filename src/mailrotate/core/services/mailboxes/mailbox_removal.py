"""Remove a mailbox in one transaction, and show the consequences before (B5, B8, G2)."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.sign_in import sign_in
from mailrotate.core.rules.transitions import CONNECTION, MESSAGE, RECIPIENT
from mailrotate.core.services.access import advice, naming, seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import affected_campaigns, assigning
from mailrotate.core.services.effects.consequences import Consequences, HitCampaign, fate_of
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import (
    events,
    mailboxes,
    moves,
    removals,
    requests,
    seat_addresses,
    senders,
    shares,
    step_senders,
    workspaces,
)
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import recipients, tags
from mailrotate.core.store.removals import Affected, HangingPerson
from mailrotate.core.store.sending import outbox
from mailrotate.core.values import reasons
from mailrotate.core.values.errors import Busy, Refused
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import CampaignState, ConnectionState, MessageState, UserState

# Why a recipient has another sender than the campaign assigned.
MOVED = "moved"


@dataclass(frozen=True)
class RemovalConsequences(Consequences):
    """What a removal does, or has done. `waiting_messages` are all messages that will not be sent, including
    those of other mailboxes. `next_default` replaces a default mailbox. Held messages stay. `way_back` keeps
    a mailbox that is away."""

    address: str
    move_to: str | None
    drafts: int
    held: int
    next_default: str | None
    approval_ends: bool
    way_back: Command | None
    tagged: int = 0


@dataclass(frozen=True)
class _Case:
    """A mailbox to remove, its optional replacement, and the affected campaigns."""

    actor: Actor
    box: StoredMailbox
    taker: StoredMailbox | None
    affected: Sequence[Affected]
    stopping: Sequence[Affected]

    @property
    def sender_ids(self) -> list[int]:
        return [sender_id for campaign in self.affected for sender_id in campaign.sender_ids]


def consequences(
    context: Context, address: str, move_to: str | None, now: datetime | None = None
) -> RemovalConsequences:
    """Show what `remove` would do. Raises as `remove`."""
    with looking(context, now) as connection:
        case = _case(connection, context.actor, address, move_to)
        _require_step_senders(case)
        return _consequences(connection, case)


@contextmanager
def people(context: Context, address: str, now: datetime | None = None) -> Iterator[Iterator[HangingPerson]]:
    """Stream the people that a removal affects while the block lasts. Raises NotFound, Refused."""
    with looking(context, now) as connection:
        case = _case(connection, context.actor, address, None)
        with closing(removals.people(connection, case.sender_ids)) as found:
            yield found


def _case(connection: Connection, actor: Actor, address: str, move_to: str | None) -> _Case:
    box = seats.find_mailbox(connection, actor, address)
    sender = mailboxes.on_slot(connection, box.slot_id)
    own_slot = box.slot_id if sender is not None and sender.id == box.id else None
    affected = removals.affected(connection, box.id, own_slot)
    taker = None if move_to is None else _taker(connection, actor, box, affected, move_to)
    stopping = [
        campaign
        for campaign in affected
        if taker is None and affected_campaigns.stops_without(connection, campaign, box)
    ]
    return _Case(actor, box, taker, affected, stopping)


def _require_step_senders(case: _Case) -> None:
    """Refuse to leave a step of an unfinished campaign without the mailbox that it names (B8, D9)."""
    named = [campaign.name for campaign in case.affected if campaign.step_count]
    if named and case.taker is None:
        raise Refused(
            "mailbox.step_sender",
            f"{case.box.address} sends a step of campaign {' and '.join(map(repr, named))}",
            Hint(
                "name the mailbox that sends it instead:",
                Command("mailbox", "remove", case.box.address, "--move-to", "ADDRESS"),
            ),
        )


def _taker(
    connection: Connection, actor: Actor, box: StoredMailbox, affected: Sequence[Affected], move_to: str
) -> StoredMailbox:
    taker = naming.find_mailbox(connection, move_to)
    if taker.id == box.id:
        raise Refused(
            "mailbox.same",
            f"{box.address} cannot take over from itself",
            Hint("name another:", Command("user", "show", box.user_email)),
        )
    require_able(connection, actor, taker)
    for campaign in affected:
        if campaign.contacted or campaign.step_count or not campaign.rotates:
            require_owner_may_use(connection, campaign.name, campaign.owner_id, taker)
    return taker


def require_able(connection: Connection, actor: Actor, taker: StoredMailbox) -> None:
    """Refuse unless the mailbox is connected and its user is not locked (A10)."""
    if taker.state is not ConnectionState.CONNECTED:
        command = sign_in(taker.state, taker.address)
        raise Refused(
            "mailbox.not_connected",
            f"{taker.address} is {taker.state}; only a connected mailbox can take over recipients",
            advice.way(connection, actor, Deed.ANY_SEAT, command, seat_id=taker.user_id),
        )
    if taker.user_state is UserState.LOCKED:
        raise Refused(
            "mailbox.user_locked",
            f"{taker.address} cannot send: its user {taker.user_email} is locked",
            advice.way(connection, actor, Deed.USERS, Command("user", "unlock", taker.user_email)),
        )


def require_owner_may_use(connection: Connection, campaign: str, owner_id: int, taker: StoredMailbox) -> None:
    """Refuse unless the campaign's owner may send from the mailbox (B6)."""
    owner = workspaces.user_by_id(connection, owner_id)
    assert owner is not None  # the owner of a campaign is never erased
    if not seats.may_send_from(connection, owner, taker):
        raise Refused(
            "mailbox.not_owners",
            f"campaign '{campaign}' is owned by {owner.email}, who may not send from {taker.address}",
            Hint("choose a mailbox of theirs:", Command("user", "show", owner.email)),
        )


def _consequences(connection: Connection, case: _Case) -> RemovalConsequences:
    unsent = removals.unsent_by_state(connection, case.box.id)
    elsewhere = sum(campaign.elsewhere for campaign in case.affected if case.taker is None)
    heir = removals.longest_connected(connection, case.box.user_id, case.box.id)
    return RemovalConsequences(
        addresses=(case.box.address,),
        address=case.box.address,
        move_to=None if case.taker is None else case.taker.address,
        campaigns=[_for_campaign(connection, case, campaign) for campaign in case.affected],
        drafts=unsent.get(MessageState.DRAFT, 0),
        waiting_messages=unsent.get(MessageState.SCHEDULED, 0)
        + unsent.get(MessageState.ERROR, 0)
        + elsewhere,
        held=unsent.get(MessageState.HELD, 0),
        is_default=case.box.is_default,
        next_default=heir[1] if case.box.is_default and heir is not None else None,
        approval_ends=requests.has_approval(connection, case.box.id),
        way_back=_way_back(case.box),
    )


def _way_back(box: StoredMailbox) -> Command | None:
    if box.state is ConnectionState.CONNECTED:
        return None
    flags = ("--rejoin",) if box.state is ConnectionState.DISCONNECTED else ()
    return sign_in(box.state, box.address, *flags)


def _for_campaign(connection: Connection, case: _Case, campaign: Affected) -> HitCampaign:
    moves = case.taker is not None
    goes_along = moves and bool(campaign.bound_ids)
    others = not campaign.rotates or affected_campaigns.others_send(connection, campaign.id, {case.box.id})
    spreads = others and not campaign.bound_ids
    return HitCampaign(
        name=campaign.name,
        state=campaign.state,
        rotates=campaign.rotates,
        people=campaign.contacted + campaign.untouched,
        fate=fate_of(campaign.state, campaign in case.stopping, is_replaced=moves),
        failed=0 if moves else campaign.contacted,
        moved=(campaign.contacted if moves else 0) + (campaign.untouched if goes_along else 0),
        assigned_anew=campaign.untouched if spreads else 0,
        waiting=0 if spreads or goes_along else campaign.untouched,
        cancelled=campaign.cancellable + (0 if moves else campaign.elsewhere),
        step_count=campaign.step_count,
    )


def remove(
    context: Context, address: str, *, move_to: str | None = None, tag: str | None = None, now: datetime
) -> RemovalConsequences:
    """Remove a mailbox from its seat; address, history and counts stay.

    Changes nothing if it raises NotFound, Refused (`mailbox.sending`, `mailbox.step_sender`, …) or Busy.
    """
    with context.store.reading() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
    with _lane_of(context, box, now), acting(context, now) as (connection, now):
        workspaces.lock(connection)
        recipients.lock_enrolment(connection)
        case = _case(connection, context.actor, address, move_to)
        _require_step_senders(case)
        following = _consequences(connection, case)
        tagged = 0
        if tag is not None:
            tagged = tags.add_where(connection, removals.contact_ids(case.sender_ids), tag)
        _settle_people(connection, case, now)
        _settle_campaigns(connection, case, following, now)
        _clear_seat(connection, case, following, now)
    return replace(following, tagged=tagged)


@contextmanager
def _lane_of(context: Context, box: StoredMailbox, now: datetime) -> Iterator[None]:
    """Hold the mailbox's lane; refuse if a runner is sending from it."""
    try:
        with holding_lane(context, box.id, now):
            yield
    except Busy as busy:
        if busy.code == "lane.busy":
            with context.store.reading() as connection:
                if removals.is_sending(connection, box.id):
                    raise _is_sending(box) from None
        raise


def _is_sending(box: StoredMailbox) -> Refused:
    return Refused(
        "mailbox.sending",
        f"a message of {box.address} is being sent right now; nothing was changed",
        Hint("pause it first:", Command("mailbox", "pause", box.address)),
    )


def _settle_people(connection: Connection, case: _Case, now: datetime) -> None:
    """End, move or release the mailbox's recipients; recipients first, then their messages, in the order of
    every other change that ends recipients."""
    failing = case.sender_ids if case.taker is None else []
    recipients.end_many(
        connection,
        RECIPIENT["mailbox_removed"],
        reasons.MAILBOX_REMOVED,
        removals.contacted_by(failing),
        now,
    )
    removals.unplan(connection, case.box.id)
    for campaign in case.affected:
        if campaign.joined_ids:
            if case.taker is not None and campaign.contacted:
                to = removals.taker(connection, campaign.id, case.taker.id, now)
                removals.hand_over(connection, campaign.joined_ids, to, MOVED)
            removals.give_back(connection, campaign.joined_ids)
            removals.leave(connection, campaign.joined_ids, now)
        if campaign.bound_ids and case.taker is not None:
            senders.bind_to_slot(connection, campaign.bound_ids, case.taker.slot_id)
    if case.taker is not None:
        named = [campaign.id for campaign in case.affected if campaign.step_count]
        step_senders.rename(connection, named, case.box.id, case.taker.id)
    moves.move_many(connection, MESSAGE["cancel"], outbox.in_lane(case.box.id))
    if failing:
        moves.move_many(connection, MESSAGE["cancel"], removals.for_failed(failing))
    # Last, because a runner may have claimed a message before it could be cancelled.
    if removals.is_sending(connection, case.box.id, failing):
        raise _is_sending(case.box)
    removals.drop_copies(connection, case.box.id)


def _settle_campaigns(
    connection: Connection, case: _Case, following: RemovalConsequences, now: datetime
) -> None:
    affected_campaigns.let_go(connection, case.actor, case.box, case.stopping, now)
    for campaign, told in zip(case.affected, following.campaigns, strict=True):
        if campaign.joined_ids and campaign.state is not CampaignState.DRAFT:
            assigning.assign_waiting(connection, campaign.id, now)
        events.record(
            connection,
            case.actor,
            "campaign.sender_removed",
            now,
            About(mailbox_id=case.box.id, campaign_id=campaign.id),
            key="sender",
            before=case.box.address,
            after=None if case.taker is None else case.taker.address,
            failed=told.failed,
            moved=told.moved,
            given_back=0 if campaign.bound_ids else campaign.untouched,
        )


def _clear_seat(connection: Connection, case: _Case, following: RemovalConsequences, now: datetime) -> None:
    """End the connection, delete its secret, and free address, approval, slot and default (A7, A9, B5)."""
    box = case.box
    moves.move(
        connection, CONNECTION["disconnect"], box.connection_id, disconnected_at=now, trouble_since=None
    )
    mailboxes.change_connection(connection, box.connection_id, secret=None)
    mailboxes.change(connection, box.id, removed_at=now)
    requests.end_of_mailbox(connection, box.id, now)
    seat_addresses.release_all(connection, box.id)
    shares.remove_all(connection, box.connection_id)
    about = About(box.id)
    events.record(
        connection,
        case.actor,
        "mailbox.removed",
        now,
        about,
        key="state",
        before=box.state,
        after="removed",
        user=box.user_id,
        cancelled=following.drafts + following.waiting_messages,
    )
    if box.is_default:
        heir = removals.longest_connected(connection, box.user_id, box.id)
        after = None if heir is None else heir[0]
        workspaces.set_default_mailbox(connection, box.user_id, after)
        heir_address = None if heir is None else heir[1]
        passed = {"key": "default", "before": box.address, "after": heir_address, "user": box.user_id}
        events.record(connection, case.actor, "mailbox.default", now, About(after or box.id), **passed)
