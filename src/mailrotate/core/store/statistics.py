"""How much a database holds."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store


@dataclass(frozen=True)
class TableSize:
    table: str
    rows: int


def rows_by_table(connection: Connection) -> list[TableSize]:
    """Count the rows of each table, by name."""
    return [
        TableSize(name, connection.execute(select(func.count()).select_from(table)).scalar_one())
        for name, table in sorted(t.METADATA.tables.items())
    ]


def size_in_bytes(store: Store) -> int:
    """Size of the SQLite file with its log, or of the PostgreSQL database."""
    if store.path is not None:
        parts = (store.path, *(store.path.with_name(store.path.name + end) for end in ("-wal", "-shm")))
        return sum(part.stat().st_size for part in parts if part.exists())
    with store.reading() as connection:
        query = text("SELECT pg_database_size(current_database())")
        return int(connection.execute(query).scalar_one())
