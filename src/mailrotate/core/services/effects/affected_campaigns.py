"""The campaigns and recipients that depend on a mailbox: what its failure, its user's lock or its removal
pauses, and what lifts these pauses (A10, B8, C6, C7)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.decision import decide
from mailrotate.core.rules.situation import Situation
from mailrotate.core.rules.transitions import CAMPAIGN, MESSAGE
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.effects import assigning, connection_errors, grace_periods, lifecycle
from mailrotate.core.store import (
    campaigns,
    connections,
    deadlines,
    events,
    moves,
    removals,
    senders,
    step_senders,
)
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.connections import HangingCampaign
from mailrotate.core.store.events import RUNNER, About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.removals import Affected
from mailrotate.core.store.sending import outbox, sending_mailboxes
from mailrotate.core.values.hint import Command
from mailrotate.core.values.reasons import (
    MAILBOX_DISCONNECTED,
    MAILBOX_FAILED,
    MAILBOX_REMOVED,
    NO_SENDER,
    USER_LOCKED,
)
from mailrotate.core.values.states import CampaignState, ConnectionState, DeadlineKind


@dataclass(frozen=True)
class Waiting:
    """Who continues after a reconnect, and when."""

    going_on: int
    follow_ups: int
    next_at: datetime | None
    # Rotations that it is no sender of until it is added again.
    awaiting: tuple[str, ...]


def lose(connection: Connection, box: StoredMailbox, said: str, failed_at: datetime) -> None:
    """Apply a mailbox's failure: its messages become errors, its days in rotations begin, and campaigns that
    cannot continue pause (C6, C7, C10, C15).

    A rotation without an able sender pauses for a reason that belongs to no mailbox: any of them ends it.
    """
    connection_errors.cut_off(connection, box, said, failed_at)
    grace_periods.begin_failure(connection, box, failed_at)
    for campaign in connections.hanging_on(connection, box.id, box.slot_id):
        if pauses_without(connection, campaign):
            reason, by = (NO_SENDER, 0) if campaign.rotates else (MAILBOX_FAILED, box.id)
            lifecycle.pause_campaign(connection, RUNNER, campaign.id, reason, by, failed_at)


def regain(connection: Connection, box: StoredMailbox, now: datetime) -> int:
    """Apply that a failed mailbox works again; return how many of its messages are scheduled again (C3)."""
    grace_periods.end_failure(connection, box.id, now)
    # Recipients that joined a rotation while no sender was able have waited for this one (E1).
    assigning.assign_waiting_in_lane(connection, box.id, box.slot_id, now)
    return connection_errors.go_on(connection, box)


def let_disconnect(connection: Connection, actor: Actor, box: StoredMailbox, now: datetime) -> None:
    """Apply a disconnect: pause every campaign that the mailbox sends for, let it leave rotations, whose hour
    begins, and put its messages into error (C6, C8, C15).

    A campaign for which it only took over recipients continues with its own senders; those recipients wait.
    """
    for campaign in connections.hanging_on(connection, box.id, box.slot_id):
        if campaign.is_sender:
            lifecycle.pause_campaign(connection, actor, campaign.id, MAILBOX_DISCONNECTED, box.id, now)
    connection_errors.cut_off(connection, box, "the mailbox was disconnected", now)
    grace_periods.begin_disconnect(connection, box, now)


def bring_back(connection: Connection, box: StoredMailbox, campaign_id: int, now: datetime) -> bool:
    """Give a mailbox its place in a rotation back, if its hour there still runs (C8)."""
    of_hour = deadlines.of_mailbox(box.id, DeadlineKind.DISCONNECT)
    for deadline in deadlines.running_where(connection, of_hour, deadlines.of_campaign(campaign_id)):
        if grace_periods.readd(connection, deadline, now):
            if box.state is ConnectionState.CONNECTED:
                connection_errors.go_on(connection, box)
            return True
    return False


def rejoin(connection: Connection, actor: Actor, box: StoredMailbox, now: datetime) -> list[str]:
    """Bring a mailbox back to every rotation in which its hour runs; return the campaigns' names."""
    came_back = []
    of_hour = deadlines.of_mailbox(box.id, DeadlineKind.DISCONNECT)
    for deadline in deadlines.running_where(connection, of_hour):
        if bring_back(connection, box, deadline.campaign_id, now):
            about = About(mailbox_id=box.id, campaign_id=deadline.campaign_id)
            events.record(connection, actor, "campaign.sender_added", now, about, came_back=True)
            # Recipients that a user added meanwhile and that only this mailbox may take (E2).
            assigning.assign_waiting(connection, deadline.campaign_id, now)
            came_back.append(deadline.campaign)
    return came_back


@dataclass(frozen=True)
class SlotTakenOver:
    """Single-sender campaigns that go on from the address that is in their slot now (C5)."""

    former: str
    campaigns: Sequence[str]
    people: int


def take_slot_over(connection: Connection, box: StoredMailbox) -> SlotTakenOver | None:
    """Plan again, from a new address, what the former mailbox of its slot would still have sent.

    None if no other mailbox was in the slot, or if no campaign is bound to it.
    """
    former = connections.former_in_slot(connection, box.slot_id, box.id)
    if former is None:
        return None
    bound = [one for one in connections.hanging_on(connection, 0, box.slot_id) if not one.rotates]
    sender_ids = senders.bound_to(connection, box.slot_id)
    removals.unplan(connection, former.id, sender_ids)
    moves.move_many(connection, MESSAGE["cancel"], outbox.in_lane_for(former.id, sender_ids))
    if not bound:
        return None
    return SlotTakenOver(former.address, [one.name for one in bound], sum(one.people for one in bound))


def follow_to_slot(connection: Connection, actor: Actor, box: StoredMailbox, now: datetime) -> list[str]:
    """Bind single-sender campaigns whose slot was removed to the slot that their mailbox is connected in now;
    return their names. They continue once they are resumed."""
    stranded = senders.bound_to_removed_slots(connection, box.user_id, box.id)
    for sender in stranded:
        senders.bind_to_slot(connection, [sender.id], box.slot_id)
        about = About(mailbox_id=box.id, campaign_id=sender.campaign_id)
        change = {"before": f"s_{sender.slot_id}", "after": f"s_{box.slot_id}"}
        events.record(connection, actor, "campaign.sender", now, about, key="slot", **change)
    return [sender.campaign for sender in stranded]


def stops_without(connection: Connection, campaign: Affected, box: StoredMailbox) -> bool:
    """Whether a campaign pauses when this mailbox is removed without a replacement (B8).

    A rotation pauses only if no other sender of it can send (C7).
    """
    if not campaign.rotates:
        return bool(campaign.bound_ids)
    return campaign.is_current_sender and not others_send(connection, campaign.id, {box.id})


def let_go(
    connection: Connection,
    actor: Actor,
    box: StoredMailbox,
    stopping: Sequence[Affected],
    now: datetime,
) -> None:
    """Apply a removal to the campaigns: end its graces, since no recipient depends on it any more, and pause
    those without another sender."""
    grace_periods.end_with_mailbox(connection, box.id, now)
    for campaign in stopping:
        lifecycle.pause_campaign(connection, actor, campaign.id, MAILBOX_REMOVED, box.id, now)


def way_on(connection: Connection, campaign: StoredCampaign) -> Command | None:
    """The command needed before `campaign resume`, if the single sender was removed and its slot is empty."""
    if campaign.rotation is not None or MAILBOX_REMOVED not in campaign.pause_reasons:
        return None
    if any(sender.mailbox_id is not None for sender in assigning.current_senders(connection, campaign.id)):
        return None
    former = removals.paused_by(connection, campaign.id, MAILBOX_REMOVED) or "ADDRESS"
    return Command("recipient", "assign", campaign.name, "--from-sender", former, "--to-sender", "ADDRESS")


def lift_pauses(connection: Connection, actor: Actor, box: StoredMailbox, now: datetime) -> list[str]:
    """Lift the pauses of this mailbox's trouble where it is a sender; return the campaigns that run again.

    While its user is locked it cannot send: a campaign without another able sender stays paused (A10).
    """
    running = []
    for campaign_id, name in connections.paused_by(connection, box.id, NO_SENDER):
        present = assigning.current_senders(connection, campaign_id)
        if box.id not in {one.mailbox_id for one in present} or not any(map(assigning.is_able, present)):
            continue
        if connections.lift_pauses_of(connection, campaign_id, box.id, NO_SENDER) and moves.move(
            connection, CAMPAIGN["resume"], campaign_id, resumed_at=now
        ):
            about = About(mailbox_id=box.id, campaign_id=campaign_id)
            events.record(connection, actor, "campaign.resumed", now, about)
            # Recipients that joined while it was paused for want of a sender.
            assigning.assign_waiting(connection, campaign_id, now)
            running.append(name)
    return running


def waiting_for(context: Context, connection: Connection, box: StoredMailbox, now: datetime) -> Waiting:
    """Count who waits for this mailbox now, and find when the gates let the first message go."""
    awaiting = _awaiting(connection, box)
    hanging = [campaign for campaign in all_hanging_on(connection, box) if campaign.id not in awaiting]
    active = [campaign for campaign in hanging if campaign.state is CampaignState.ACTIVE]
    starts = (_next_at(context, connection, campaign.id, box, now) for campaign in active)
    return Waiting(
        going_on=sum(campaign.people for campaign in active),
        follow_ups=sum(campaign.contacted for campaign in active),
        next_at=min((instant for instant in starts if instant is not None), default=None),
        awaiting=tuple(awaiting.values()),
    )


def all_hanging_on(connection: Connection, box: StoredMailbox) -> list[HangingCampaign]:
    """The campaigns that send from a mailbox, also those in which only a step names it (D9)."""
    own = connections.hanging_on(connection, box.id, box.slot_id)
    return own + step_senders.hanging_on(connection, box.id, [campaign.id for campaign in own])


def _awaiting(connection: Connection, box: StoredMailbox) -> dict[int, str]:
    """The rotations that a mailbox left when it was disconnected, and may still return to (C8)."""
    of_hour = deadlines.of_mailbox(box.id, DeadlineKind.DISCONNECT)
    return {one.campaign_id: one.campaign for one in deadlines.running_where(connection, of_hour)}


def _next_at(
    context: Context, connection: Connection, campaign_id: int, box: StoredMailbox, now: datetime
) -> datetime | None:
    due_at = connections.next_due_of(connection, campaign_id, box.id, box.slot_id)
    if due_at is None:
        return None
    campaign = campaigns.by_id(connection, campaign_id)
    sending = sending_mailboxes.by_id(connection, box.id)
    situation = Situation(
        facts.campaign_facts(context, campaign, sending.settings.workspace_timezone, now),
        facts.mailbox_facts(connection, sending, now),
        None,
    )
    return decide(situation, max(due_at, now)).next_at


def hanging_on_seat(connection: Connection, boxes: Sequence[StoredMailbox]) -> list[HangingCampaign]:
    """The campaigns that send from one user's mailboxes, each once, with their waiting recipients."""
    found: dict[int, HangingCampaign] = {}
    for box in boxes:
        for campaign in connections.hanging_on(connection, box.id, box.slot_id):
            known = found.get(campaign.id)
            # With a single sender both counts are of the same slot.
            people = campaign.people + (known.people if known is not None and known.rotates else 0)
            found[campaign.id] = replace(campaign, people=people)
    return list(found.values())


def pause_for_lock(
    connection: Connection, actor: Actor, boxes: Sequence[StoredMailbox], now: datetime
) -> None:
    """Pause campaigns for a locked user, whose mailboxes count as failed senders without a deadline (A10).

    The reason belongs to no mailbox: only `campaign resume` lifts it, not a reconnect.
    """
    for campaign in hanging_on_seat(connection, boxes):
        if pauses_without(connection, campaign):
            lifecycle.pause_campaign(connection, actor, campaign.id, USER_LOCKED, 0, now)


def pauses_without(
    connection: Connection, campaign: HangingCampaign, away: Collection[int | None] = ()
) -> bool:
    """Whether a campaign stops while mailboxes are away: a rotation only without other senders."""
    if not campaign.is_sender:
        return False
    return not campaign.rotates or not others_send(connection, campaign.id, away)


def others_send(connection: Connection, campaign_id: int, away: Collection[int | None]) -> bool:
    """Whether a rotation has an able sender besides the mailboxes `away`."""
    return any(
        sender.left_at is None
        and sender.state == ConnectionState.CONNECTED
        and not sender.user_locked
        and sender.mailbox_id not in away
        for sender in senders.senders_of(connection, campaign_id)
    )
