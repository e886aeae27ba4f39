"""Users: changing and deleting them, and what refers to them."""

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.states import Role, SlotKind, UserState


def ids(connection: Connection) -> list[int]:
    """Everybody, in the order of adding."""
    return list(connection.execute(select(t.user.c.id).order_by(t.user.c.id)).scalars())


def change(connection: Connection, user_id: int, **values: object) -> None:
    connection.execute(update(t.user).where(t.user.c.id == user_id).values(**values))


def other_active_admins(connection: Connection, user_id: int) -> int:
    """How many admins could act if this user could not."""
    u = t.user.c
    query = select(func.count()).where(u.role == Role.ADMIN, u.state == UserState.ACTIVE, u.id != user_id)
    return int(connection.execute(query).scalar_one())


def refers_to(connection: Connection, user_id: int) -> bool:
    """Whether a mailbox, a campaign, the log or anything else but never used slots names this user."""
    mine = referring_to(t.user, t.user.c.id, but=t.slot)
    used = exists().where(t.slot.c.user_id == t.user.c.id, referring_to(t.slot, t.slot.c.id))
    query = select(or_(mine, used)).select_from(t.user).where(t.user.c.id == user_id)
    return bool(connection.execute(query).scalar_one())


def referring_to(table: Table, key: ColumnElement[int], but: Table | None = None) -> ColumnElement[bool]:
    """Whether any row of any table refers to the row of `table` with this key."""
    columns = [
        reference.parent
        for other in t.METADATA.sorted_tables
        if other is not but
        for reference in other.foreign_keys
        if reference.column.table is table
    ]
    return or_(*(exists().where(column == key) for column in columns))


def erase(connection: Connection, user_id: int) -> None:
    """Delete a user to whom nothing refers, with the plan's slots; purchased ones go back to the pool."""
    s = t.slot.c
    connection.execute(delete(t.slot).where(s.user_id == user_id, s.kind == SlotKind.INCLUDED))
    connection.execute(update(t.slot).where(s.user_id == user_id).values(user_id=None))
    connection.execute(delete(t.user).where(t.user.c.id == user_id))


def whose_own(connection: Connection, address: str) -> tuple[int, str] | None:
    """The user, by id and e-mail address, whose own address this is, however it is spelt."""
    u = t.user.c
    rows = connection.execute(select(u.id, u.email).where(u.removed_at.is_(None)).order_by(u.id))
    wanted = canonical_address(address)
    return next(((row.id, row.email) for row in rows if canonical_address(row.email) == wanted), None)
