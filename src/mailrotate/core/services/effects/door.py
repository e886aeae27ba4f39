"""The door of every service that decides: its transaction, its instant, and the deadlines before it (C11)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import clock_guard
from mailrotate.core.store import deadlines
from mailrotate.core.values.errors import StoreTrouble


class Acting(NamedTuple):
    """A transaction that may write, and the instant at which it decides."""

    connection: Connection
    now: datetime


@contextmanager
def acting(context: Context, now: datetime) -> Iterator[Acting]:
    """Open a transaction and settle the deadlines that have passed before anything is decided in it.

    `now` is when the command began; the instant that decides is read again once the lock is held, because a
    deadline may pass while a command waits. Raises ClockTrouble while a deadline runs and this process's
    clock cannot be right: nothing that it would settle can be undone.
    """
    with context.store.writing() as connection:
        yield Acting(connection, enter(context, connection, now))


def enter(context: Context, connection: Connection, now: datetime) -> datetime:
    """Do what `acting` does first, in a transaction that is open already; return the instant that decides."""
    now = context.later(now)
    settle_passed(context, connection, now)
    return now


def settle_passed(context: Context, connection: Connection, now: datetime) -> bool:
    """Settle the deadlines that have passed by an instant; return whether there were any.

    Raises ClockTrouble as `acting`.
    """
    ends_at = deadlines.earliest_end(connection)
    if ends_at is None:
        return False
    from mailrotate.core.services.effects import grace_periods

    clock_guard.require_right(context, connection, now)
    grace_periods.apply_passed(connection, now)
    return ends_at <= now


def settle(context: Context, now: datetime) -> None:
    """Settle the deadlines that have passed, for a command that decides only in a later transaction."""
    with context.store.writing() as connection:
        enter(context, connection, now)


@contextmanager
def looking(context: Context, now: datetime | None) -> Iterator[Connection]:
    """Open a transaction for reading that shows the state after the deadlines that have passed.

    They are settled in it and then taken back: a reader decides nothing, and its clock may be wrong. Without
    `now` it shows what is stored; so it does, and says so, where the database lets this user only read.
    """
    with context.store.reading() as connection:
        if now is None or not deadlines.is_any(connection, deadlines.ending_by(now)):
            yield connection
            return
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(_settled(context, now))
        except StoreTrouble as trouble:
            if trouble.code not in ("store.no_right", "store.read_only"):
                raise
            context.remark(_AS_STORED)
            connection = stack.enter_context(context.store.reading())
        yield connection


_AS_STORED = (
    "a deadline has passed and is not settled yet; this database user may only read, so everything is shown "
    "as it was before that deadline"
)


class _Looked(Exception):
    """Ends the transaction of a reader without its changes."""


@contextmanager
def _settled(context: Context, now: datetime) -> Iterator[Connection]:
    """Open a transaction in which the passed deadlines are settled; take that back at its end."""
    # Imported where a deadline has passed: most commands that read would wait for it in vain.
    from mailrotate.core.services.effects import grace_periods

    with suppress(_Looked), context.store.writing() as connection:
        grace_periods.apply_passed(connection, now)
        yield connection
        raise _Looked
