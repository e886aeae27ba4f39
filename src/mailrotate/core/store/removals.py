"""The recipients and messages of a mailbox that is removed, counted and changed in sets."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from mailrotate.core.store import step_senders
from mailrotate.core.store import tables as t
from mailrotate.core.values.states import (
    COUNTED_MESSAGES,
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    Departure,
    MessageState,
    RecipientState,
)

_UNSENT = (MessageState.SCHEDULED, MessageState.ERROR)


@dataclass(frozen=True)
class Affected:
    """An unfinished campaign that a mailbox sends or sent for, or that names it as the sender of a step.

    `contacted` and `untouched` are its open recipients; `cancellable` the messages in its lane, `elsewhere`
    messages of other mailboxes to recipients who will fail (D9). `bound_ids` are single senders by its slot,
    `joined_ids` the mailbox itself: in a rotation, or for recipients that it took over.
    """

    id: int
    name: str
    state: CampaignState
    rotates: bool
    owner_id: int
    bound_ids: tuple[int, ...]
    joined_ids: tuple[int, ...]
    is_current_sender: bool
    contacted: int
    untouched: int
    cancellable: int
    elsewhere: int
    step_count: int

    @property
    def sender_ids(self) -> tuple[int, ...]:
        return self.bound_ids + self.joined_ids


@dataclass(frozen=True)
class HangingPerson:
    """An open recipient whose sender is the mailbox."""

    campaign: str
    email: str
    state: RecipientState
    step: int
    last_sent_at: datetime | None


def affected(connection: Connection, mailbox_id: int, slot_id: int | None) -> list[Affected]:
    """The affected campaigns of a mailbox in order of creation; `slot_id` if the slot is also lost."""
    sender, c = t.campaign_sender.c, t.campaign.c
    sends = sender.mailbox_id == mailbox_id
    if slot_id is not None:
        sends = or_(sends, sender.slot_id == slot_id)
    columns = (sender.id, sender.campaign_id, sender.left_at, sender.slot_id)
    rows = connection.execute(select(*columns).where(sends)).all()
    steps = step_senders.steps_naming(connection, mailbox_id)
    ids = {row.campaign_id for row in rows} | set(steps)
    sender_ids = [row.id for row in rows]
    people = people_counts(connection, sender_ids)
    elsewhere = _elsewhere_counts(connection, mailbox_id, sender_ids)
    messages = _unsent_counts(connection, mailbox_id)
    found = select(c.id, c.name, c.state, c.rotation, c.owner_id).where(
        c.id.in_(ids), c.state != CampaignState.FINISHED
    )
    return [
        Affected(
            id=row.id,
            name=row.name,
            state=CampaignState(row.state),
            rotates=row.rotation is not None,
            owner_id=row.owner_id,
            bound_ids=tuple(each.id for each in rows if each.campaign_id == row.id and each.slot_id),
            joined_ids=tuple(each.id for each in rows if each.campaign_id == row.id and not each.slot_id),
            is_current_sender=any(each.campaign_id == row.id and each.left_at is None for each in rows),
            contacted=people.get(row.id, (0, 0))[0],
            untouched=people.get(row.id, (0, 0))[1],
            cancellable=messages.get(row.id, 0),
            elsewhere=elsewhere.get(row.id, 0),
            step_count=steps.get(row.id, 0),
        )
        for row in connection.execute(found.order_by(c.id))
    ]


def _unsent_counts(connection: Connection, mailbox_id: int) -> dict[int, int]:
    m = t.message.c
    query = select(m.campaign_id, func.count()).where(m.mailbox_id == mailbox_id, m.state.in_(_UNSENT))
    return {row[0]: row[1] for row in connection.execute(query.group_by(m.campaign_id))}


def _elsewhere_counts(connection: Connection, mailbox_id: int, sender_ids: Sequence[int]) -> dict[int, int]:
    m, r = t.message.c, t.recipient.c
    failing = or_(r.state == RecipientState.FAILED, and_(r.state.in_(OPEN_RECIPIENTS), is_contacted()))
    theirs = select(r.id).where(r.campaign_sender_id.in_(sender_ids), failing)
    query = select(m.campaign_id, func.count()).where(
        m.recipient_id.in_(theirs), m.mailbox_id != mailbox_id, m.state.in_(_UNSENT), t.is_living_step
    )
    return {row[0]: row[1] for row in connection.execute(query.group_by(m.campaign_id))}


def people_counts(connection: Connection, sender_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Count the contacted and the other open recipients of some senders, by campaign."""
    r = t.recipient.c
    contacted = func.sum(case((is_contacted(), 1), else_=0))
    query = (
        select(r.campaign_id, contacted, func.count())
        .where(r.campaign_sender_id.in_(sender_ids), r.state.in_(OPEN_RECIPIENTS))
        .group_by(r.campaign_id)
    )
    return {row[0]: (row[1], row[2] - row[1]) for row in connection.execute(query)}


def is_contacted() -> ColumnElement[bool]:
    """Whether a message of the campaign reached the recipient, or may have."""
    m = t.message.c
    reached = (
        exists()
        .where(m.recipient_id == t.recipient.c.id, t.is_living_step, m.state.in_(COUNTED_MESSAGES))
        .correlate(t.recipient)
    )
    return or_(t.recipient.c.state == RecipientState.ACTIVE, reached)


def has_living(*states: MessageState) -> ColumnElement[bool]:
    """Whether a recipient has a message of the campaign in one of these states."""
    m = t.message.c
    return (
        exists()
        .where(m.recipient_id == t.recipient.c.id, t.is_living_step, m.state.in_(states))
        .correlate(t.recipient)
    )


def unsent_by_state(connection: Connection, mailbox_id: int) -> dict[MessageState, int]:
    """Count the mailbox's unsent messages by state."""
    m = t.message.c
    states = (MessageState.DRAFT, *_UNSENT, MessageState.HELD)
    query = select(m.state, func.count()).where(m.mailbox_id == mailbox_id, m.state.in_(states))
    return {MessageState(row[0]): row[1] for row in connection.execute(query.group_by(m.state))}


def people(connection: Connection, sender_ids: Sequence[int]) -> Generator[HangingPerson]:
    """Stream the open recipients of these senders, campaign by campaign."""
    r, m = t.recipient.c, t.message.c
    last_sent = select(func.max(m.sent_at)).where(m.recipient_id == r.id, t.is_living_step).scalar_subquery()
    query = (
        select(t.campaign.c.name, t.contact.c.address, r.state, r.next_step, last_sent)
        .join(t.campaign, t.campaign.c.id == r.campaign_id)
        .join(t.contact, t.contact.c.id == r.contact_id)
        .where(_is_open_of(sender_ids))
        .order_by(r.campaign_id, r.id)
    )
    with connection.execute(query.execution_options(yield_per=500)) as rows:
        for row in rows:
            yield HangingPerson(row[0], row[1] or "(erased)", RecipientState(row[2]), row[3], row[4])


def contact_ids(sender_ids: Sequence[int]) -> Select[tuple[int]]:
    """A query for the contacts of the open recipients of these senders."""
    return select(t.recipient.c.contact_id).where(_is_open_of(sender_ids))


def _is_open_of(sender_ids: Sequence[int]) -> ColumnElement[bool]:
    return and_(t.recipient.c.campaign_sender_id.in_(sender_ids), t.is_open)


# --- people


def contacted_by(sender_ids: Sequence[int]) -> ColumnElement[bool]:
    """The contacted recipients of some senders."""
    return and_(t.recipient.c.campaign_sender_id.in_(sender_ids), is_contacted())


def unplan(connection: Connection, mailbox_id: int, sender_ids: Sequence[int] | None = None) -> None:
    """Let the open recipients with a planned message in this lane be planned again, due as before.

    For all recipients or those of some senders. The caller still cancels their messages.
    """
    m, r = t.message.c, t.recipient.c
    waits = and_(m.mailbox_id == mailbox_id, m.state.in_(_UNSENT), t.is_living_step)
    # `rules.steps.due_again`, for a set.
    due_at = case((m.released_at > m.due_at, m.released_at), else_=m.due_at)
    mine = (
        select(func.max(due_at)).where(m.recipient_id == r.id, waits).correlate(t.recipient).scalar_subquery()
    )
    query = update(t.recipient).where(
        r.id.in_(select(m.recipient_id).where(waits)), r.next_at.is_(None), t.is_open
    )
    if sender_ids is not None:
        query = query.where(r.campaign_sender_id.in_(sender_ids))
    connection.execute(query.values(next_at=mine))


def hand_over(connection: Connection, sender_ids: Sequence[int], to_sender_id: int, reason: str) -> int:
    """Move the contacted recipients of some senders to another sender; place and thread stay."""
    result = connection.execute(
        update(t.recipient)
        .where(_is_open_of(sender_ids), is_contacted())
        .values(campaign_sender_id=to_sender_id, assigned_reason=reason)
    )
    return result.rowcount


def give_back(connection: Connection, sender_ids: Sequence[int]) -> int:
    """Take the sender from recipients without a message, so that they are assigned again."""
    result = connection.execute(
        update(t.recipient)
        .where(_is_open_of(sender_ids), ~is_contacted())
        .values(campaign_sender_id=None, assigned_reason=None, next_at=None)
    )
    return result.rowcount


# --- messages


def for_failed(sender_ids: Sequence[int]) -> ColumnElement[bool]:
    """The campaign's messages, in any lane, to failed recipients of some senders (D9)."""
    return and_(t.is_living_step, t.message.c.recipient_id.in_(_failed(sender_ids)))


def is_sending(connection: Connection, mailbox_id: int, failed_of: Sequence[int] = ()) -> bool:
    """Whether a message is on its way from the mailbox, or from elsewhere to a recipient of `failed_of`."""
    m = t.message.c
    concerns = or_(m.mailbox_id == mailbox_id, m.recipient_id.in_(_failed(failed_of)))
    return connection.execute(select(m.id).where(t.is_in_flight, concerns).limit(1)).first() is not None


def _failed(sender_ids: Sequence[int]) -> Select[tuple[int]]:
    r = t.recipient.c
    return select(r.id).where(r.campaign_sender_id.in_(sender_ids), r.state == RecipientState.FAILED)


def drop_copies(connection: Connection, mailbox_id: int) -> None:
    """Delete its pending sent copies: they can no longer be filed."""
    connection.execute(delete(t.sent_copy).where(t.sent_copy.c.mailbox_id == mailbox_id))


# --- senders


def leave(connection: Connection, sender_ids: Sequence[int], now: datetime) -> None:
    """Let these senders leave: they get no new recipients."""
    c = t.campaign_sender.c
    query = update(t.campaign_sender).where(c.id.in_(sender_ids), c.left_at.is_(None))
    connection.execute(query.values(left_at=now, left_reason=Departure.MAILBOX_REMOVED))


def taker(connection: Connection, campaign_id: int, mailbox_id: int, now: datetime) -> int:
    """Return the sender row of a mailbox that takes over recipients: its own if the campaign has one, else
    a row that left as it joined, so that it gets no new recipients."""
    c = t.campaign_sender.c
    query = (
        select(c.id)
        .where(
            c.campaign_id == campaign_id,
            c.mailbox_id == mailbox_id,
            # What it left behind when it was away is settled by its deadline (C8).
            or_(c.left_at.is_(None), c.left_reason.in_((Departure.TOOK_OVER, Departure.MAILBOX_REMOVED))),
        )
        .order_by(c.left_at.is_not(None), c.id.desc())
        .limit(1)
    )
    known = connection.execute(query).scalar_one_or_none()
    if known is not None:
        return int(known)
    last = select(func.max(c.position)).where(c.campaign_id == campaign_id)
    made = connection.execute(
        insert(t.campaign_sender).values(
            campaign_id=campaign_id,
            mailbox_id=mailbox_id,
            position=(connection.execute(last).scalar_one() or 0) + 1,
            joined_at=now,
            left_at=now,
            left_reason=Departure.TOOK_OVER,
        )
    )
    return int((made.inserted_primary_key or (0,))[0])


def paused_by(connection: Connection, campaign_id: int, reason: str) -> str | None:
    """The address of the mailbox whose trouble of this kind last paused a campaign."""
    p = t.campaign_pause.c
    query = (
        select(t.mailbox.c.address)
        .join(t.campaign_pause, p.mailbox_id == t.mailbox.c.id)
        .where(p.campaign_id == campaign_id, p.reason == reason)
        .order_by(p.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


# --- the seat


def longest_connected(connection: Connection, user_id: int, other_than: int) -> tuple[int, str] | None:
    """Id and address of the user's longest-connected mailbox (B5)."""
    c: Any = t.connection.c
    query = (
        select(t.mailbox.c.id, t.mailbox.c.address)
        .join(t.connection, c.mailbox_id == t.mailbox.c.id)
        .where(
            t.mailbox.c.user_id == user_id,
            t.mailbox.c.id != other_than,
            t.mailbox.c.removed_at.is_(None),
            c.superseded_at.is_(None),
            c.state != ConnectionState.DISCONNECTED,
        )
        .order_by(c.connected_at, t.mailbox.c.id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row[0], row[1])
