"""The clock guard: a process with a clock that cannot be right does nothing irreversible (F6)."""

from datetime import datetime

from mailrotate.core.rules import clock_trust
from mailrotate.core.services import periods
from mailrotate.core.services.context import Context
from mailrotate.core.store import instants
from mailrotate.core.values.errors import ClockTrouble


def check_clock(context: Context, now: datetime) -> None:
    """Check the clock. Raises ClockTrouble (`clock.behind`, `clock.off`)."""
    with context.store.reading() as connection:
        distrust = clock_trust.judge(
            now,
            latest_acted_at=instants.latest_acted_at(connection),
            database_now=instants.database_now(connection),
            behind=periods.period(connection, "clock_tolerance"),
        )
    if distrust is not None:
        raise ClockTrouble(
            distrust.code, f"{distrust.reason}; nothing is sent", "set the clock, then run again"
        )
