"""Messages that have been due for too long, planned or not, and the mark that parks them (H4).

A sender's mark parks everything of it in a campaign that was due before that instant. So a million late
people need no row of the outbox each.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.values.states import MessageKind

_mark = t.campaign_sender.c.parked_before


def count(connection: Connection, sender_ids: Sequence[int], before: datetime) -> int:
    """Count what some senders of a campaign would send that was due before an instant and is not parked."""
    whose = t.campaign_sender.c.id.in_(sender_ids)
    return _count(connection, whose, lambda due: and_(due < before, or_(_mark.is_(None), due >= _mark)))


def park(connection: Connection, sender_ids: Sequence[int], before: datetime) -> None:
    """Park what some senders of a campaign would send that was due before an instant."""
    query = update(t.campaign_sender).where(t.campaign_sender.c.id.in_(sender_ids))
    connection.execute(query.values(parked_before=before))


def release(connection: Connection, campaign_id: int) -> int:
    """Remove the marks of a campaign; return how many messages they parked that no row says so of."""
    own = t.campaign_sender.c.campaign_id == campaign_id
    parked = _count(connection, own, lambda due: due < _mark)
    connection.execute(update(t.campaign_sender).where(own).values(parked_before=None))
    return parked


def _count(
    connection: Connection,
    senders: ColumnElement[bool],
    is_meant: Callable[[ColumnElement[datetime]], ColumnElement[bool]],
) -> int:
    """Count planned messages, and recipients whose next message is not planned yet, by their due instant."""
    m, r = t.message.c, t.recipient.c
    planned = (
        select(func.count())
        .select_from(t.message)
        .join(t.campaign_sender, t.campaign_sender.c.id == m.campaign_sender_id)
        .where(t.is_waiting, m.kind == MessageKind.CAMPAIGN, m.released_at.is_(None), is_meant(m.due_at))
    )
    unplanned = (
        select(func.count())
        .select_from(t.recipient)
        .join(t.campaign_sender, t.campaign_sender.c.id == r.campaign_sender_id)
        .where(or_(t.awaits_first, t.awaits_follow_up), is_meant(r.next_at))
    )
    return sum(int(connection.execute(one.where(senders)).scalar_one()) for one in (planned, unplanned))
