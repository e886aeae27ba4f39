"""Move recipients to another sender of their campaign, in sets or a few hundred at a time."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, false, func, or_, select, update

from mailrotate.core.store import moves, removals
from mailrotate.core.store import tables as t
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import tags
from mailrotate.core.store.portions import AT_A_TIME, portions, rows_with
from mailrotate.core.values.states import OPEN_RECIPIENTS, MessageState, RecipientState
from mailrotate.core.values.transition import Transition

# While the fate of a message is open, the next mailbox might send it a second time.
_UNCLEAR = (MessageState.SENDING, MessageState.HELD)


@dataclass(frozen=True)
class Choice:
    """Selects recipients of a campaign: by id, by tag, or all of some senders.

    Recipients that failed for `reason` can move; if it is None, open ones can.
    """

    campaign_id: int
    reason: str | None
    ids: Sequence[int] = ()
    tag: str | None = None
    sender_ids: Sequence[int] = ()


@dataclass(frozen=True)
class Left:
    """A selected recipient that cannot move; `is_unclear`: a message may be on its way."""

    email: str
    state: RecipientState
    reason: str | None
    is_unclear: bool


@dataclass(frozen=True)
class Halted:
    """A recipient's progress: the step it waits for, and the last sent one with its instant."""

    id: int
    email: str
    next_step: int
    last_sent: tuple[int, datetime] | None


@dataclass(frozen=True)
class Going:
    """A recipient that continues with a step at an instant."""

    id: int
    next_step: int
    next_at: datetime


def senders_before(connection: Connection, campaign_id: int, box: StoredMailbox) -> list[int]:
    """The senders of a campaign that a removed mailbox was: itself in a rotation, else by its slot, also if
    another slot has taken its place.

    For a mailbox that is connected again: the senders that it has sent for, as its slot may have been reused.
    """
    c, m = t.campaign_sender.c, t.message.c
    has_sent = exists().where(
        m.campaign_id == campaign_id, m.campaign_sender_id == c.id, m.mailbox_id == box.id
    )
    was_there = has_sent if box.removed_at is None else or_(c.slot_id == box.slot_id, has_sent)
    by_slot = and_(c.slot_id.is_not(None), was_there)
    query = select(c.id).where(c.campaign_id == campaign_id, or_(c.mailbox_id == box.id, by_slot))
    return [int(sender_id) for sender_id in connection.execute(query).scalars()]


def removed_senders(
    connection: Connection, campaign_ids: Sequence[int], reason: str
) -> dict[int, tuple[str, ...]]:
    """The addresses of the mailboxes whose recipients failed for `reason`, by campaign, each once.

    If several mailboxes sent for one sender, the one removed last.
    """
    c, m, r, box = t.campaign_sender.c, t.message.c, t.recipient.c, t.mailbox.c
    query = (
        select(r.campaign_id, c.id, box.address)
        .select_from(t.recipient)
        .join(t.campaign_sender, c.id == r.campaign_sender_id)
        .outerjoin(t.message, and_(m.recipient_id == r.id, t.is_living_step, m.sent_at.is_not(None)))
        .join(t.mailbox, box.id == func.coalesce(c.mailbox_id, m.mailbox_id))
        .where(r.state == RecipientState.FAILED, r.reason == reason)
        .group_by(r.campaign_id, c.id, box.id)
        .order_by(box.removed_at.is_not(None), box.removed_at, box.id)
    )
    found: dict[int, dict[int, str]] = {}
    for row in rows_with(connection, query, r.campaign_id, campaign_ids):
        found.setdefault(row.campaign_id, {})[row.id] = row.address
    return {campaign_id: tuple(dict.fromkeys(of.values())) for campaign_id, of in found.items()}


def _parts(choice: Choice) -> Iterator[Choice]:
    """Split a choice so that each part fits into one statement."""
    for some in portions(choice.ids):
        yield Choice(choice.campaign_id, choice.reason, ids=some)
    if choice.sender_ids or choice.tag is not None:
        yield replace(choice, ids=())


def _named(connection: Connection, choice: Choice) -> ColumnElement[bool]:
    r = t.recipient.c
    named: list[ColumnElement[bool]] = [false()]
    if choice.ids:
        named.append(r.id.in_(choice.ids))
    if choice.sender_ids:
        named.append(r.campaign_sender_id.in_(choice.sender_ids))
    if choice.tag is not None:
        named.append(r.contact_id.in_(tags.contacts_with(connection, choice.tag)))
    return and_(r.campaign_id == choice.campaign_id, or_(*named))


def _is_wanted(choice: Choice) -> ColumnElement[bool]:
    r = t.recipient.c
    if choice.reason is None:
        return r.state.in_(OPEN_RECIPIENTS)
    return and_(r.state == RecipientState.FAILED, r.reason == choice.reason)


def left_behind(connection: Connection, choice: Choice) -> Generator[Left]:
    """Stream the selected recipients that cannot be moved. With a sender: skip those that already ended,
    except stopped ones."""
    for part in _parts(choice):
        yield from _left_behind(connection, part)


def _left_behind(connection: Connection, choice: Choice) -> Generator[Left]:
    r = t.recipient.c
    unclear, wanted = removals.has_living(*_UNCLEAR), _is_wanted(choice)
    query = (
        select(t.contact.c.address, r.state, r.reason, unclear)
        .join(t.contact, t.contact.c.id == r.contact_id)
        .where(_named(connection, choice), or_(~wanted, unclear))
        .order_by(r.id)
    )
    if choice.sender_ids:
        query = query.where(or_(wanted, r.state == RecipientState.STOPPED))
    with connection.execute(query.execution_options(yield_per=AT_A_TIME)) as rows:
        for row in rows:
            yield Left(row[0] or "(erased)", RecipientState(row[1]), row[2], bool(row[3]))


def give(connection: Connection, recipient_id: int, to_sender_id: int, reason: str) -> None:
    """Give one recipient another sender; step and thread stay."""
    this = update(t.recipient).where(t.recipient.c.id == recipient_id)
    connection.execute(this.values(campaign_sender_id=to_sender_id, assigned_reason=reason))


def move_open(connection: Connection, choice: Choice, to_sender_id: int, reason: str) -> int:
    """Move open recipients to another sender; step and thread stay."""
    result = connection.execute(
        update(t.recipient)
        .where(_named(connection, choice), _is_wanted(choice), ~removals.has_living(*_UNCLEAR))
        .values(campaign_sender_id=to_sender_id, assigned_reason=reason)
    )
    return result.rowcount


def waiting(connection: Connection, choice: Choice) -> Iterator[list[Halted]]:
    """Lock and yield the recipients to move with their progress, a few hundred at a time."""
    for part in _parts(choice):
        yield from _waiting(connection, part)


def _waiting(connection: Connection, choice: Choice) -> Iterator[list[Halted]]:
    r, m = t.recipient.c, t.message.c
    sent = and_(m.recipient_id == r.id, t.is_living_step, m.sent_at.is_not(None))
    query = (
        select(
            r.id,
            t.contact.c.address,
            r.next_step,
            select(func.max(m.step_position)).where(sent).correlate(t.recipient).scalar_subquery(),
            select(func.max(m.sent_at)).where(sent).correlate(t.recipient).scalar_subquery(),
        )
        .join(t.contact, t.contact.c.id == r.contact_id)
        .where(
            _named(connection, choice),
            _is_wanted(choice),
            ~removals.has_living(*_UNCLEAR),
            r.id > bindparam("b_after"),
        )
        .order_by(r.id)
        .limit(AT_A_TIME)
        .with_for_update(of=t.recipient)
    )
    after = 0
    while some := connection.execute(query, {"b_after": after}).all():
        yield [
            Halted(row[0], row[1] or "(erased)", row[2], None if row[3] is None else (row[3], row[4]))
            for row in some
        ]
        after = some[-1][0]


def take_on(
    connection: Connection,
    transition: Transition,
    people: Sequence[Going],
    to_sender_id: int,
    reason: str,
) -> None:
    """Let recipients continue from this sender, each at its own step."""
    if not people:
        return
    query = (
        moves.moving(transition)
        .where(t.recipient.c.id == bindparam("b_id"))
        .values(
            reason=None,
            ended_at=None,
            campaign_sender_id=to_sender_id,
            assigned_reason=reason,
            next_step=bindparam("b_step"),
            next_at=bindparam("b_at"),
        )
    )
    rows = [{"b_id": one.id, "b_step": one.next_step, "b_at": one.next_at} for one in people]
    connection.execute(query, rows)
