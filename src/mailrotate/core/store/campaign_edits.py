"""Queries and changes of recipients and messages for editing or deleting a campaign."""

import json
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.values.states import COUNTED_MESSAGES, OPEN_RECIPIENTS


class OpenPerson(NamedTuple):
    id: int
    email: str
    fields: Mapping[str, str]


def begun_steps(connection: Connection, campaign_id: int) -> set[int]:
    """The positions of the steps that may have reached a recipient."""
    c = t.message.c
    query = (
        select(c.step_position)
        .where(c.campaign_id == campaign_id, c.state.in_(COUNTED_MESSAGES), t.is_living_step)
        .distinct()
    )
    return {int(position) for position in connection.execute(query).scalars() if position is not None}


def open_people(connection: Connection, campaign_id: int) -> Generator[OpenPerson]:
    """Stream the open recipients with their addresses and fields."""
    c = t.recipient.c
    query = (
        select(c.id, t.contact.c.address, c.fields)
        .join(t.contact, t.contact.c.id == c.contact_id)
        .where(c.campaign_id == campaign_id, c.state.in_(OPEN_RECIPIENTS))
    )
    with connection.execute(query.order_by(c.id).execution_options(yield_per=500)) as rows:
        for row in rows:
            yield OpenPerson(row.id, row.address, json.loads(row.fields))


def shift_step(connection: Connection, campaign_id: int, position: int, by: timedelta) -> None:
    """Move the waiting messages of one step, planned or not, by a duration."""
    r, m = t.recipient.c, t.message.c
    people = connection.execute(
        select(r.id, r.next_at).where(
            r.campaign_id == campaign_id, r.next_step == position, r.next_at.is_not(None)
        )
    ).all()
    if people:
        connection.execute(
            update(t.recipient).where(r.id == bindparam("moved_id")).values(next_at=bindparam("moved_to")),
            [{"moved_id": row.id, "moved_to": row.next_at + by} for row in people],
        )
    planned = connection.execute(
        select(m.id, m.due_at, m.ready_at).where(
            m.campaign_id == campaign_id,
            m.step_position == position,
            t.is_scheduled,
            t.is_living_step,
        )
    ).all()
    if planned:
        connection.execute(
            update(t.message)
            .where(m.id == bindparam("moved_id"))
            .values(due_at=bindparam("moved_to"), ready_at=bindparam("ready_from")),
            [
                {"moved_id": row.id, "moved_to": row.due_at + by, "ready_from": row.ready_at + by}
                for row in planned
            ],
        )


def has_messages(connection: Connection, recipient_id: int) -> bool:
    """Whether the outbox holds, or ever held, anything for a recipient."""
    query = select(t.message.c.id).where(t.message.c.recipient_id == recipient_id).limit(1)
    return connection.execute(query).first() is not None
