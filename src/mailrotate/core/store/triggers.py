"""The triggers that hold for every writer: `stopped` is permanent, the log and its tombstones only grow.

They are declared once per dialect, recreated after every migration (Alembic's batch mode silently drops a
table's triggers) and compared by `mailrotate db check`.
"""

from sqlalchemy import Connection

from mailrotate.core.store.dialects import Wall, build_wall, standing_triggers

_WALLS = (
    Wall(
        "wall_stopped_recipient",
        "recipient",
        "UPDATE",
        "OLD.state = 'stopped' AND NEW.state <> 'stopped'",
        "a stopped recipient stays stopped",
    ),
    Wall("wall_event_update", "event", "UPDATE", "true", "the event log is append-only"),
    Wall("wall_event_delete", "event", "DELETE", "true", "the event log is append-only"),
    Wall("wall_stopped_update", "stopped", "UPDATE", "true", "a tombstone stays"),
    Wall("wall_stopped_delete", "stopped", "DELETE", "true", "a tombstone stays"),
)


def make_triggers(connection: Connection) -> None:
    """Drop and create all triggers, inside the caller's transaction."""
    for wall in _WALLS:
        build_wall(connection, wall)


def missing_triggers(connection: Connection) -> list[str]:
    """Return the names of the triggers that are missing from the database."""
    standing = standing_triggers(connection)
    return [wall.name for wall in _WALLS if wall.name not in standing]
