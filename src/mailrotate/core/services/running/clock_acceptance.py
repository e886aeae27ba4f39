"""Take the present clock after one that was ahead, or after a jump (F6)."""

from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.rules.clock_trust import Distrust
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import clock_guard
from mailrotate.core.store import deadlines, events, instants
from mailrotate.core.store.events import About
from mailrotate.core.store.instants import Ahead
from mailrotate.core.store.sending import liveness
from mailrotate.core.values.clock import rfc3339


@dataclass(frozen=True)
class ClockView:
    """What the clock guard knows; `distrust` is why this process's clock is not believed.

    `passed` counts the deadlines that have passed by this clock, and `people` their recipients.
    """

    now: datetime
    database_now: datetime | None
    ahead: Ahead
    distrust: Distrust | None
    passed: int
    people: int

    @property
    def is_ahead(self) -> bool:
        """Whether a clock that was ahead of this one has acted."""
        return self.ahead.latest_at is not None and self.ahead.latest_at > self.now

    @property
    def may_be_accepted(self) -> bool:
        """Whether accepting this clock changes anything."""
        return self.is_ahead or (self.distrust is not None and clock_guard.may_be_accepted(self.distrust))


def look(context: Context, now: datetime) -> ClockView:
    """Compare this process's clock with what the database knows."""
    with context.store.reading() as connection:
        server = instants.database_now(connection)
        distrust = clock_guard.distrust_of(context, connection, now, server=server)
        passed = deadlines.running_where(connection, deadlines.ending_by(now))
        people = sum(deadlines.hanging(connection, passed).values())
        return ClockView(now, server, instants.ahead_of(connection, now), distrust, len(passed), people)


def accept(context: Context, now: datetime) -> Ahead:
    """Trust the present clock, and move what a clock ahead has written back to `now`.

    Raises Refused, and Busy while a runner works.
    """
    with liveness.sole_host(context.store), context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.SETTINGS)
        found = instants.ahead_of(connection, now)
        instants.bring_back(connection, now)
        instants.keep_boot(connection, context.boot())
        latest = None if found.latest_at is None else rfc3339(found.latest_at)
        known = {"latest_at": latest, "messages": found.messages}
        events.record(connection, context.actor, "clock.accepted", now, About(), **known)
    return found
