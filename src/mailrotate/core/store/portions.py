"""Split long lists: a statement can have only a limited number of parameters."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select

AT_A_TIME = 500

T = TypeVar("T")


def portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split a sequence into parts of `AT_A_TIME`."""
    return (items[first : first + AT_A_TIME] for first in range(0, len(items), AT_A_TIME))


def rows_with(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Sequence[object]
) -> Iterator[Row[Any]]:
    """Run a query for rows in which `column` has one of many values."""
    for some in portions(values):
        yield from connection.execute(query.where(column.in_(some)))
