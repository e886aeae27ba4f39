"""Slots and the mailboxes connected in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, insert, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.values.states import ConnectionState, SlotKind


@dataclass(frozen=True)
class StoredSlot:
    """A slot; one of the pool has no user. `mailbox` is the connected or failed mailbox in it."""

    id: int
    user_id: int | None
    user: str | None
    kind: SlotKind
    bought_at: datetime
    mailbox_id: int | None
    mailbox: str | None


def users(connection: Connection) -> Iterator[tuple[int, str, str | None]]:
    """Id, address and default sending address of every user."""
    query = (
        select(t.user.c.id, t.user.c.email, t.mailbox.c.address)
        .outerjoin(t.mailbox, t.mailbox.c.id == t.user.c.default_mailbox_id)
        .where(t.user.c.removed_at.is_(None))
        .order_by(t.user.c.id)
    )
    for row in connection.execute(query).all():
        yield row[0], row[1], row[2]


def listing(connection: Connection) -> list[StoredSlot]:
    """All slots, oldest first."""
    return [_read(row) for row in connection.execute(_query().order_by(t.slot.c.id))]


def of_user(connection: Connection, user_id: int | None) -> list[StoredSlot]:
    """A user's slots, or those of the pool, oldest first."""
    query = _query().where(t.slot.c.user_id.is_not_distinct_from(user_id)).order_by(t.slot.c.id)
    return [_read(row) for row in connection.execute(query)]


def find(connection: Connection, slot_id: int) -> StoredSlot | None:
    """Find a slot; None if it does not exist or has been removed."""
    row = connection.execute(_query().where(t.slot.c.id == slot_id)).one_or_none()
    return None if row is None else _read(row)


def _query() -> Select[tuple[int, int, str, str, datetime, int, str]]:
    return (
        select(
            t.slot.c.id,
            t.slot.c.user_id,
            t.user.c.email,
            t.slot.c.kind,
            t.slot.c.created_at,
            t.mailbox.c.id.label("mailbox_id"),
            t.mailbox.c.address,
        )
        .outerjoin(t.user, t.user.c.id == t.slot.c.user_id)
        .outerjoin(t.connection, _holds())
        .outerjoin(t.mailbox, t.mailbox.c.id == t.connection.c.mailbox_id)
        .where(t.slot.c.removed_at.is_(None), t.user.c.removed_at.is_(None))
    )


def _holds() -> ColumnElement[bool]:
    c = t.connection.c
    return and_(c.slot_id == t.slot.c.id, c.superseded_at.is_(None), c.state != ConnectionState.DISCONNECTED)


def _read(row: Row[tuple[int, int, str, str, datetime, int, str]]) -> StoredSlot:
    return StoredSlot(
        row.id, row.user_id, row.email, SlotKind(row.kind), row.created_at, row.mailbox_id, row.address
    )


def was_used(connection: Connection, slot_id: int) -> bool:
    """Whether a mailbox is or was connected in it, so that campaigns, messages and the log may name it."""
    query = select(t.connection.c.id).where(t.connection.c.slot_id == slot_id).limit(1)
    return connection.execute(query).first() is not None


def insert_purchased(connection: Connection, user_id: int | None, bought_at: datetime) -> int:
    """Insert a slot of a user or of the pool. It renews monthly, counted from the day of the purchase."""
    values = {"user_id": user_id, "kind": SlotKind.PURCHASED, "created_at": bought_at}
    inserted = connection.execute(insert(t.slot).values(**values))
    return int((inserted.inserted_primary_key or (0,))[0])


def change(connection: Connection, slot_id: int, **values: object) -> None:
    connection.execute(update(t.slot).where(t.slot.c.id == slot_id).values(**values))
