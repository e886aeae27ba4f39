"""Write the tables that queries use from the rows that declare them (`make tables`).

The rows are SQLModel classes, which take longer to import than the rest of a command. Queries need only
SQLAlchemy.
"""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Column
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from mailrotate.core.store.rows import METADATA

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
HEAD = '''"""The tables that queries use. `make tables` writes this file from the declarations in `rows/`."""

from sqlalchemy import MetaData, Table

from mailrotate.core.store.column_types import (
{kinds}
)

METADATA = MetaData()

# fmt: off
__all__ = [
{names},
]

'''


def column(of: Column[Any]) -> str:
    """Return the call that makes this column."""
    given = [repr(of.name), *(repr(key.target_fullname) for key in of.foreign_keys)]
    if of.primary_key:
        given.append("primary_key=True")
    if isinstance(of.default, ScalarElementColumnDefault):
        given.append(f"default={of.default.arg!r}")
    return f"{KINDS[type(of.type).__name__]}({', '.join(given)})".replace("'", '"')


def lines_of(items: Iterable[str]) -> str:
    """Join the items into indented lines that fit the line length of the project."""
    # Lines break between items only.
    listed = ", ".join(item.replace(" ", "\0") for item in items)
    return textwrap.indent(textwrap.fill(listed, width=105), "    ").replace("\0", " ")


def written() -> str:
    """Return the text of the whole file."""
    tables = sorted(METADATA.tables.items())
    head = HEAD.format(
        kinds=textwrap.indent(",\n".join(sorted(KINDS.values())) + ",", "    "),
        names=lines_of(f'"{name}"' for name in sorted(("METADATA", *METADATA.tables))),
    )
    made = (
        f'{name} = Table(\n    "{name}", METADATA,\n{lines_of(map(column, table.columns))},\n)\n'
        for name, table in tables
    )
    return head + "\n".join(made)


if __name__ == "__main__":
    WRITTEN.write_text(written(), encoding="utf-8")
