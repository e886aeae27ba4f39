"""Assign a sender to recipients without one, by the campaign's rotation (D2, E1)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import steps
from mailrotate.core.rules.rotation import Seat, spread_equally
from mailrotate.core.store import campaigns, senders
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import recipients
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.values.spread import Spread
from mailrotate.core.values.states import ConnectionState

SINGLE_SENDER = "single_sender"


def current_senders(connection: Connection, campaign_id: int) -> list[StoredSender]:
    """The present senders of the campaign, in the order of adding."""
    return [sender for sender in senders.senders_of(connection, campaign_id) if sender.left_at is None]


def is_connected(sender: StoredSender) -> bool:
    return sender.state == ConnectionState.CONNECTED


def is_failed(sender: StoredSender) -> bool:
    return sender.state == ConnectionState.FAILED


def spread_for(campaign: StoredCampaign, senders: Sequence[StoredSender], count: int) -> Spread | None:
    """Spread `count` new recipients over the senders; None if no sender can take them now.

    A single sender takes all, even while its mailbox is away: the campaign is bound to its slot (C5).
    """
    if campaign.rotation is None:
        return Spread((), (senders[0].id,), str(senders[0].id), count)
    seats = [
        Seat(
            sender.id, sender.position, sender.assigned_count, is_connected(sender) and not sender.user_locked
        )
        for sender in senders
    ]
    return spread_equally(seats, campaign.spread_over, count)


def reason_for(campaign: StoredCampaign) -> str:
    """Why a recipient has their sender."""
    return SINGLE_SENDER if campaign.rotation is None else str(campaign.rotation)


def first_due_at(connection: Connection, campaign: StoredCampaign, now: datetime) -> datetime:
    """When the first step of a recipient who joins now is due."""
    return steps.first_due_at(campaigns.sequence_of(connection, campaign.id), now)


def note_spread(connection: Connection, campaign: StoredCampaign, spread: Spread) -> None:
    """Store the rotation's counts, which alone decide the next sender (E1)."""
    if campaign.rotation is not None:
        another_set = spread.over != campaign.spread_over
        senders.note_assignments(connection, campaign.id, spread.over, another_set, spread.counts())


def assign_waiting(connection: Connection, campaign_id: int, now: datetime) -> int:
    """Assign all recipients without a sender, in the order of enrolment; return how many."""
    recipients.lock_enrolment(connection)
    count = recipients.unassigned_count(connection, campaign_id)
    campaign = campaigns.by_id(connection, campaign_id)
    spread = spread_for(campaign, current_senders(connection, campaign_id), count) if count else None
    if spread is None:
        return 0
    due_at = first_due_at(connection, campaign, now)
    recipients.assign(connection, campaign_id, spread, reason_for(campaign), due_at)
    note_spread(connection, campaign, spread)
    return count


def assign_waiting_in_lane(connection: Connection, mailbox_id: int, slot_id: int, now: datetime) -> int:
    """Assign the recipients of a mailbox's active campaigns that found no able sender before."""
    return sum(
        assign_waiting(connection, campaign.id, now)
        for campaign in campaigns.active_in_lane(connection, mailbox_id, slot_id)
    )
