"""The database's times: the latest instant acted on, and the server's clock (F6)."""

from datetime import datetime

from sqlalchemy import Connection, func, select, text

from mailrotate.core.store import tables as t
from mailrotate.core.store.dialects import is_sqlite


def latest_acted_at(connection: Connection) -> datetime | None:
    """The latest instant at which any lane or pass acted."""
    lane = connection.execute(select(func.max(t.lane.c.acted_at))).scalar_one()
    a_pass = connection.execute(select(t.workspace.c.last_pass_at)).scalar_one_or_none()
    return max((instant for instant in (lane, a_pass) if isinstance(instant, datetime)), default=None)


def database_now(connection: Connection) -> datetime | None:
    """The server's clock, only to compare ours with; None on SQLite."""
    if is_sqlite(connection):
        return None
    found = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found if isinstance(found, datetime) else None
