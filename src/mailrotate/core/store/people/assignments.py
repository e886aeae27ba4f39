"""Recipients get their senders: one statement for each decision of a rotation, and its reason in words."""

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Subquery,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from mailrotate.core.store import listed, visibility
from mailrotate.core.store import tables as t
from mailrotate.core.values.spread import EVERYONE, Assignment
from mailrotate.core.values.states import CampaignState, RecipientState, Rotation


def note_words(connection: Connection, campaign_id: int, words: str, now: datetime) -> int:
    """Store the reason of a decision; return its id."""
    row = insert(t.assignment).values(campaign_id=campaign_id, words=words, made_at=now)
    return int((connection.execute(row).inserted_primary_key or (0,))[0])


def unassigned_count(connection: Connection, campaign_id: int) -> int:
    query = select(func.count()).where(_waits_unassigned(campaign_id))
    return int(connection.execute(query).scalar_one())


def _waits_unassigned(campaign_id: int) -> ColumnElement[bool]:
    c = t.recipient.c
    return and_(
        c.campaign_id == campaign_id, c.state == RecipientState.QUEUED, c.campaign_sender_id.is_(None)
    )


def waiting_by_pool(connection: Connection, campaign_id: int, reason: str) -> dict[int, int]:
    """Count the recipients without a sender in each pool; those without a user belong to none."""
    if reason not in _POOLS:
        return {EVERYONE: unassigned_count(connection, campaign_id)}
    pool = _POOLS[reason]
    query = (
        select(pool, func.count())
        .join(t.contact, t.contact.c.id == t.recipient.c.contact_id)
        .where(_waits_unassigned(campaign_id), pool.is_not(None))
        .group_by(pool)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


# Whose mailboxes a recipient may get, where a user decides that (E2).
_POOLS: dict[str, ColumnElement[int]] = {
    Rotation.OWNER: t.contact.c.owner_id,
    Rotation.ADDER: func.coalesce(t.recipient.c.added_for, t.recipient.c.added_by),
}


def assign(connection: Connection, campaign_id: int, how: Assignment, next_at: datetime) -> None:
    """Assign senders to all recipients without one, in the order of enrolment, in one statement."""
    c = t.recipient.c
    pool = _POOLS.get(how.reason, literal(EVERYONE))
    ranked = (
        select(
            c.id,
            pool.label("pool"),
            (func.row_number().over(partition_by=pool, order_by=c.id) - 1).label("rank"),
        )
        .join(t.contact, t.contact.c.id == c.contact_id)
        .where(_waits_unassigned(campaign_id), pool.in_(how.spreads))
        .subquery("ranked")
    )
    _assign(connection, how, ranked, next_at)


def assign_due(connection: Connection, campaign_id: int, how: Assignment, now: datetime) -> None:
    """Assign senders to the recipients without one that are due first, as many as the spread has."""
    c = t.recipient.c
    first = (
        select(c.id, c.next_at)
        .where(_is_due(campaign_id, now))
        .order_by(c.next_at, c.id)
        .limit(how.spreads[EVERYONE].count)
        .subquery("first")
    )
    rank = func.row_number().over(order_by=(first.c.next_at, first.c.id)) - 1
    ranked = select(first.c.id, literal(EVERYONE).label("pool"), rank.label("rank")).subquery("ranked")
    _assign(connection, how, ranked, now)


def _assign(connection: Connection, how: Assignment, ranked: Subquery, next_at: datetime) -> None:
    senders = senders_in_order(connection, how)
    connection.execute(
        update(t.recipient)
        .where(
            t.recipient.c.id == ranked.c.id,
            senders.c.place == place_among(how, ranked.c.pool, ranked.c.rank),
        )
        .values(
            campaign_sender_id=senders.c.value,
            assigned_reason=how.reason,
            assignment_id=_words_of(how, ranked.c.pool),
            next_at=next_at,
        )
    )


def make_due(connection: Connection, campaign_id: int, due_at: datetime) -> None:
    """Set the due time of recipients that wait for a sender, unless they have one (rotation by capacity)."""
    c = t.recipient.c
    waits = update(t.recipient).where(_waits_unassigned(campaign_id), c.next_at.is_(None))
    connection.execute(waits.values(next_at=due_at))


def waiting_for_room(connection: Connection, now: datetime) -> list[int]:
    """The active campaigns with due recipients that get a sender by its room."""
    c = t.campaign.c
    query = (
        select(c.id)
        .where(
            c.rotation == Rotation.CAPACITY,
            c.state == CampaignState.ACTIVE,
            exists().where(_is_due(c.id, now)),
        )
        .order_by(c.id)
    )
    return list(connection.execute(query).scalars())


def due_count(connection: Connection, campaign_id: int, now: datetime, most: int) -> int:
    """How many recipients without a sender are due, counted up to `most`."""
    some = select(t.recipient.c.id).where(_is_due(campaign_id, now)).limit(max(0, most)).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def _is_due(campaign_id: int | ColumnElement[int], now: datetime) -> ColumnElement[bool]:
    """In the words of the index of first messages, by which the due ones are found among many."""
    c = t.recipient.c
    return and_(
        c.campaign_sender_id.is_(None),
        t.awaits_first,
        c.next_at <= now,
        c.campaign_id == campaign_id,
        c.state == RecipientState.QUEUED,
    )


def _words_of(how: Assignment, pool: ColumnElement[int]) -> ColumnElement[int]:
    kind = t.recipient.c.assignment_id.type
    return case({number: literal(words_id, kind) for number, words_id in how.ids.items()}, value=pool)


def senders_in_order(connection: Connection, how: Assignment) -> Subquery:
    """The senders of an assignment as a table: the places of each pool, one pool behind the other."""
    return listed.numbered(connection, [sender for one in how.spreads.values() for sender in one.places])


def place_among(how: Assignment, pool: ColumnElement[int], rank: ColumnElement[int]) -> ColumnElement[int]:
    """The place of a recipient of a pool with this rank among `senders_in_order`, as an SQL expression."""
    start, places = 0, []
    for number, spread in how.spreads.items():
        first = len(spread.prefix)
        turn = case((rank < first, rank), else_=first + (rank - first) % literal(len(spread.cycle)))
        places.append((pool == number, start + turn))
        start += len(spread.places)
    return case(*places)


def waiting_for_owner(connection: Connection, contact_id: int) -> list[int]:
    """The started campaigns in which a contact waits for a mailbox of its owner."""
    r = t.recipient.c
    query = (
        select(r.campaign_id)
        .join(t.campaign, t.campaign.c.id == r.campaign_id)
        .where(
            r.contact_id == contact_id,
            r.state == RecipientState.QUEUED,
            r.campaign_sender_id.is_(None),
            t.campaign.c.rotation == Rotation.OWNER,
            t.campaign.c.state.in_((CampaignState.ACTIVE, CampaignState.PAUSED)),
        )
        .order_by(r.campaign_id)
    )
    return list(connection.execute(query).scalars())


def kept_by_owner(
    connection: Connection, contact_id: int, owner_id: int | None, seen_by: int | None
) -> list[tuple[str, str]]:
    """The open recipients of a contact whose mailbox went by the owner and is not the new owner's:
    (campaign, mailbox)."""
    r, campaign = t.recipient.c, t.campaign.c
    query = (
        select(campaign.name, t.mailbox.c.address)
        .join(t.campaign, campaign.id == r.campaign_id)
        .join(t.campaign_sender, t.campaign_sender.c.id == r.campaign_sender_id)
        .join(t.mailbox, t.mailbox.c.id == t.campaign_sender.c.mailbox_id)
        .where(
            r.contact_id == contact_id,
            t.is_open,
            campaign.rotation == Rotation.OWNER,
            t.mailbox.c.user_id.is_distinct_from(owner_id),
        )
        .order_by(r.id)
    )
    if seen_by is not None:
        query = query.where(campaign.id.in_(visibility.campaigns_of(seen_by)))
    return [(row.name, row.address) for row in connection.execute(query)]
