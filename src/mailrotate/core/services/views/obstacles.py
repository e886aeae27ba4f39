"""What keeps the whole workspace from sending, as people who look at it are told (F3, F6, I1)."""

from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.situation import Obstacle
from mailrotate.core.services.access import accounts
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import clock_guard, mark_guard
from mailrotate.core.services.deciding.next_send import Prospects
from mailrotate.core.store import workspaces
from mailrotate.core.values.errors import KeyTrouble, Refused, StoreTrouble

# The codes of the headline.
CLOCK, NO_KEY, RESTORED = "clock", "no_key", "restored"


def find(
    context: Context, connection: Connection, now: datetime, *, with_key: bool = True
) -> Obstacle | None:
    """The first obstacle, in the order in which a pass meets them; None if there is none."""
    distrust = clock_guard.lag_of(connection, now)
    if distrust is not None:
        return Obstacle(CLOCK, distrust.reason, clock_guard.ACCEPT)
    workspace = workspaces.find(connection)
    if with_key and workspace is not None and workspace.key_check is not None:
        try:
            accounts.open_check(context.secrets, workspace.key_check)
        except KeyTrouble as trouble:
            return Obstacle(NO_KEY, trouble.message, trouble.hint)
    try:
        mark_guard.check_mark(context, connection)
    except (Refused, StoreTrouble) as trouble:
        return Obstacle(RESTORED, trouble.message, trouble.hint)
    return None


def prospects(context: Context, connection: Connection, now: datetime, *, with_key: bool = True) -> Prospects:
    """One look at the workspace, with what keeps it from sending."""
    return Prospects(context, connection, now, find(context, connection, now, with_key=with_key))
