"""The recipients of a sender whose time is over: who is stopped for good, and who goes back (C9)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, func, insert, literal, select

from mailrotate.core.store import dialects, moves, removals
from mailrotate.core.store import tables as t
from mailrotate.core.store.people import recipients
from mailrotate.core.values.transition import Transition


def stop_contacted(
    connection: Connection, transition: Transition, sender_ids: Sequence[int], reason: str, at: datetime
) -> int:
    """Stop the contacted open recipients of some senders, and mark their addresses; return how many."""
    r = t.recipient.c
    contacted = and_(r.campaign_sender_id.in_(sender_ids), t.is_open, removals.is_contacted())
    # The marks first: a recipient with a mark can be nothing but stopped.
    marks = select(r.campaign_id, r.address_hash, literal(at, t.stopped.c.stopped_at.type)).where(
        contacted, r.address_hash.is_not(None)
    )
    columns = ["campaign_id", "address_hash", "stopped_at"]
    connection.execute(insert(t.stopped).from_select(columns, dialects.but_not_twice(marks)))
    return recipients.end_many(connection, transition, reason, contacted, at)


def cancel_messages(connection: Connection, transition: Transition, sender_ids: Sequence[int]) -> int:
    """Cancel what some senders' recipients would still get in any lane; what is held stays."""
    r, m = t.recipient.c, t.message.c
    theirs = select(r.id).where(r.campaign_sender_id.in_(sender_ids))
    return moves.move_many(connection, transition, and_(t.is_living_step, m.recipient_id.in_(theirs)))


def waiting_count(connection: Connection, sender_ids: Sequence[int]) -> int:
    """Count the open recipients of some senders."""
    query = select(func.count()).where(t.recipient.c.campaign_sender_id.in_(sender_ids), t.is_open)
    return int(connection.execute(query).scalar_one())
