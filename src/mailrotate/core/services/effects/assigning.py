"""Assign a sender to recipients without one, by the campaign's rotation (D2, E1, E2).

When a sender joins, fails, recovers or leaves, nobody has to tell the rotation: each assignment compares the
senders that are able now with those that took part in the last one. A sender that was away only between two
assignments has missed nothing, and no caller can forget it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import rotation, steps
from mailrotate.core.rules.rotation import BY_USER, Room, Seat
from mailrotate.core.rules.sign_in import sign_in
from mailrotate.core.rules.situation import Lack
from mailrotate.core.store import campaigns, senders, settings, workspaces
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import assignments, recipients
from mailrotate.core.store.people.recipients import StoredRecipient
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.values.hint import Command
from mailrotate.core.values.spread import EVERYONE, Assignment, Spread
from mailrotate.core.values.states import CampaignState, ConnectionState, Rotation, UserState

SINGLE_SENDER = "single_sender"


def current_senders(connection: Connection, campaign_id: int) -> list[StoredSender]:
    """The present senders of the campaign, in the order of adding."""
    return [sender for sender in senders.senders_of(connection, campaign_id) if sender.left_at is None]


def is_connected(sender: StoredSender) -> bool:
    return sender.state == ConnectionState.CONNECTED


def is_failed(sender: StoredSender) -> bool:
    return sender.state == ConnectionState.FAILED


def is_able(sender: StoredSender) -> bool:
    """Whether the sender can take new people: a mailbox at its daily limit can."""
    return is_connected(sender) and not sender.user_locked


def assignment_for(
    connection: Connection, campaign: StoredCampaign, counts: Mapping[int, int], now: datetime
) -> Assignment | None:
    """Choose the senders of new recipients, counted by pool; None if no sender can take them now.

    The counts and words of the choice are stored. A single sender takes all, even while its mailbox is away:
    the campaign is bound to its slot (C5).
    """
    present = current_senders(connection, campaign.id)
    if campaign.rotation is None:
        count = counts.get(EVERYONE, 0)
        return Assignment({EVERYONE: Spread((), (present[0].id,), count)}, SINGLE_SENDER, {EVERYONE: None})
    pools = {pool: rotation.settle(seats) for pool, seats in _pools(connection, campaign, present).items()}
    found = {pool: rotation.spread(pools.get(pool, ()), count) for pool, count in counts.items() if count}
    spreads = {pool: spread for pool, spread in found.items() if spread is not None}
    if not spreads:
        return None
    _note_counts(connection, campaign.id, pools, spreads)
    addresses = {sender.id: str(sender.address) for sender in present}
    ids = {}
    for pool in spreads:
        user = _user_of(connection, campaign, pool)
        words = _words(campaign.rotation, pools[pool], addresses, user)
        ids[pool] = assignments.note_words(connection, campaign.id, words, now)
    return Assignment(spreads, campaign.rotation, ids)


def _pools(
    connection: Connection, campaign: StoredCampaign, present: Sequence[StoredSender]
) -> dict[int, list[Seat]]:
    """The senders of each pool: those of one user where a user decides, else all."""
    pools: dict[int, list[Seat]] = {}
    has_weights = any(sender.weight for sender in present)
    for sender in present:
        pool = sender.user_id if campaign.rotation in BY_USER else EVERYONE
        able = is_able(sender)
        weight = 1
        if campaign.rotation is Rotation.WEIGHTED and has_weights:
            weight = sender.weight or 1
        elif campaign.rotation is Rotation.WEIGHTED and able and sender.mailbox_id is not None:
            weight = settings.of(connection, sender.mailbox_id).highest_limit
        seat = Seat(
            sender.id,
            sender.position,
            sender.assigned_count,
            able,
            weight,
            sender.counted_weight,
        )
        if pool is not None:
            pools.setdefault(pool, []).append(seat)
    return pools


def _user_of(connection: Connection, campaign: StoredCampaign, pool: int) -> str | None:
    if campaign.rotation not in BY_USER:
        return None
    user = workspaces.user_by_id(connection, pool)
    return None if user is None else user.email


def _note_counts(
    connection: Connection,
    campaign_id: int,
    pools: Mapping[int, Sequence[Seat]],
    spreads: Mapping[int, Spread],
) -> None:
    given = {sender_id: n for spread in spreads.values() for sender_id, n in spread.counts().items()}
    senders.note_counts(
        connection,
        campaign_id,
        {
            seat.sender_id: (seat.assigned_count + given.get(seat.sender_id, 0), seat.weight)
            for seats in pools.values()
            for seat in seats
        },
    )


def _words(kind: Rotation, seats: Sequence[Seat], addresses: Mapping[int, str], user: str | None) -> str:
    """Say what decided an assignment: the counts before the first of its recipients."""
    if kind is Rotation.WEIGHTED:
        loads = (f"{addresses[seat.sender_id]} {seat.assigned_count} ÷ {seat.weight}" for seat in seats)
        return f"fewest assigned for the weight: {', '.join(loads)}"
    counts = ", ".join(f"{addresses[seat.sender_id]} {seat.assigned_count}" for seat in seats)
    return f"fewest assigned{'' if user is None else f' of {kind} {user}'}: {counts}"


def first_due_at(connection: Connection, campaign: StoredCampaign, now: datetime) -> datetime:
    """When the first step of a recipient who joins now is due."""
    return steps.first_due_at(campaigns.sequence_of(connection, campaign.id), now)


def assign_waiting(connection: Connection, campaign_id: int, now: datetime) -> int:
    """Assign all recipients without a sender, in the order of enrolment; return how many."""
    recipients.lock_enrolment(connection)
    campaign = campaigns.by_id(connection, campaign_id)
    if campaign.rotation is Rotation.CAPACITY:
        # They get their sender at the first message.
        assignments.make_due(connection, campaign_id, first_due_at(connection, campaign, now))
        return 0
    counts = assignments.waiting_by_pool(connection, campaign_id, campaign.rotation or SINGLE_SENDER)
    assignment = assignment_for(connection, campaign, counts, now) if any(counts.values()) else None
    if assignment is None:
        return 0
    assignments.assign(connection, campaign_id, assignment, first_due_at(connection, campaign, now))
    return sum(spread.count for spread in assignment.spreads.values())


def assign_by_room(
    connection: Connection, campaign: StoredCampaign, spread: Spread, rooms: Sequence[Room], now: datetime
) -> None:
    """Assign the recipients that are due first to the senders with most room today (E2)."""
    present = current_senders(connection, campaign.id)
    given = spread.counts()
    counted = {sender.id: (sender.assigned_count + given.get(sender.id, 0), 1) for sender in present}
    senders.note_counts(connection, campaign.id, counted)
    addresses = {sender.id: sender.address for sender in present}
    words = f"most room today: {', '.join(f'{addresses[room.sender_id]} {room.today}' for room in rooms)}"
    ids = {EVERYONE: assignments.note_words(connection, campaign.id, words, now)}
    assignments.assign_due(
        connection, campaign.id, Assignment({EVERYONE: spread}, Rotation.CAPACITY, ids), now
    )


def assign_waiting_in_lane(connection: Connection, mailbox_id: int, slot_id: int, now: datetime) -> int:
    """Assign the recipients of a mailbox's active campaigns that found no able sender before."""
    return sum(
        assign_waiting(connection, campaign.id, now)
        for campaign in campaigns.active_in_lane(connection, mailbox_id, slot_id)
    )


def lack_of(connection: Connection, campaign: StoredCampaign, person: StoredRecipient) -> Lack | None:
    """Say why a waiting recipient has no mailbox, where a user or the room decides (E2)."""
    if campaign.rotation is Rotation.CAPACITY:
        return Lack("once it is due, it goes to the sender with most room today, when one has room")
    if campaign.rotation not in BY_USER or campaign.state is CampaignState.DRAFT:
        return None
    by_owner = campaign.rotation is Rotation.OWNER
    user_id = person.owner_id if by_owner else person.adder_id
    user = None if user_id is None else workspaces.user_by_id(connection, user_id)
    if user is None:
        if not by_owner:
            return Lack("it is not known who added it")
        return Lack("the contact has no owner", Command("contact", "set", person.email, "--owner", "USER"))
    whose = f"its {'owner' if by_owner else 'adder'} {user.email}"
    theirs = [sender for sender in current_senders(connection, campaign.id) if sender.user_id == user.id]
    if not theirs:
        join = Command("campaign", "sender", "add", campaign.name, "ADDRESS")
        return Lack(f"{whose} has no mailbox among the senders", join)
    if user.state is UserState.LOCKED:
        return Lack(f"{whose} is locked", Command("user", "unlock", user.email))
    away = next((sender for sender in theirs if not is_connected(sender)), theirs[0])
    return Lack(f"{whose} has no connected mailbox", sign_in(str(away.state), str(away.address)))
