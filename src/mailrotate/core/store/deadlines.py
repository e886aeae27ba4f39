"""Deadlines: until when a mailbox that is away can return to a campaign without loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import rows_with
from mailrotate.core.values.states import ConnectionState, DeadlineState
from mailrotate.core.values.transition import Transition

_d = t.deadline.c
# This table has an instant (`ended_at`) instead of a state column.
_IS = {DeadlineState.RUNNING: _d.ended_at.is_(None), DeadlineState.ENDED: _d.ended_at.is_not(None)}


@dataclass(frozen=True)
class RunningDeadline:
    campaign: str
    kind: str
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
        .where(_IS[DeadlineState.RUNNING])
        .order_by(_d.ends_at, _d.id)
    )
    for row in rows_with(connection, query, _d.mailbox_id, mailbox_ids):
        found.setdefault(row.mailbox_id, []).append(RunningDeadline(row.name, row.kind, row.ends_at))
    return found


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
            _IS[DeadlineState.RUNNING],
        )
        .order_by(_d.ends_at, _d.id)
    )
    return [AwaitedReturn(row.address, row.name, row.ends_at) for row in connection.execute(query)]


def runs_for(mailbox_id: ColumnElement[int], *where: ColumnElement[bool]) -> ColumnElement[bool]:
    """A condition for queries of mailboxes: whether any deadline of the mailbox is open."""
    return exists().where(*where, _d.mailbox_id == mailbox_id, _IS[DeadlineState.RUNNING])


def end_of_mailbox(connection: Connection, transition: Transition, mailbox_id: int, now: datetime) -> int:
    """End a mailbox's open deadlines; return how many ended."""
    may_end = or_(*(_IS[DeadlineState(origin)] for origin in transition.origins))
    ended = update(t.deadline).where(_d.mailbox_id == mailbox_id, may_end).values(ended_at=now)
    return connection.execute(ended).rowcount
