"""The database whatever its revision."""

from typing import TYPE_CHECKING

from mailrotate.cli.call import Call
from mailrotate.core.values.errors import NotFound, Refused, StoreTrouble
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.store.engine import Store


def database_of(call: Call) -> "Store":
    """The database whatever its revision; looking never makes one."""
    if not call.app.has_database:
        raise NotFound(
            "workspace.none",
            f"there is no database {call.app.settings.db}",
            Command("mailbox", "connect", "ADDRESS"),
        )
    _require_unlocked(call)
    return call.app.database


def _require_unlocked(call: Call) -> None:
    """Refuse a named user who is locked (A10). A damaged or older database knows no users."""
    if call.app.settings.user is None:
        return
    try:
        _ = call.app.actor
    except Refused as refused:
        if refused.code == "user.locked":
            raise
    except (NotFound, StoreTrouble):
        return
