"""The clock guard: a process with a clock that cannot be right does nothing irreversible (F6)."""

from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import clock_trust
from mailrotate.core.rules.clock_trust import Distrust
from mailrotate.core.services import periods
from mailrotate.core.services.context import Context
from mailrotate.core.store import instants
from mailrotate.core.values.errors import ClockTrouble
from mailrotate.core.values.hint import Command, Hint

ACCEPT = Command("runner", "clock", "--accept")


def lag_of(connection: Connection, now: datetime, *, server: datetime | None = None) -> Distrust | None:
    """Compare a clock with the latest instant acted on, and with the database server's if that is given."""
    return clock_trust.judge(
        now,
        latest_acted_at=instants.latest_acted_at(connection),
        database_now=server,
        behind=periods.period(connection, "clock_tolerance"),
        off=periods.period(connection, "database_clock_tolerance"),
    )


def remedy(distrust: Distrust) -> Command:
    """The command that helps on: a clock that is off PostgreSQL's cannot be accepted, only set."""
    return ACCEPT if distrust.code == "clock.behind" else Command("runner", "clock")


def check_clock(context: Context, now: datetime) -> None:
    """Check the clock. Raises ClockTrouble (`clock.behind`, `clock.off`)."""
    with context.store.reading() as connection:
        distrust = lag_of(connection, now, server=instants.database_now(connection))
    if distrust is not None:
        right = Hint("set the clock, then run again; if it is right:", ACCEPT)
        behind = distrust.code == "clock.behind"
        raise ClockTrouble(
            distrust.code,
            f"{distrust.reason}; nothing is sent",
            right if behind else "set the clock, then run again",
        )
