"""Lists that are longer than one statement: a database takes only so many parameters."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select

AT_A_TIME = 500

T = TypeVar("T")


def portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """`AT_A_TIME` after each other."""
    return (items[first : first + AT_A_TIME] for first in range(0, len(items), AT_A_TIME))


def rows_with(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Sequence[object]
) -> Iterator[Row[Any]]:
    """What a query finds where `column` has one of many values."""
    for some in portions(values):
        yield from connection.execute(query.where(column.in_(some)))
