"""Take the present clock after one that was ahead (F6)."""

from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.rules.clock_trust import Distrust
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import clock_guard
from mailrotate.core.store import events, instants
from mailrotate.core.store.events import About
from mailrotate.core.store.instants import Ahead
from mailrotate.core.store.sending import liveness
from mailrotate.core.values.clock import rfc3339


@dataclass(frozen=True)
class ClockView:
    """What the clock guard knows; `distrust` is why this process's clock is not believed."""

    now: datetime
    database_now: datetime | None
    ahead: Ahead
    distrust: Distrust | None


def look(context: Context, now: datetime) -> ClockView:
    """Compare this process's clock with what the database knows."""
    with context.store.reading() as connection:
        server = instants.database_now(connection)
        distrust = clock_guard.lag_of(connection, now, server=server)
        return ClockView(now, server, instants.ahead_of(connection, now), distrust)


def accept(context: Context, now: datetime) -> Ahead:
    """Move what a clock ahead has written back to `now`. Raises Refused, and Busy while a runner works."""
    with liveness.sole_host(context.store), context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.SETTINGS)
        found = instants.ahead_of(connection, now)
        instants.bring_back(connection, now)
        latest = None if found.latest_at is None else rfc3339(found.latest_at)
        known = {"latest_at": latest, "messages": found.messages}
        events.record(connection, context.actor, "clock.accepted", now, About(), **known)
    return found
