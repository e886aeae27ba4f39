"""The mark guard: a database that may not know what was sent from it sends nothing (F3)."""

from sqlalchemy import Connection

from mailrotate.core.rules import suspicion
from mailrotate.core.rules.suspicion import Suspicion
from mailrotate.core.services.context import Context
from mailrotate.core.store import dialects
from mailrotate.core.store.sending import send_mark
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command

ADOPT = Command("db", "adopt")


def suspect(context: Context, connection: Connection) -> Suspicion | None:
    """Compare the database with this machine's mark. Raises StoreTrouble (`mark.unreadable`)."""
    return suspicion.judge(
        send_mark.read(connection), context.mark.read(), dialects.server_identity(connection)
    )


def check_mark(context: Context, connection: Connection) -> None:
    """Raises Refused: `workspace.restored`, `workspace.behind`, `workspace.elsewhere`."""
    since = send_mark.held_since(connection)
    if since is not None:
        at = rfc3339(since.replace(microsecond=0))
        raise Refused("workspace.restored", f"what was sent since {at} is to be compared first", ADOPT)
    found = suspect(context, connection)
    if found is not None:
        raise Refused(f"workspace.{found.strangeness}", f"{found.reason}; nothing is sent", ADOPT)
