"""The database whatever its revision."""

from typing import TYPE_CHECKING

from mailrotate.cli.call import Call
from mailrotate.core.values.errors import NotFound
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
    return call.app.database
