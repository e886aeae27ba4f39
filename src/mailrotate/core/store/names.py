"""The names that a shell completes, read so cheaply that nobody waits for Tab.

A file is read without SQLAlchemy, whose import alone takes longer than a person notices.
"""

import sqlite3
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailrotate.core.store.engine import Store


class Names(StrEnum):
    """What may be named on a command line, and the statement that lists it on either database."""

    MAILBOXES = "SELECT address FROM mailbox WHERE removed_at IS NULL ORDER BY address"
    USERS = 'SELECT email FROM "user" WHERE removed_at IS NULL ORDER BY email'
    CAMPAIGNS = "SELECT name FROM campaign ORDER BY name"
    SLOTS = "SELECT 's_' || id FROM slot WHERE removed_at IS NULL ORDER BY id LIMIT 1000"
    # The others are too many, and nobody acts on them.
    MESSAGES = "SELECT 'm_' || id FROM message WHERE state IN ('error', 'held') ORDER BY id DESC LIMIT 100"
    REQUESTS = (
        "SELECT 'q_' || id FROM mailbox_request WHERE state = 'requested' AND ended_at IS NULL ORDER BY id"
    )


def in_file(path: Path, wanted: Names) -> list[str]:
    """Of a SQLite file, which is never made; nothing of one that cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return [str(name) for (name,) in connection.execute(wanted)]
    except sqlite3.Error:
        return []


def in_store(store: "Store", wanted: Names) -> list[str]:
    """Raises StoreTrouble, Busy."""
    from sqlalchemy import text

    with store.reading() as connection:
        return [str(name) for name in connection.execute(text(wanted)).scalars()]
