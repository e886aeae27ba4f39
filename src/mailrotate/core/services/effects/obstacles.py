"""What keeps the whole workspace from sending, as people who look at it are told (F3, F6, I1)."""

from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.situation import Obstacle
from mailrotate.core.services.access import accounts
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import clock_guard, mark_guard
from mailrotate.core.services.deciding.next_send import Prospects
from mailrotate.core.store import instants, workspaces
from mailrotate.core.values.errors import KeyTrouble, Refused, StoreTrouble

# The codes of the headline.
CLOCK, NO_KEY, RESTORED = "clock", "no_key", "restored"


def find(
    context: Context, connection: Connection, now: datetime, *, is_working: bool = False
) -> Obstacle | None:
    """The first obstacle, in the order in which a pass meets them; None if there is none.

    A runner that is working has a key, and a clock that agrees with PostgreSQL's, whatever this process has.
    """
    server = None if is_working else instants.database_now(connection)
    distrust = clock_guard.distrust_of(context, connection, now, server=server)
    if distrust is not None:
        return Obstacle(CLOCK, distrust.reason, clock_guard.remedy(distrust))
    workspace = workspaces.find(connection)
    if not is_working and workspace is not None and workspace.key_check is not None:
        try:
            accounts.open_check(context.secrets, workspace.key_check)
        except KeyTrouble as trouble:
            return Obstacle(NO_KEY, trouble.message, trouble.hint)
    try:
        mark_guard.check_mark(context, connection)
    except (Refused, StoreTrouble) as trouble:
        return Obstacle(RESTORED, trouble.message, trouble.hint)
    return None


def prospects(
    context: Context, connection: Connection, now: datetime, *, is_working: bool = False
) -> Prospects:
    """One look at the workspace, with what keeps it from sending."""
    return Prospects(context, connection, now, find(context, connection, now, is_working=is_working))
