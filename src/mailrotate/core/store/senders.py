"""The senders of campaigns: a slot for a single sender, mailboxes for a rotation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, bindparam, case, delete, func, insert, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import portions
from mailrotate.core.store.ready import Ready
from mailrotate.core.values.states import CampaignState, Departure


@dataclass(frozen=True)
class StoredSender:
    """One sender of a campaign; `mailbox_id` is None while its slot is empty; `state` is the connection's.

    `assigned_count`, `weight` and `counted_weight` are a rotation's (E1, E2).
    """

    id: int
    position: int
    slot_id: int | None
    mailbox_id: int | None
    address: str | None
    state: str | None
    user_id: int | None
    user_locked: bool
    joined_at: datetime
    left_at: datetime | None
    left_reason: Departure | None
    assigned_count: int
    weight: int | None
    counted_weight: int | None
    is_removed: bool
    # What was due before this instant is parked (H4).
    parked_before: datetime | None

    @property
    def is_present(self) -> bool:
        """Whether it is a sender of the campaign now."""
        return self.left_at is None

    @property
    def is_away(self) -> bool:
        """Whether it was disconnected and not added again: what it would send waits (C8)."""
        return self.left_reason is Departure.DISCONNECTED


@dataclass(frozen=True)
class StrandedSender:
    """A campaign's single sender whose slot is gone."""

    id: int
    slot_id: int
    campaign_id: int
    campaign: str


_on_slot, _of_mailbox = t.connection.alias("on_slot"), t.connection.alias("of_mailbox")
# A slot that a removed mailbox was in is empty.
_gone = t.mailbox.alias("gone")
_REMOVED = select(_gone.c.id).where(_gone.c.removed_at.is_not(None))
_MAILBOX_ID = func.coalesce(t.campaign_sender.c.mailbox_id, _on_slot.c.mailbox_id)
# Made once: SQLAlchemy takes longer to build it than the database takes to answer.
_SENDERS = (
    select(
        t.campaign_sender,
        _MAILBOX_ID.label("current_mailbox_id"),
        t.mailbox.c.address,
        func.coalesce(_of_mailbox.c.state, _on_slot.c.state).label("connection_state"),
        t.mailbox.c.user_id.label("seat_user_id"),
        (t.user.c.state == "locked").label("user_locked"),
        t.mailbox.c.removed_at.is_not(None).label("is_removed"),
    )
    .select_from(t.campaign_sender)
    .outerjoin(
        _on_slot,
        (_on_slot.c.slot_id == t.campaign_sender.c.slot_id)
        & _on_slot.c.superseded_at.is_(None)
        & _on_slot.c.mailbox_id.not_in(_REMOVED),
    )
    .outerjoin(
        _of_mailbox,
        (_of_mailbox.c.mailbox_id == t.campaign_sender.c.mailbox_id) & _of_mailbox.c.superseded_at.is_(None),
    )
    .outerjoin(t.mailbox, t.mailbox.c.id == _MAILBOX_ID)
    .outerjoin(t.user, t.user.c.id == t.mailbox.c.user_id)
    .where(t.campaign_sender.c.campaign_id.in_(bindparam("b_campaigns", expanding=True)))
    .order_by(t.campaign_sender.c.position, _on_slot.c.id)
)


def senders_of(connection: Connection, campaign_id: int) -> list[StoredSender]:
    """All present and former (`left_at`) senders of the campaign, in the order of adding."""
    return senders_of_each(connection, [campaign_id])[campaign_id]


def senders_of_each(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, list[StoredSender]]:
    """Like `senders_of` for several campaigns, by campaign."""
    found: dict[int, dict[int, StoredSender]] = {campaign_id: {} for campaign_id in campaign_ids}
    for some in portions(campaign_ids):
        for m in (row._mapping for row in connection.execute(_SENDERS, {"b_campaigns": list(some)})):
            # A slot may also have a disconnected former connection; the newest one, last in order, counts.
            found[m["campaign_id"]][m["id"]] = _read(m)
    return {campaign_id: list(senders.values()) for campaign_id, senders in found.items()}


def _read(m: RowMapping) -> StoredSender:
    return StoredSender(
        id=m["id"],
        position=m["position"],
        slot_id=m["slot_id"],
        mailbox_id=m["current_mailbox_id"],
        address=m["address"],
        state=m["connection_state"],
        user_id=m["seat_user_id"],
        user_locked=bool(m["user_locked"]),
        joined_at=m["joined_at"],
        left_at=m["left_at"],
        left_reason=None if m["left_reason"] is None else Departure(m["left_reason"]),
        assigned_count=m["assigned_count"],
        weight=m["weight"],
        counted_weight=m["counted_weight"],
        is_removed=bool(m["is_removed"]),
        parked_before=m["parked_before"],
    )


def replace_senders(
    connection: Connection,
    campaign_id: int,
    *,
    slot_id: int | None,
    mailbox_ids: Sequence[int],
    now: datetime,
    weights: Mapping[int, int] | None = None,
) -> None:
    """Set the senders of a draft: one slot, or the mailboxes of a rotation in their order, with weights."""
    connection.execute(delete(t.campaign_sender).where(t.campaign_sender.c.campaign_id == campaign_id))
    given = weights or {}
    rows = [{"slot_id": slot_id, "mailbox_id": None, "weight": None}] if slot_id is not None else []
    rows += [{"slot_id": None, "mailbox_id": one, "weight": given.get(one)} for one in mailbox_ids]
    for position, row in enumerate(rows):
        connection.execute(
            insert(t.campaign_sender).values(campaign_id=campaign_id, position=position, joined_at=now, **row)
        )


def note_counts(connection: Connection, campaign_id: int, took_part: Mapping[int, tuple[int, int]]) -> None:
    """Store the count and weight of each sender that took part in an assignment; all others did not (E1)."""
    c = t.campaign_sender.c
    counts = {sender_id: count for sender_id, (count, _) in took_part.items()}
    weights = {sender_id: weight for sender_id, (_, weight) in took_part.items()}
    connection.execute(
        update(t.campaign_sender)
        .where(c.campaign_id == campaign_id)
        .values(
            assigned_count=case(counts, value=c.id, else_=c.assigned_count),
            counted_weight=case(weights, value=c.id, else_=None),
        )
    )


_SENDER = Ready(update(t.campaign_sender).where(t.campaign_sender.c.id == bindparam("b_id")))


def note_turn(connection: Connection, campaign_sender_id: int, now: datetime) -> None:
    """Record that this sender has just sent for this campaign, so that other campaigns come next (E4)."""
    _SENDER.change(connection, b_id=campaign_sender_id, turn_at=now)


def bound_to_removed_slots(connection: Connection, user_id: int, mailbox_id: int) -> list[StrandedSender]:
    """Single senders of a user's removed slots that last sent from this mailbox or last held it."""
    sender, m, c = t.campaign_sender.c, t.message.c, t.connection.c
    last_sent_from = (
        select(m.mailbox_id)
        .where(m.slot_id == sender.slot_id, m.campaign_id == sender.campaign_id, t.is_counted)
        .order_by(m.claimed_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    last_in_slot = (
        select(c.mailbox_id).where(c.slot_id == t.slot.c.id).order_by(c.id.desc()).limit(1).scalar_subquery()
    )
    query = (
        select(sender.id, sender.slot_id, t.campaign.c.id.label("campaign_id"), t.campaign.c.name)
        .join(t.campaign, t.campaign.c.id == sender.campaign_id)
        .join(t.slot, t.slot.c.id == sender.slot_id)
        .where(
            t.slot.c.user_id == user_id,
            t.slot.c.removed_at.is_not(None),
            t.campaign.c.state != CampaignState.FINISHED,
            or_(last_sent_from == mailbox_id, last_in_slot == mailbox_id),
        )
        .order_by(sender.id)
    )
    return [
        StrandedSender(row.id, row.slot_id, row.campaign_id, row.name) for row in connection.execute(query)
    ]


def bound_to(connection: Connection, slot_id: int) -> list[int]:
    """The ids of the single senders that are bound to a slot."""
    c = t.campaign_sender.c
    return list(connection.execute(select(c.id).where(c.slot_id == slot_id).order_by(c.id)).scalars())


def bind_to_slot(connection: Connection, sender_ids: Sequence[int], slot_id: int) -> None:
    """Bind the single senders of some campaigns to this slot."""
    these = t.campaign_sender.c.id.in_(sender_ids)
    connection.execute(update(t.campaign_sender).where(these).values(slot_id=slot_id))


def depart(connection: Connection, sender_ids: Sequence[int], reason: Departure, now: datetime) -> None:
    """Let senders leave: they get no new recipients. Senders that left before keep their instant."""
    c = t.campaign_sender.c
    connection.execute(
        update(t.campaign_sender)
        .where(c.id.in_(sender_ids))
        .values(left_at=func.coalesce(c.left_at, now), left_reason=reason)
    )


def come_back(connection: Connection, sender_id: int) -> None:
    """Make a sender that left one of the campaign's senders again, in its old place."""
    c = t.campaign_sender.c
    query = update(t.campaign_sender).where(c.id == sender_id)
    connection.execute(query.values(left_at=None, left_reason=None))


def join(connection: Connection, campaign_id: int, mailbox_id: int, now: datetime) -> int:
    """Add a mailbox to a rotation, after its present senders; return the new sender's id."""
    c = t.campaign_sender.c
    last = select(func.max(c.position)).where(c.campaign_id == campaign_id)
    made = connection.execute(
        insert(t.campaign_sender).values(
            campaign_id=campaign_id,
            mailbox_id=mailbox_id,
            position=(connection.execute(last).scalar_one() or 0) + 1,
            joined_at=now,
        )
    )
    return int((made.inserted_primary_key or (0,))[0])


def rotations_of(connection: Connection, mailbox_id: int, *states: CampaignState) -> list[tuple[int, int]]:
    """The sender id and campaign id of each rotation in these states that the mailbox sends for."""
    c = t.campaign_sender.c
    query = (
        select(c.id, c.campaign_id)
        .join(t.campaign, t.campaign.c.id == c.campaign_id)
        .where(c.mailbox_id == mailbox_id, c.left_at.is_(None), t.campaign.c.state.in_(states))
        .order_by(c.id)
    )
    return [(row.id, row.campaign_id) for row in connection.execute(query)]


def leave_all(connection: Connection, mailbox_id: int, now: datetime) -> None:
    """Let a mailbox that was removed leave all rotations."""
    c = t.campaign_sender.c
    query = update(t.campaign_sender).where(c.mailbox_id == mailbox_id, c.left_at.is_(None))
    connection.execute(query.values(left_at=now, left_reason=Departure.MAILBOX_REMOVED))
