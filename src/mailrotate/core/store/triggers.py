"""The triggers that hold for every writer: `stopped` is permanent, the log and its tombstones only grow.

They are declared once per dialect, recreated after every migration (Alembic's batch mode silently drops a
table's triggers) and compared by `mailrotate db check`.
"""

from sqlalchemy import Connection

from mailrotate.core.store.dialects import Wall, build_wall, standing_triggers

_HAS_MARK = (
    "EXISTS (SELECT 1 FROM stopped WHERE stopped.campaign_id = NEW.campaign_id "
    "AND stopped.address_hash = NEW.address_hash)"
)
_IS_TO_STOPPED = (
    "EXISTS (SELECT 1 FROM recipient WHERE recipient.id = NEW.recipient_id AND recipient.state = 'stopped')"
)
_HASH_CHANGES = "COALESCE(NEW.address_hash, '') <> COALESCE(OLD.address_hash, '')"
_STAYS = "a stopped recipient stays stopped"
_GETS_NOTHING = "a stopped recipient gets no further message of the campaign"

_WALLS = (
    Wall(
        "wall_stopped_recipient",
        "recipient",
        "UPDATE",
        "OLD.state = 'stopped' AND "
        f"(NEW.state <> 'stopped' OR NEW.campaign_id <> OLD.campaign_id OR {_HASH_CHANGES})",
        _STAYS,
    ),
    Wall("wall_stopped_recipient_delete", "recipient", "DELETE", "OLD.state = 'stopped'", _STAYS),
    Wall(
        "wall_marked_recipient",
        "recipient",
        "UPDATE",
        f"NEW.state <> 'stopped' AND (NEW.state <> OLD.state OR {_HASH_CHANGES}) AND {_HAS_MARK}",
        _STAYS,
    ),
    Wall(
        "wall_marked_recipient_insert",
        "recipient",
        "INSERT",
        f"NEW.state <> 'stopped' AND {_HAS_MARK}",
        _STAYS,
    ),
    Wall(
        "wall_stopped_message",
        "message",
        "UPDATE",
        "NEW.state IN ('scheduled', 'sending') AND (NEW.state <> OLD.state OR "
        f"COALESCE(NEW.recipient_id, 0) <> COALESCE(OLD.recipient_id, 0)) AND {_IS_TO_STOPPED}",
        _GETS_NOTHING,
    ),
    Wall("wall_stopped_message_insert", "message", "INSERT", _IS_TO_STOPPED, _GETS_NOTHING),
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
