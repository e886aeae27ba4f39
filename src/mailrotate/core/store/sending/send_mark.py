"""The database's half of the mark before each final dot, and the hold until sent mail was compared (F3)."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from mailrotate.core.store import dialects
from mailrotate.core.store import tables as t
from mailrotate.core.store.ready import Ready
from mailrotate.core.values.lineage import DatabaseMark

_m = t.send_mark.c
_READ = select(_m.number, _m.home, _m.pass_id)
_COUNT = Ready(update(t.send_mark).values(number=_m.number + bindparam("b_more")).returning(_m.number))


def read(connection: Connection) -> DatabaseMark:
    """The latest mark; the first pass that sends makes its row."""
    row = connection.execute(_READ).one_or_none()
    return DatabaseMark() if row is None else DatabaseMark(*row)


def begin_pass(connection: Connection, home: str, pass_id: str | None) -> None:
    """Note where, and in which pass, the next messages are sent."""
    change(connection, home=home, pass_id=pass_id)


def count(connection: Connection, more: int = 1) -> int:
    """Count more marks; return the number of the last. The last statement of its transaction: others wait
    for it."""
    return int(_COUNT.value(connection, b_more=more))


def hold(connection: Connection, since: datetime) -> None:
    """Let the workspace send nothing until the mail that was sent since then is compared."""
    change(connection, compare_since=since)


def held_since(connection: Connection) -> datetime | None:
    """From which instant sent mail is to be compared; None if the workspace is not held."""
    found = connection.execute(select(_m.compare_since)).scalar_one_or_none()
    return found if isinstance(found, datetime) else None


def change(connection: Connection, **values: object) -> None:
    """Set columns of the one row, which is made if it is missing."""
    row = select(*(t.literal(value) for value in (1, 0))).where(t.literal(1) == t.literal(1))
    made = insert(t.send_mark).from_select(["id", "number"], dialects.but_not_twice(row))
    connection.execute(made)
    connection.execute(update(t.send_mark).values(**values))
