"""Assign a sender to recipients without one, by the campaign's rotation (D2, E1, E2).

When a sender joins, fails, recovers or leaves, nobody has to tell the rotation: each assignment compares the
senders that are able now with those that took part in the last one. A sender that was away only between two
assignments has missed nothing, and no caller can forget it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import rotation, steps
from mailrotate.core.rules.rotation import Seat
from mailrotate.core.store import campaigns, senders
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import assignments, recipients
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.values.spread import EVERYONE, Assignment, Spread
from mailrotate.core.values.states import ConnectionState

SINGLE_SENDER = "single_sender"


def current_senders(connection: Connection, campaign_id: int) -> list[StoredSender]:
    """The present senders of the campaign, in the order of adding."""
    return [sender for sender in senders.senders_of(connection, campaign_id) if sender.left_at is None]


def is_connected(sender: StoredSender) -> bool:
    return sender.state == ConnectionState.CONNECTED


def assignment_for(
    connection: Connection, campaign: StoredCampaign, counts: Mapping[int, int], now: datetime
) -> Assignment | None:
    """Choose the senders of new recipients, counted by pool; None if no sender can take them now.

    The counts and words of the choice are stored.

    A single sender takes all, even while its mailbox is away: the campaign is bound to its slot (C5).
    """
    present = current_senders(connection, campaign.id)
    if campaign.rotation is None:
        count = counts.get(EVERYONE, 0)
        return Assignment({EVERYONE: Spread((), (present[0].id,), count)}, SINGLE_SENDER, {EVERYONE: None})
    seats = rotation.settle([_seat(sender) for sender in present])
    found = {EVERYONE: rotation.spread(seats, counts.get(EVERYONE, 0))}
    spreads = {pool: spread for pool, spread in found.items() if spread is not None and spread.count}
    if not spreads:
        return None
    _note_counts(connection, campaign.id, seats, spreads)
    words = _words(seats, present)
    ids = {pool: assignments.note_words(connection, campaign.id, words, now) for pool in spreads}
    return Assignment(spreads, campaign.rotation, ids)


def _seat(sender: StoredSender) -> Seat:
    return Seat(
        sender.id,
        sender.position,
        sender.assigned_count,
        is_connected(sender) and not sender.user_locked,
        counted_weight=sender.counted_weight,
    )


def _note_counts(
    connection: Connection, campaign_id: int, seats: Sequence[Seat], spreads: Mapping[int, Spread]
) -> None:
    given = {sender_id: n for spread in spreads.values() for sender_id, n in spread.counts().items()}
    senders.note_counts(
        connection,
        campaign_id,
        {seat.sender_id: (seat.assigned_count + given.get(seat.sender_id, 0), seat.weight) for seat in seats},
    )


def _words(seats: Sequence[Seat], present: Sequence[StoredSender]) -> str:
    """Say what decided: the counts before the first of these recipients."""
    addresses = {sender.id: sender.address for sender in present}
    counts = (f"{addresses[seat.sender_id]} {seat.assigned_count}" for seat in seats)
    return f"fewest assigned: {', '.join(counts)}"


def first_due_at(connection: Connection, campaign: StoredCampaign, now: datetime) -> datetime:
    """When the first step of a recipient who joins now is due."""
    return steps.first_due_at(campaigns.sequence_of(connection, campaign.id), now)


def assign_waiting(connection: Connection, campaign_id: int, now: datetime) -> int:
    """Assign all recipients without a sender, in the order of enrolment; return how many."""
    recipients.lock_enrolment(connection)
    campaign = campaigns.by_id(connection, campaign_id)
    counts = assignments.waiting_by_pool(connection, campaign_id, campaign.rotation or SINGLE_SENDER)
    assignment = assignment_for(connection, campaign, counts, now) if any(counts.values()) else None
    if assignment is None:
        return 0
    assignments.assign(connection, campaign_id, assignment, first_due_at(connection, campaign, now))
    return sum(spread.count for spread in assignment.spreads.values())


def assign_waiting_in_lane(connection: Connection, mailbox_id: int, slot_id: int, now: datetime) -> int:
    """Assign the recipients of a mailbox's active campaigns that found no able sender before."""
    return sum(
        assign_waiting(connection, campaign.id, now)
        for campaign in campaigns.active_in_lane(connection, mailbox_id, slot_id)
    )
