"""Write the tables for queries from the rows that declare them: `make tables`, after a change of `rows/`.

SQLModel, which declares the rows, takes longer to import than the rest of a command; SQLAlchemy alone serves
the queries.
"""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Column
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from mailrotate.core.store.rows import METADATA
from mailrotate.core.store.tables.column_types import ID

WRITTEN = Path(__file__).resolve().parent.parent / "src/mailrotate/core/store/tables/columns.py"

KINDS = {
    "AutoString": "text",
    "BigInteger": "big_number",
    "Boolean": "flag",
    "Integer": "number",
    "LargeBinary": "blob",
    "Text": "long_text",
    "UTCDateTime": "instant",
}
HEAD = '''"""The tables as queries need them, written by `make tables` from the declarations in `rows/`."""

from sqlalchemy import MetaData, Table

from mailrotate.core.store.tables.column_types import (
{kinds}
)

METADATA = MetaData()

# fmt: off
__all__ = [
{names},
]

'''


def column(of: Column[Any]) -> str:
    """The call that makes this column."""
    given = [repr(of.name), *(repr(key.target_fullname) for key in of.foreign_keys)]
    if of.primary_key:
        given.append("primary_key=True")
    if isinstance(of.default, ScalarElementColumnDefault):
        given.append(f"default={of.default.arg!r}")
    kind = "number_of_row" if of.type is ID else KINDS[type(of.type).__name__]
    return f"{kind}({', '.join(given)})".replace("'", '"')


def lines_of(items: Iterable[str]) -> str:
    """The items in indented lines of at most 110 characters."""
    # A space inside an item is no place to break the line.
    listed = ", ".join(item.replace(" ", "\0") for item in items)
    return textwrap.indent(textwrap.fill(listed, width=105), "    ").replace("\0", " ")


def written() -> str:
    """The whole file."""
    tables = sorted(METADATA.tables.items())
    head = HEAD.format(
        kinds=textwrap.indent(",\n".join(sorted(["number_of_row", *KINDS.values()])) + ",", "    "),
        names=lines_of(f'"{name}"' for name in sorted(("METADATA", *METADATA.tables))),
    )
    made = (
        f'{name} = Table(\n    "{name}", METADATA,\n{lines_of(map(column, table.columns))},\n)\n'
        for name, table in tables
    )
    return head + "\n".join(made)


if __name__ == "__main__":
    WRITTEN.write_text(written(), encoding="utf-8")
