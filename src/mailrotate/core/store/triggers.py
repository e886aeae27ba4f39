"""The walls that hold whoever writes: `stopped` is for ever, the log and its tombstones only grow.

Declared once per dialect, made anew after every migration (Alembic's batch mode drops a table's triggers
without a word) and compared by `mailrotate db check`.
"""

from sqlalchemy import Connection, text

# name: (table, event, condition, what the refusal says)
_WALLS = {
    "wall_stopped_recipient": (
        "recipient",
        "UPDATE",
        "OLD.state = 'stopped' AND NEW.state <> 'stopped'",
        "a stopped recipient stays stopped",
    ),
    "wall_event_update": ("event", "UPDATE", "true", "the event log is append-only"),
    "wall_event_delete": ("event", "DELETE", "true", "the event log is append-only"),
    "wall_stopped_update": ("stopped", "UPDATE", "true", "a tombstone stays"),
    "wall_stopped_delete": ("stopped", "DELETE", "true", "a tombstone stays"),
}


def make_triggers(connection: Connection) -> None:
    """Drop and make every wall, inside the caller's transaction."""
    for name, (table, event, condition, message) in _WALLS.items():
        if connection.dialect.name == "sqlite":
            connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
            connection.execute(
                text(
                    f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {condition} "
                    f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
                )
            )
            continue
        connection.execute(
            text(
                f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{message}'; END $$"
            )
        )
        connection.execute(text(f"DROP TRIGGER IF EXISTS {name} ON {table}"))
        connection.execute(
            text(
                f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition}) "
                f"EXECUTE FUNCTION {name}()"
            )
        )


def missing_triggers(connection: Connection) -> list[str]:
    """The walls that should stand and do not."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
    else:
        found = connection.execute(
            text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'")
        )
    standing = set(found.scalars())
    return [name for name in _WALLS if name not in standing]
