"""The clock guard: a process with a clock that cannot be right does nothing irreversible (F6)."""

from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import clock_trust
from mailrotate.core.rules.clock_trust import Distrust
from mailrotate.core.services import periods
from mailrotate.core.services.context import Context
from mailrotate.core.store import events, instants
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.values.errors import ClockTrouble
from mailrotate.core.values.hint import Command, Hint

ACCEPT = Command("runner", "clock", "--accept")


def distrust_of(
    context: Context, connection: Connection, now: datetime, *, server: datetime | None = None
) -> Distrust | None:
    """Compare a clock with what the latest pass knew, and with the database server's clock if that is given.

    A jump that a time server has made, or has confirmed since, is not distrusted.
    """
    jumped = _jump(context, connection)
    return _lag(connection, now, server) or (None if jumped and context.is_synchronised() else jumped)


def _lag(connection: Connection, now: datetime, server: datetime | None) -> Distrust | None:
    return clock_trust.judge(
        now,
        latest_acted_at=instants.latest_acted_at(connection),
        database_now=server,
        behind=periods.period(connection, "clock_tolerance"),
        off=periods.period(connection, "database_clock_tolerance"),
    )


def _jump(context: Context, connection: Connection) -> Distrust | None:
    most = periods.period(connection, "clock_jump")
    return clock_trust.judge_boot(instants.known_boot(connection), context.boot(), most)


def note_boot(context: Context, connection: Connection, now: datetime) -> None:
    """Keep what later processes compare their clocks with; log a jump that is taken with it."""
    taken = _jump(context, connection)
    if taken is not None:
        events.record(connection, RUNNER, "clock.jumped", now, About(), reason=taken.reason)
    instants.keep_boot(connection, context.boot())


def may_be_accepted(distrust: Distrust) -> bool:
    """A clock that is off PostgreSQL's cannot be accepted, only set."""
    return distrust.code != "clock.off"


def remedy(distrust: Distrust) -> Command:
    """The command that helps on."""
    return ACCEPT if may_be_accepted(distrust) else Command("runner", "clock")


def check_clock(context: Context, now: datetime) -> None:
    """Check the clock. Raises ClockTrouble (`clock.behind`, `clock.off`, `clock.jumped`)."""
    with context.store.reading() as connection:
        require_right(context, connection, now)


def require_right(context: Context, connection: Connection, now: datetime) -> None:
    """Raises ClockTrouble, as `check_clock` does, when this process's clock cannot be right."""
    distrust = distrust_of(context, connection, now, server=instants.database_now(connection))
    if distrust is not None:
        right = Hint("set the clock, then run again; if it is right:", ACCEPT)
        raise ClockTrouble(
            distrust.code,
            f"{distrust.reason}; nothing is sent",
            right if may_be_accepted(distrust) else "set the clock, then run again",
        )
