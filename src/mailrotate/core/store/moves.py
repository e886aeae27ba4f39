"""Write states, by compare-and-set, for one row or a set of rows. No other module does.

`core/rules/transitions.py` says what is legal; the service that decides passes the transition.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Update, bindparam, or_, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.ready import Ready
from mailrotate.core.values.transition import Transition


@cache
def moving(transition: Transition) -> Update:
    """Build, once, the statement that moves every row in an origin state; the caller adds conditions."""
    table = t.METADATA.tables[transition.machine]
    # OR instead of IN: SQLAlchemy expands an IN list on each run, and executemany cannot.
    assert transition.origins
    may_move = or_(*(table.c.state == origin for origin in transition.origins))
    return update(table).where(may_move).values(state=transition.target)


@cache
def _moving_one(transition: Transition) -> Ready:
    return Ready(moving(transition).where(t.METADATA.tables[transition.machine].c.id == bindparam("b_id")))


def move(connection: Connection, transition: Transition, row_id: int, **values: object) -> bool:
    """Move one row; False if it is no longer in one of the transition's origin states."""
    return _moving_one(transition).change(connection, b_id=row_id, **values) == 1


def move_many(
    connection: Connection, transition: Transition, where: ColumnElement[bool], **values: object
) -> int:
    """Move a set of rows in one statement; return how many moved."""
    query = moving(transition).where(where)
    return connection.execute(query.values(**values) if values else query).rowcount


def move_each(
    connection: Connection,
    transition: Transition,
    row_ids: Sequence[int],
    *columns: ColumnElement[Any],
    **values: object,
) -> list[Row[Any]]:
    """Move some hundred rows in one statement; return these columns of each row that moved."""
    table = t.METADATA.tables[transition.machine]
    query = moving(transition).where(table.c.id.in_(row_ids)).values(**values).returning(*columns)
    return list(connection.execute(query))


def born(transition: Transition) -> Mapping[str, Any]:
    """The first state of a row that a transition creates."""
    assert transition.creates
    return {"state": transition.target}
