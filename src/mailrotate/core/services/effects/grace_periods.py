"""Deadlines: how long a mailbox that is away may come back, and what follows when it does not (C8-C12)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.grace import failure_began_at, has_passed
from mailrotate.core.rules.transitions import DEADLINE, MESSAGE, RECIPIENT
from mailrotate.core.services import periods
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import assigning, lifecycle
from mailrotate.core.store import campaigns, deadlines, events, removals, senders
from mailrotate.core.store.deadlines import AwaitedReturn, StoredDeadline
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import recipients, stopping
from mailrotate.core.store.sending import send_mark
from mailrotate.core.values.errors import ConfirmationNeeded
from mailrotate.core.values.reasons import NO_SENDER, away_reason
from mailrotate.core.values.states import CampaignState, DeadlineKind, Departure
from mailrotate.core.values.transition import Transition

_STARTED = (CampaignState.ACTIVE, CampaignState.PAUSED)


# --- beginning


def begin_failure(connection: Connection, box: StoredMailbox, failed_at: datetime) -> None:
    """Start the days of a failed mailbox in each started rotation that it sends for (C10)."""
    for _, campaign_id in senders.rotations_of(connection, box.id, *_STARTED):
        _begin_failure_in(connection, box.id, campaign_id, failed_at)


def begin_for_failed_senders(connection: Connection, campaign_id: int, now: datetime) -> None:
    """Start the days of senders that had failed before the campaign was started, or before they joined."""
    if campaigns.by_id(connection, campaign_id).rotation is None:
        return
    for sender in assigning.current_senders(connection, campaign_id):
        if assigning.is_failed(sender) and sender.mailbox_id is not None:
            _begin_failure_in(connection, sender.mailbox_id, campaign_id, now)


def _begin_failure_in(connection: Connection, mailbox_id: int, campaign_id: int, failed_at: datetime) -> None:
    campaign = campaigns.by_id(connection, campaign_id)
    joined = [
        sender.joined_at
        for sender in assigning.current_senders(connection, campaign_id)
        if sender.mailbox_id == mailbox_id
    ]
    if campaign.started_at is None or not joined:
        return
    began_at = failure_began_at(failed_at, max(joined), campaign.started_at)
    ends_at = began_at + periods.period(connection, "failure")
    deadlines.begin(
        connection, DEADLINE["begin"], mailbox_id, [campaign_id], DeadlineKind.FAILURE, began_at, ends_at
    )


def begin_disconnect(connection: Connection, box: StoredMailbox, now: datetime) -> None:
    """Let a disconnected mailbox leave each started rotation; its hour runs, instead of a failure's days.

    Where it has left already, its hour goes on.
    """
    of_failure = deadlines.of_mailbox(box.id, DeadlineKind.FAILURE)
    end(connection, "converted", deadlines.running_where(connection, of_failure), now)
    rotations = senders.rotations_of(connection, box.id, *_STARTED)
    senders.depart(connection, [sender_id for sender_id, _ in rotations], Departure.DISCONNECTED, now)
    ends_at = now + periods.period(connection, "grace")
    campaign_ids = [campaign_id for _, campaign_id in rotations]
    deadlines.begin(
        connection, DEADLINE["begin"], box.id, campaign_ids, DeadlineKind.DISCONNECT, now, ends_at
    )


# --- ending without loss


def end(connection: Connection, event: str, running: Sequence[StoredDeadline], now: datetime) -> None:
    """End deadlines for another reason than that their time has passed."""
    deadlines.end(connection, DEADLINE[event], [one.id for one in running], now)


def end_failure(connection: Connection, mailbox_id: int, now: datetime) -> None:
    """End the days of a failure, because the mailbox works again (C3)."""
    of_failure = deadlines.of_mailbox(mailbox_id, DeadlineKind.FAILURE)
    end(connection, "recovered", deadlines.running_where(connection, of_failure), now)


def end_with_campaign(connection: Connection, campaign_id: int, now: datetime) -> None:
    """End the deadlines of a campaign in which nobody waits any more (C12)."""
    end(
        connection,
        "campaign_ended",
        deadlines.running_where(connection, deadlines.of_campaign(campaign_id)),
        now,
    )


def end_with_mailbox(connection: Connection, mailbox_id: int, now: datetime) -> None:
    """End the deadlines of a removed mailbox (B8)."""
    end(
        connection,
        "mailbox_removed",
        deadlines.running_where(connection, deadlines.of_mailbox(mailbox_id)),
        now,
    )


def readd(connection: Connection, deadline: StoredDeadline, now: datetime) -> bool:
    """Give a mailbox its place back within the hour, with its recipients and its count (C8).

    False if it has no place in the campaign to come back to.
    """
    left = [
        sender
        for sender in senders.senders_of(connection, deadline.campaign_id)
        if sender.mailbox_id == deadline.mailbox_id and sender.is_away
    ]
    if not left:
        return False
    senders.come_back(connection, left[-1].id)
    end(connection, "readded", [deadline], now)
    return True


# --- the end


@dataclass(frozen=True)
class Settled:
    """How many recipients were stopped, and how many were assigned to other senders."""

    stopped: int = 0
    reassigned: int = 0

    def __add__(self, other: "Settled") -> "Settled":
        return Settled(self.stopped + other.stopped, self.reassigned + other.reassigned)


def apply_passed(connection: Connection, now: datetime) -> Settled:
    """Settle the deadlines that have passed, each at its own instant and in their order (C9, C11).

    Does nothing while the workspace waits for a comparison: what left meanwhile is not known (F3).
    """
    total = Settled()
    if send_mark.held_since(connection) is not None:
        return total
    for deadline in deadlines.lock_passed(connection, now):
        total += _settle(connection, deadline, now)
    return total


def _settle(connection: Connection, deadline: StoredDeadline, now: datetime) -> Settled:
    at = deadline.ends_at
    recipients.lock_enrolment(connection)
    own = [
        sender.id
        for sender in senders.senders_of(connection, deadline.campaign_id)
        if sender.mailbox_id == deadline.mailbox_id
        and (sender.is_present or sender.left_reason in deadlines.HAS_DEADLINE)
    ]
    if deadline.kind is DeadlineKind.FAILURE:
        senders.depart(connection, own, Departure.FAILED, at)
    reason = away_reason(deadline.kind, deadline.address)
    stopping.cancel_messages(connection, MESSAGE["cancel"], own)
    stopped = stopping.stop_contacted(connection, RECIPIENT["stopped"], own, reason, at)
    given_back = removals.give_back(connection, own)
    assigned = assigning.assign_waiting(connection, deadline.campaign_id, at) if given_back else 0
    pause_without_sender(connection, deadline.campaign_id, at)
    ended: Transition = DEADLINE["settled"]
    deadlines.end(connection, ended, [deadline.id], at, stopped=stopped, reassigned=given_back)
    about = About(mailbox_id=deadline.mailbox_id, campaign_id=deadline.campaign_id)
    counts = {"stopped": stopped, "given_back": given_back, "assigned": assigned}
    events.record(
        connection, RUNNER, "grace.ended", now, about, kind=deadline.kind, ends_at=at.isoformat(), **counts
    )
    return Settled(stopped, given_back)


def pause_without_sender(connection: Connection, campaign_id: int, now: datetime) -> None:
    """Pause a running rotation that has no able sender any more (C7)."""
    campaign = campaigns.by_id(connection, campaign_id)
    able = any(map(assigning.is_able, assigning.current_senders(connection, campaign_id)))
    if campaign.state is CampaignState.ACTIVE and not able:
        lifecycle.pause_campaign(connection, RUNNER, campaign_id, NO_SENDER, 0, now)


# --- slots that a mailbox may come back to


def awaited_returns(
    context: Context, address: str, user_email: str | None, slot_id: int | None, now: datetime
) -> Sequence[AwaitedReturn]:
    """Find the mailboxes for which the slot that `address` would take is reserved (A5).

    Raises Refused, NotFound.
    """
    with context.store.reading() as connection:
        seat = seats.seat_for(connection, context.actor, address, user_email, slot_id)
        return awaited_in(connection, seat.slot_id, address, now)


def awaited_in(connection: Connection, slot_id: int, but: str, now: datetime) -> list[AwaitedReturn]:
    """Find the mailboxes for which a slot is reserved, except the address `but`."""
    return [
        awaited
        for awaited in deadlines.awaited_in(connection, slot_id, but)
        if not has_passed(awaited.ends_at, now)
    ]


def refuse_awaited(connection: Connection, slot_id: int, address: str, now: datetime) -> None:
    """Refuse a slot whose grace began after the user confirmed (A5)."""
    for awaited in awaited_in(connection, slot_id, address, now):
        raise ConfirmationNeeded(
            "slot.awaited",
            f"s_{slot_id} is reserved for {awaited.mailbox}, whose campaigns can still resume there",
            "add --yes to take it anyway",
        )
