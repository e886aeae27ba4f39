"""The only module that writes states: by compare-and-set, for one row or for a set in one statement.

`core/rules/transitions.py` says what is legal; the service that decides passes the transition.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, bindparam, or_, update

from mailrotate.core.store import tables as t
from mailrotate.core.values.transition import Transition


@cache
def moving(transition: Transition) -> Update:
    """The statement that moves every row that may move; made once. What it is narrowed to is the caller's."""
    table = t.METADATA.tables[transition.machine]
    # No IN: its list is expanded again for each run, and a statement for many rows takes none.
    assert transition.origins
    may_move = or_(*(table.c.state == origin for origin in transition.origins))
    return update(table).where(may_move).values(state=transition.target)


@cache
def _moving_one(transition: Transition) -> Update:
    return moving(transition).where(t.METADATA.tables[transition.machine].c.id == bindparam("b_id"))


def move(connection: Connection, transition: Transition, row_id: int, **values: object) -> bool:
    """Move one row; False when it is in none of the transition's origins any more."""
    return connection.execute(_moving_one(transition), {"b_id": row_id, **values}).rowcount == 1


def move_many(
    connection: Connection, transition: Transition, where: ColumnElement[bool], **values: object
) -> int:
    """Move a set in one statement; returns how many rows moved."""
    query = moving(transition).where(where)
    return connection.execute(query.values(**values) if values else query).rowcount


def born(transition: Transition) -> Mapping[str, Any]:
    """The state of a row that begins with a transition."""
    assert transition.creates
    return {"state": transition.target}
