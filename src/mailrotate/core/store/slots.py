"""Slots and what is connected in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from sqlalchemy import Connection, and_, insert, select

from mailrotate.core.store import tables as t
from mailrotate.core.values.states import SlotKind


@dataclass(frozen=True)
class StoredSlot:
    """A slot; `mailbox` is the address that is connected (or failed) in it."""

    id: int
    kind: SlotKind
    renews_on: date | None
    mailbox: str | None


def users(connection: Connection) -> Iterator[tuple[int, str, str | None]]:
    """Id, address and default sending address of every user."""
    query = (
        select(t.user.c.id, t.user.c.email, t.mailbox.c.address)
        .outerjoin(t.mailbox, t.mailbox.c.id == t.user.c.default_mailbox_id)
        .order_by(t.user.c.id)
    )
    for row in connection.execute(query).all():
        yield row[0], row[1], row[2]


def of_user(connection: Connection, user_id: int) -> list[StoredSlot]:
    current = and_(
        t.connection.c.slot_id == t.slot.c.id,
        t.connection.c.superseded_at.is_(None),
        t.connection.c.state != "disconnected",
    )
    query = (
        select(t.slot.c.id, t.slot.c.kind, t.slot.c.renews_on, t.mailbox.c.address)
        .outerjoin(t.connection, current)
        .outerjoin(t.mailbox, t.mailbox.c.id == t.connection.c.mailbox_id)
        .where(t.slot.c.user_id == user_id)
        .order_by(t.slot.c.id)
    )
    return [
        StoredSlot(row[0], SlotKind(row[1]), None if row[2] is None else row[2].date(), row[3])
        for row in connection.execute(query)
    ]


def insert_purchased(connection: Connection, user_id: int, renews_on: date, now: datetime) -> int:
    inserted = connection.execute(
        insert(t.slot).values(
            user_id=user_id,
            kind=SlotKind.PURCHASED,
            renews_on=datetime.combine(renews_on, time(), UTC),
            created_at=now,
        )
    )
    return int((inserted.inserted_primary_key or (0,))[0])
