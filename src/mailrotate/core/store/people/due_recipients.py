"""Recipients whose next step is due: found, locked while it is planned, and noted as planned."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Connection,
    bindparam,
    select,
    update,
)

from mailrotate.core.store import tables as t
from mailrotate.core.store.ready import Ready


@dataclass(frozen=True)
class Due:
    """A recipient whose next step is to be planned."""

    id: int
    campaign_sender_id: int
    email: str
    next_step: int
    next_at: datetime
    timezone: str | None


def due_in_lane(
    connection: Connection,
    campaign_sender_id: int,
    until: datetime,
    follow_ups: bool,
    limit: int,
    since: datetime | None = None,
    *,
    lock: bool = False,
) -> list[Due]:
    """The earliest open recipients of one sender whose next step is due from `since` on before `until`.

    With `lock`, a process that ends one of them waits until they are planned, and then finds the message.
    """
    c = t.recipient.c
    query = (
        select(c.id, c.campaign_sender_id, t.contact.c.address, c.next_step, c.next_at, c.timezone)
        .join(t.contact, t.contact.c.id == c.contact_id)
        .where(
            c.campaign_sender_id == campaign_sender_id,
            c.next_at < until,
            t.awaits_follow_up if follow_ups else t.awaits_first,
        )
        .order_by(c.next_at, c.id)
        .limit(limit)
    )
    if since is not None:
        query = query.where(c.next_at >= since)
    if lock:
        query = query.with_for_update(of=t.recipient)
    return [Due(*row) for row in connection.execute(query)]


_MARK_PLANNED = Ready(update(t.recipient).where(t.recipient.c.id == bindparam("b_id")).values(next_at=None))


def mark_planned(connection: Connection, recipient_ids: Sequence[int]) -> None:
    """Note that the recipients' next step is in the outbox."""
    _MARK_PLANNED.change_each(connection, [{"b_id": recipient_id} for recipient_id in recipient_ids])


def plan_again(connection: Connection, recipient_id: int, due_at: datetime) -> None:
    """Let the planned step of an open recipient be planned again."""
    c = t.recipient.c
    query = update(t.recipient).where(c.id == recipient_id, t.is_open, c.next_at.is_(None))
    connection.execute(query.values(next_at=due_at))
