"""Deadlines: until when a mailbox that is away can return to a campaign without loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import rows_with
from mailrotate.core.store.ready import Ready
from mailrotate.core.values.states import (
    CampaignState,
    ConnectionState,
    DeadlineKind,
    DeadlineState,
    Departure,
)
from mailrotate.core.values.transition import Transition

_d = t.deadline.c
# This table has an instant (`ended_at`) instead of a state column.
_IS = {DeadlineState.RUNNING: _d.ended_at.is_(None), DeadlineState.ENDED: _d.ended_at.is_not(None)}
# How a sender has left whose recipients a deadline concerns.
HAS_DEADLINE = (Departure.DISCONNECTED, Departure.FAILED)
_IS_RUNNING = _IS[DeadlineState.RUNNING]
_RUNNING = select(_d.id).where(_IS_RUNNING).limit(1)
_ANY = Ready(_RUNNING)
_EARLIEST_END = Ready(select(func.min(_d.ends_at, type_=_d.ends_at.type).label("ends_at")).where(_IS_RUNNING))


@dataclass(frozen=True)
class RunningDeadline:
    campaign: str
    kind: str
    ends_at: datetime


@dataclass(frozen=True)
class StoredDeadline:
    """One mailbox's deadline in one campaign."""

    id: int
    mailbox_id: int
    address: str
    campaign_id: int
    campaign: str
    kind: DeadlineKind
    started_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class AwaitedReturn:
    """A disconnected mailbox that may come back to its slot without loss until its grace ends."""

    mailbox: str
    campaign: str
    ends_at: datetime


def running(connection: Connection, mailbox_ids: Sequence[int]) -> dict[int, list[RunningDeadline]]:
    """Open deadlines per mailbox, soonest first."""
    found = dict[int, list[RunningDeadline]]()
    query = (
        select(_d.mailbox_id, t.campaign.c.name, _d.kind, _d.ends_at)
        .join(t.campaign, t.campaign.c.id == _d.campaign_id)
        .where(_IS_RUNNING)
        .order_by(_d.ends_at, _d.id)
    )
    for row in rows_with(connection, query, _d.mailbox_id, mailbox_ids):
        found.setdefault(row.mailbox_id, []).append(RunningDeadline(row.name, row.kind, row.ends_at))
    return found


def begin(
    connection: Connection,
    transition: Transition,
    mailbox_id: int,
    campaign_ids: Sequence[int],
    kind: DeadlineKind,
    started_at: datetime,
    ends_at: datetime,
) -> None:
    """Start a deadline in each campaign where none of the mailbox's runs."""
    assert transition.creates
    already = {one.campaign_id for one in running_where(connection, _d.mailbox_id == mailbox_id)}
    rows = [
        {
            "mailbox_id": mailbox_id,
            "campaign_id": campaign_id,
            "kind": kind,
            "started_at": started_at,
            "ends_at": ends_at,
        }
        for campaign_id in campaign_ids
        if campaign_id not in already
    ]
    if rows:
        connection.execute(insert(t.deadline), rows)


def _stored() -> Select[tuple[object, ...]]:
    return (
        select(t.deadline, t.mailbox.c.address, t.campaign.c.name)
        .join(t.mailbox, t.mailbox.c.id == _d.mailbox_id)
        .join(t.campaign, t.campaign.c.id == _d.campaign_id)
        .order_by(_d.ends_at, _d.id)
    )


def running_where(connection: Connection, *where: ColumnElement[bool]) -> list[StoredDeadline]:
    """The open deadlines, soonest first."""
    rows = connection.execute(_stored().where(_IS_RUNNING, *where))
    return [
        StoredDeadline(
            row.id,
            row.mailbox_id,
            row.address,
            row.campaign_id,
            row.name,
            DeadlineKind(row.kind),
            row.started_at,
            row.ends_at,
        )
        for row in rows
    ]


def of_mailbox(mailbox_id: int, *kinds: DeadlineKind) -> ColumnElement[bool]:
    """A condition: the deadlines of a mailbox, of some kinds or of any."""
    return and_(_d.mailbox_id == mailbox_id, *([_d.kind.in_(kinds)] if kinds else ()))


def of_campaign(campaign_id: int, *kinds: DeadlineKind) -> ColumnElement[bool]:
    """A condition: the deadlines in a campaign, of some kinds or of any."""
    return and_(_d.campaign_id == campaign_id, *([_d.kind.in_(kinds)] if kinds else ()))


def of_kind(kind: DeadlineKind) -> ColumnElement[bool]:
    """A condition: the deadlines of a kind."""
    return _d.kind == kind


def of_sender(campaign_sender_id: int) -> ColumnElement[bool]:
    """A condition: the deadlines of a sender's mailbox in the sender's campaign."""
    c = t.campaign_sender.c
    this = select(c.campaign_id, c.mailbox_id).where(c.id == campaign_sender_id)
    return tuple_(_d.campaign_id, _d.mailbox_id).in_(this)


def ending_by(now: datetime) -> ColumnElement[bool]:
    """A condition: the deadlines that have passed."""
    return _d.ends_at <= now


def is_any(connection: Connection, *where: ColumnElement[bool]) -> bool:
    """Whether any open deadline meets the conditions."""
    if not where:
        return _ANY.first(connection) is not None
    return connection.execute(_RUNNING.where(*where)).first() is not None


def earliest_end(connection: Connection) -> datetime | None:
    """When the first open deadline ends; None if none is open."""
    found: datetime | None = _EARLIEST_END.value(connection)
    return found


def mailboxes_with(connection: Connection, mailbox_ids: Sequence[int], kind: DeadlineKind) -> set[int]:
    """Those of some mailboxes that have an open deadline of this kind."""
    query = select(_d.mailbox_id).where(_IS_RUNNING, _d.kind == kind)
    return {int(row.mailbox_id) for row in rows_with(connection, query, _d.mailbox_id, mailbox_ids)}


def lock_passed(connection: Connection, now: datetime) -> list[StoredDeadline]:
    """The deadlines that have passed, in the order of their instants, locked until the transaction ends.

    Another process may have settled some while this one waited for the lock: those are left out.
    """
    passed = select(_d.id).where(_IS_RUNNING, ending_by(now)).order_by(_d.id)
    ids = list(connection.execute(passed.with_for_update()).scalars())
    return running_where(connection, _d.id.in_(ids)) if ids else []


def end(
    connection: Connection,
    transition: Transition,
    deadline_ids: Sequence[int],
    at: datetime,
    *,
    stopped: int | None = None,
    reassigned: int | None = None,
) -> int:
    """End open deadlines; return how many ended."""
    may_end = or_(*(_IS[DeadlineState(origin)] for origin in transition.origins))
    result = connection.execute(
        update(t.deadline)
        .where(_d.id.in_(deadline_ids), may_end)
        .values(ended_at=at, ended_by=transition.event, stopped_count=stopped, reassigned_count=reassigned)
    )
    return result.rowcount


def set_end(connection: Connection, deadline_id: int, ends_at: datetime) -> None:
    """Move the end of an open deadline."""
    this = and_(_d.id == deadline_id, _IS_RUNNING)
    connection.execute(update(t.deadline).where(this).values(ends_at=ends_at))


def put_off(connection: Connection, passed_by: datetime, ends_at: datetime) -> int:
    """Let all deadlines that end by an instant end at a later one instead; return how many."""
    these = and_(_IS_RUNNING, ending_by(passed_by))
    return connection.execute(update(t.deadline).where(these).values(ends_at=ends_at)).rowcount


def hanging(connection: Connection, deadlines: Sequence[StoredDeadline]) -> dict[int, int]:
    """Count the open recipients that wait for each deadline's mailbox in its campaign, by deadline."""
    sender, r = t.campaign_sender.c, t.recipient.c
    query = (
        select(_d.id, func.count(r.id).label("people"))
        .join(
            t.campaign_sender, and_(sender.campaign_id == _d.campaign_id, sender.mailbox_id == _d.mailbox_id)
        )
        .join(t.recipient, and_(r.campaign_sender_id == sender.id, t.is_open))
        # Recipients that it took over have no deadline (C14).
        .where(or_(sender.left_at.is_(None), sender.left_reason.in_(HAS_DEADLINE)))
        .group_by(_d.id)
    )
    return {row.id: row.people for row in rows_with(connection, query, _d.id, [one.id for one in deadlines])}


def ends_of_each(
    connection: Connection, campaign_ids: Sequence[int]
) -> dict[tuple[int, int | None], datetime]:
    """When the open deadlines of some campaigns end, by campaign and mailbox."""
    query = select(_d.campaign_id, _d.mailbox_id, _d.ends_at).where(_IS_RUNNING)
    rows = rows_with(connection, query, _d.campaign_id, campaign_ids)
    return {(row.campaign_id, row.mailbox_id): row.ends_at for row in rows}


def last_settled(connection: Connection, mailbox_id: int, event: str) -> list[tuple[str, int, datetime]]:
    """Campaign, number of stopped recipients and instant of the mailbox's latest settlements.

    Of each unfinished campaign that it has not joined since.
    """
    newest = select(func.max(_d.id)).where(_d.mailbox_id == mailbox_id).group_by(_d.campaign_id)
    sender = t.campaign_sender.c
    joined = select(sender.campaign_id).where(sender.mailbox_id == mailbox_id, sender.left_at.is_(None))
    query = (
        select(t.campaign.c.name, _d.stopped_count, _d.ended_at)
        .join(t.campaign, t.campaign.c.id == _d.campaign_id)
        .where(
            _d.id.in_(newest),
            _d.ended_by == event,
            t.campaign.c.state != CampaignState.FINISHED,
            t.campaign.c.id.not_in(joined),
        )
        .order_by(_d.id)
    )
    return [(row.name, row.stopped_count or 0, row.ended_at) for row in connection.execute(query)]


def awaited_in(connection: Connection, slot_id: int, but: str) -> list[AwaitedReturn]:
    """The deadlines of disconnected mailboxes, other than `but`, that run in a slot (A5)."""
    c, m = t.connection.c, t.mailbox.c
    query = (
        select(m.address, t.campaign.c.name, _d.ends_at)
        .join(t.connection, c.mailbox_id == m.id)
        .join(t.deadline, _d.mailbox_id == m.id)
        .join(t.campaign, t.campaign.c.id == _d.campaign_id)
        .where(
            c.slot_id == slot_id,
            c.superseded_at.is_(None),
            c.state == ConnectionState.DISCONNECTED,
            m.address != but,
            _IS_RUNNING,
        )
        .order_by(_d.ends_at, _d.id)
    )
    return [AwaitedReturn(row.address, row.name, row.ends_at) for row in connection.execute(query)]


def runs_for(mailbox_id: ColumnElement[int], *where: ColumnElement[bool]) -> ColumnElement[bool]:
    """A condition for queries of mailboxes: whether any deadline of the mailbox is open."""
    return exists().where(*where, _d.mailbox_id == mailbox_id, _IS_RUNNING)
