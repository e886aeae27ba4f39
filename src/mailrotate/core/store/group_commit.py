"""One writer per process: blocks of several threads share a transaction and its commit (group commit).

A commit on SQLite waits for the disk, and only one transaction may write. Threads that queue meanwhile write
one after the other inside the next transaction, each in a savepoint of its own, and wait together for its
commit. No block returns before what it wrote is durable.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mailrotate.core.values.errors import Busy

# Other processes wait while a group is open: it ends after so many blocks, or so many seconds.
_MOST_BLOCKS = 64
_LONGEST = 0.05
# Seconds between two looks of a process that waits for the file; how long a process may write without a gap
# in which another one finds it free; and how long that gap is.
LOOK_EVERY, _CROWDED, _ROOM = 0.002, 0.2, 0.008

Transaction = Callable[[], AbstractContextManager[Connection]]


class GroupWriter:
    """Hands out the writing transaction of a process, to one thread at a time.

    A block must not open another one inside itself.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._turns = _Turns()
        self._group: _Group | None = None
        self._left_at = self._crowded_since = time.monotonic()

    @property
    def queued(self) -> int:
        """How many threads wait for their turn."""
        return self._turns.queued

    @contextmanager
    def shared(self) -> Iterator[Connection]:
        """Run a block in a savepoint of the group's transaction, and wait until that is committed.

        A block that raises takes back only its own changes, and waits for nothing. When the transaction is
        lost as a whole, every block raises the database's error (DBAPIError), or Busy.
        """
        with self._turns.one():
            group = self._group = self._group or self._begin_group()
            try:
                with group.savepoint() as connection:
                    yield connection
            finally:
                if not self.queued or group.is_full or group.is_lost:
                    self._end_group()
        while not group.has_ended(_LONGEST):
            # The thread that queued for it was interrupted.
            with self._turns.one():
                if self._group is group:
                    self._end_group()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the other blocks out, for a transaction of its own: what takes long delays no group."""
        with self._turns.one():
            self._end_group()
            yield

    def _begin_group(self) -> "_Group":
        now = time.monotonic()
        if now - self._left_at >= _ROOM:
            self._crowded_since = now
        elif now - self._crowded_since >= _CROWDED:
            time.sleep(_ROOM)
            self._crowded_since = time.monotonic()
        return _Group(self._transaction)

    def _end_group(self) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.end()
            self._left_at = time.monotonic()


class _Turns:
    """A lock that threads get in the order in which they ask for it; a plain one may let a thread starve."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_taken = False
        self._line: deque[threading.Lock] = deque()

    @property
    def queued(self) -> int:
        return len(self._line)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a turn, and keep it during the block."""
        self._take()
        try:
            yield
        finally:
            with self._guard:
                self._pass_on()

    def _take(self) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            place = threading.Lock()
            place.acquire()
            self._line.append(place)
        try:
            place.acquire()
        except BaseException:
            # Ctrl-C reaches the main thread also while it waits.
            with self._guard:
                if place in self._line:
                    self._line.remove(place)
                else:
                    self._pass_on()
            raise

    def _pass_on(self) -> None:
        if self._line:
            self._line.popleft().release()
        else:
            self._is_taken = False


class _Group:
    """One shared transaction, and whether it was committed. Only the thread that has the turn may use it."""

    def __init__(self, transaction: Transaction) -> None:
        """Begin it. Raises DBAPIError, such as `database is locked`."""
        self._transaction = ExitStack()
        self._connection = self._transaction.enter_context(transaction())
        self._driver = cast(sqlite3.Connection, self._connection.connection.driver_connection)
        self._full_at = time.monotonic() + _LONGEST
        self._blocks = 0
        self._ended = threading.Event()
        self._failure: Exception | None = None

    @property
    def is_full(self) -> bool:
        return self._blocks >= _MOST_BLOCKS or time.monotonic() >= self._full_at

    @property
    def is_lost(self) -> bool:
        """Whether SQLite has rolled back all of it, as it does when the disk is full or fails."""
        return not self._driver.in_transaction

    @contextmanager
    def savepoint(self) -> Iterator[Connection]:
        self._blocks += 1
        self._driver.execute("SAVEPOINT block").close()
        try:
            yield self._connection
            self._driver.execute("RELEASE block").close()
        except BaseException as failure:
            if self.is_lost:
                self._failure = _shared(failure)
            else:
                self._driver.execute("ROLLBACK TO block").close()
                self._driver.execute("RELEASE block").close()
            raise

    def end(self) -> None:
        """Commit, and let the blocks return or fail."""
        try:
            # What SQLite has rolled back leaves nothing to commit.
            self._transaction.close()
        except BaseException as failure:
            self._failure = _shared(failure)
            if not isinstance(failure, Exception):
                raise
        finally:
            self._ended.set()

    def has_ended(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the commit. Raises what made it fail."""
        ended = self._ended.wait(timeout)
        if self._failure is not None:
            raise self._failure
        return ended


def _shared(failure: BaseException) -> Exception:
    """What the other blocks raise: an error of the database, and nothing that ended one block alone."""
    if isinstance(failure, DBAPIError):
        return failure
    return Busy("store.interrupted", "a write was broken off together with another one", "run it again")
