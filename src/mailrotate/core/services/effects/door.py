"""The door of every service that decides: its transaction, its instant, and the deadlines before it (C11)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import clock_guard
from mailrotate.core.services.effects import grace_periods
from mailrotate.core.store import deadlines
from mailrotate.core.store.engine import Store
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
    if deadlines.is_any(connection):
        clock_guard.require_right(context, connection, now)
        grace_periods.apply_passed(connection, now)
    return now


def settle(context: Context, now: datetime) -> None:
    """Settle the deadlines that have passed, for a command that decides only in a later transaction."""
    with context.store.writing() as connection:
        enter(context, connection, now)


class _Looked(Exception):
    """Ends the transaction of a reader without its changes."""


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
    may_write = True
    try:
        with context.store.writing() as connection:
            may_write = _settles(context.store, connection, now)
            if may_write:
                yield connection
            raise _Looked
    except _Looked:
        pass
    if not may_write:
        context.remark(_AS_STORED)
        with context.store.reading() as connection:
            yield connection


_AS_STORED = (
    "a deadline has passed and is not settled yet; this database user may only read, so everything is shown "
    "as it was before that deadline"
)


def _settles(store: Store, connection: Connection, now: datetime) -> bool:
    """Settle the deadlines that have passed; False where the database lets this user only read."""
    try:
        with store.telling():
            grace_periods.apply_passed(connection, now)
    except StoreTrouble as trouble:
        if trouble.code not in ("store.no_right", "store.read_only"):
            raise
        return False
    return True
