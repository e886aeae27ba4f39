"""Carry what a present database knows of people who must not be written to over to a restored one (F3)."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

_SAME_WORKSPACE = "SELECT count(*) FROM workspace JOIN present.workspace AS other USING (identity)"
_CARRY = (
    # The user who added one may have joined after the backup.
    """
    INSERT INTO suppression (kind, value, hash, reason, source, added_by, added_at)
    SELECT kind, value, hash, reason, source, (SELECT id FROM user WHERE id = added_by), added_at
    FROM present.suppression WHERE hash NOT IN (SELECT hash FROM suppression)
    """,
    """
    INSERT OR IGNORE INTO stopped (campaign_id, address_hash, stopped_at)
    SELECT campaign_id, address_hash, stopped_at FROM present.stopped
    WHERE campaign_id IN (SELECT id FROM campaign)
    """,
    """
    UPDATE recipient SET state = 'stopped', next_at = NULL, reason = other.reason, ended_at = other.ended_at
    FROM present.recipient AS other
    WHERE other.id = recipient.id AND other.state = 'stopped' AND recipient.state IN ('queued', 'active')
    """,
    """
    UPDATE message SET state = 'cancelled' WHERE state IN ('scheduled', 'error')
    AND recipient_id IN (SELECT id FROM recipient WHERE state = 'stopped')
    """,
)


def carry_over(present: Path, incoming: Path) -> None:
    """Copy suppressions and `stopped` marks. Does nothing if `present` cannot be read: it may be damaged."""
    # An error leaves the blocks and closes the connection, which rolls back.
    with suppress(sqlite3.Error), closing(sqlite3.connect(incoming, isolation_level=None)) as connection:
        connection.execute("ATTACH DATABASE ? AS present", (str(present),)).close()
        if connection.execute(_SAME_WORKSPACE).fetchone() == (1,):
            connection.execute("BEGIN").close()
            for statement in _CARRY:
                connection.execute(statement).close()
            connection.execute("COMMIT").close()
