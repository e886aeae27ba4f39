"""Tables of many values as one parameter."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Subquery,
    Text,
    cast,
    column,
    func,
    literal,
    select,
)

from mailrotate.core.store.dialects import is_sqlite


def text_rows(connection: Connection, rows: Sequence[Sequence[str]], *names: str) -> Subquery:
    """Return a table of many rows of texts as one parameter: `place` (from 0) and columns of these names.

    A VALUES list of so many rows takes longer to compile than to run.
    """
    listed = literal(json.dumps(rows))
    if is_sqlite(connection):
        each = func.json_each(listed).table_valued(column("key", Integer), column("value", Text))
        place: ColumnElement[Any] = each.c.key
        cells = [func.json_extract(each.c.value, f"$[{n}]", type_=Text()) for n in range(len(names))]
    else:
        from sqlalchemy.dialects.postgresql import JSONB

        parts = func.jsonb_array_elements(cast(listed, JSONB))
        each = parts.table_valued(column("value", JSONB), with_ordinality="ordinality")
        place = each.c.ordinality - 1
        cells = [each.c.value[n].astext for n in range(len(names))]
    labelled = (cell.label(name) for cell, name in zip(cells, names, strict=True))
    return select(place.label("place"), *labelled).subquery("rows")


def texts(connection: Connection, values: Sequence[str]) -> Subquery:
    """Return a table of many texts, in the column `value`, as one parameter."""
    return text_rows(connection, [[value] for value in values], "value")


def numbered(connection: Connection, values: Sequence[int]) -> Subquery:
    """Return a table of many whole numbers, in the columns `place` (from 0) and `value`, as one parameter."""
    listed = texts(connection, list(map(str, values)))
    rows = select(listed.c.place, cast(listed.c.value, BigInteger).label("value"))
    # With the limit SQLite keeps the table; without it, it reads the whole list again for every joined row.
    return rows.limit(len(values)).subquery("numbered")
