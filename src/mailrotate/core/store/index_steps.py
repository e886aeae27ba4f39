"""Read the few rows that a query needs, by steps of an index, however many rows the table has."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, union_all


def each_value(connection: Connection, column: ColumnElement[Any]) -> Iterator[Any]:
    """Each value of an indexed column once, in its order, by one step for each value."""
    each = select(func.min(column).label("value")).cte("each", recursive=True)
    following = select(func.min(column)).where(column > each.c.value).scalar_subquery()
    each = each.union_all(select(following).where(each.c.value.is_not(None)))
    with connection.execute(select(each.c.value).where(each.c.value.is_not(None))) as rows:
        yield from rows.scalars()


def among_first(
    ids: ColumnElement[int], parts: Sequence[Select[tuple[int]]], limit: int
) -> ColumnElement[bool]:
    """A condition: the first few ids of each part, of which there is at least one.

    An index that has the ids of each part in order does not have those of all parts in order: without this
    condition, the first few of all are found by sorting all.
    """
    each = (part.limit(limit).subquery() for part in parts)
    return ids.in_(union_all(*(select(*found.c) for found in each)))
