"""One writer per process: blocks of several threads share a transaction and its commit (group commit).

A commit on SQLite waits for the disk, and only one transaction may write. Threads that queue meanwhile write
one after the other inside the next transaction, each in a savepoint of its own, and wait together for its
commit. No block returns before what it wrote is durable.

A lane's mark, and the settling of its message with the next claim, are functions instead of blocks: the
thread that has the turn also runs those that wait behind it, because waking a thread for each would take
longer than the function does.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from mailrotate.core.values.errors import Busy

# Other processes wait while a group is open: it ends after so many blocks, or so many seconds.
_MOST_BLOCKS = 64
_LONGEST = 0.05
# Seconds between two looks of a process that waits for the file; how long a process may write without a gap
# in which another one finds it free; and how long that gap is.
LOOK_EVERY, _CROWDED, _ROOM = 0.002, 0.2, 0.008

Transaction: TypeAlias = Callable[[], AbstractContextManager[Connection]]
# Counts so many marks in a transaction, and returns the number of the last (F3).
Count: TypeAlias = Callable[[Connection, int], int]
# Writes the number of the latest mark to the mark file.
Note: TypeAlias = Callable[[int], None]
# Stays the same while nothing but claims, marks and settled messages is written.
Version: TypeAlias = tuple[object, ...]
_Result = TypeVar("_Result")
_Kind = TypeVar("_Kind", bound="_Place")


@dataclass
class Block:
    """A block that writes.

    `version` is None where it cannot be known whether others have written, and once the block has itself.
    """

    connection: Connection
    version: Version | None = None
    has_changed: bool = field(default=False, init=False)
    note: Note | None = field(default=None, init=False)

    def change(self) -> None:
        """Say that it writes facts on which claims depend: what lanes keep of them holds no more."""
        self.has_changed, self.version = True, None

    def mark(self, note: Note) -> None:
        """Count one more mark in this transaction, and tell `note` its number once that is committed.

        Where `note` fails, the block raises what it raised.
        """
        self.note = note


class GroupWriter:
    """Hands out the writing transaction of a process, to one thread at a time.

    A block must not open another one inside itself. `transaction` begins one on the same connection each
    time, or after a failure on another one.
    """

    def __init__(self, transaction: Transaction, count: Count) -> None:
        self._transaction = transaction
        self._count = count
        self._turns = _Turns()
        self._group: _Group | None = None
        self._changes = 0
        self._left_at = self._crowded_since = time.monotonic()

    @property
    def queued(self) -> int:
        """How many threads wait for their turn."""
        return self._turns.queued

    @contextmanager
    def shared(self) -> Iterator[Block]:
        """Run a block in a savepoint of the group's transaction, and wait until that is committed.

        A block that raises takes back only its own changes, and waits for nothing. When the transaction is
        lost as a whole, every block raises the database's error (DBAPIError), or Busy.
        """
        with self._turns.one():
            group = self._group = self._group or self._begin_group()
            block = Block(group.connection, (*group.version, self._changes))
            try:
                with group.savepoint(block):
                    yield block
            finally:
                self._changes += block.has_changed
                if not self.queued or group.is_over:
                    self._end_group()
        while not group.has_ended.wait(_LONGEST):
            # The thread that queued for it was interrupted.
            with self._turns.one():
                if self._group is group:
                    self._end_group()
        group.raise_failure(block)

    def run(self, work: Callable[[Block], _Result]) -> _Result:
        """Run a function as `shared` runs a block; another thread may do it."""
        job = _Job(work)
        if self._turns.take(job):
            try:
                self._run_all(job)
            finally:
                self._turns.pass_on()
        return job.result()

    def _run_all(self, job: "_Job[Any]") -> None:
        """Run a function and those that wait behind it, as many as the group takes, and end the group."""
        group = self._group = self._group or self._begin_group()
        jobs, following = [job], job
        try:
            while True:
                self._changes += following.run_in(group, self._changes)
                found = None if group.is_over else self._turns.next_of(_Job)
                if found is None:
                    break
                following = found
                jobs.append(following)
        finally:
            try:
                self._end_group()
            finally:
                for done in jobs[1:]:
                    done.waits.release()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the other blocks out, for a transaction of its own: what takes long delays no group."""
        with self._turns.one():
            self._end_group()
            self._changes += 1
            yield

    def _begin_group(self) -> "_Group":
        now = time.monotonic()
        if now - self._left_at >= _ROOM:
            self._crowded_since = now
        elif now - self._crowded_since >= _CROWDED:
            time.sleep(_ROOM)
            self._crowded_since = time.monotonic()
        return _Group(self._transaction, self._count)

    def _end_group(self) -> None:
        group, self._group = self._group, None
        if group is not None:
            group.end()
            self._left_at = time.monotonic()


class _Place:
    """A place in the line of threads that wait for their turn."""

    def __init__(self) -> None:
        self.waits = threading.Lock()
        self.waits.acquire()
        # Whether the turn has come. Another thread may have done what was to be done instead.
        self.has_turn = False


class _Turns:
    """A lock that threads get in the order in which they ask for it; a plain one may let a thread starve."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_taken = False
        self._line: deque[_Place] = deque()

    @property
    def queued(self) -> int:
        """How many threads wait."""
        return len(self._line)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a turn, and keep it during the block."""
        self.take(_Place())
        try:
            yield
        finally:
            self.pass_on()

    def take(self, place: _Place) -> bool:
        """Wait for the turn; False if another thread took the place out of the line (`next_of`)."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = place.has_turn = True
                return True
            self._line.append(place)
        try:
            place.waits.acquire()
        except BaseException:
            # Ctrl-C reaches the main thread also while it waits.
            with self._guard:
                if place in self._line:
                    self._line.remove(place)
            if place.has_turn:
                self.pass_on()
            raise
        return place.has_turn

    def next_of(self, kind: type[_Kind]) -> _Kind | None:
        """Take the next place out of the line if it is of this kind.

        The thread that has the turn does what was to be done there, then releases `waits`.
        """
        with self._guard:
            if not self._line or not isinstance(self._line[0], kind):
                return None
            place = self._line.popleft()
        assert isinstance(place, kind)
        return place

    def pass_on(self) -> None:
        """Give the turn to the next in the line."""
        with self._guard:
            if self._line:
                place = self._line.popleft()
                place.has_turn = True
                place.waits.release()
            else:
                self._is_taken = False


class _Group:
    """One shared transaction, and whether it was committed. Only the thread that has the turn may use it."""

    def __init__(self, transaction: Transaction, count: Count) -> None:
        """Begin it. Raises DBAPIError, such as `database is locked`."""
        self._transaction = ExitStack()
        self.connection = self._transaction.enter_context(transaction())
        self._driver = cast(sqlite3.Connection, self.connection.connection.driver_connection)
        # SQLite changes the number when another connection has committed; none can while this one writes.
        ((number,),) = self._driver.execute("PRAGMA data_version").fetchall()
        self.version: Version = (self._driver, number)
        self.has_ended = threading.Event()
        self._count = count
        self._notes: list[Note] = []
        self._full_at = time.monotonic() + _LONGEST
        self._blocks = 0
        self._failure: Exception | None = None
        self._unnoted: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether it takes no further block."""
        return self._blocks >= _MOST_BLOCKS or self.is_lost or time.monotonic() >= self._full_at

    @property
    def is_lost(self) -> bool:
        """Whether SQLite has rolled back all of it, as it does when the disk is full or fails."""
        return not self._driver.in_transaction

    @contextmanager
    def savepoint(self, block: Block) -> Iterator[None]:
        self._blocks += 1
        self._driver.execute("SAVEPOINT block").close()
        try:
            yield
            self._driver.execute("RELEASE block").close()
        except BaseException as failure:
            if self.is_lost:
                self._failure = _shared(failure)
            else:
                self._driver.execute("ROLLBACK TO block").close()
                self._driver.execute("RELEASE block").close()
            raise
        if block.note is not None:
            self._notes.append(block.note)

    def end(self) -> None:
        """Commit, and let the blocks return or fail."""
        try:
            with self._transaction:
                # What SQLite has rolled back leaves nothing to count, and nothing to commit.
                notes = [] if self.is_lost else self._notes
                number = self._count(self.connection, len(notes)) if notes else 0
        except BaseException as failure:
            self._failure = _shared(failure)
            if not isinstance(failure, Exception):
                raise
        else:
            self._note(number)
        finally:
            self.has_ended.set()

    def _note(self, number: int) -> None:
        try:
            for note in dict.fromkeys(self._notes):
                note(number)
        except Exception as trouble:  # noqa: BLE001  raised by the blocks that mark
            self._unnoted = trouble
        except BaseException as interruption:
            self._unnoted = _shared(interruption)
            raise

    def raise_failure(self, block: Block) -> None:
        """Raise what made the commit of a block fail, or its mark."""
        failure = self._failure or (self._unnoted if block.note is not None else None)
        if failure is not None:
            raise failure


class _Job(_Place, Generic[_Result]):
    """A function that is run as a block, by its own thread or by another one."""

    def __init__(self, work: Callable[[Block], _Result]) -> None:
        super().__init__()
        self._work = work
        self._block: Block | None = None
        self._value: _Result | None = None
        self._failure: Exception | None = None
        self.group: _Group | None = None

    def run_in(self, group: _Group, changes: int) -> bool:
        """Run it; return whether it changed what lanes go by."""
        self.group = group
        block = self._block = Block(group.connection, (*group.version, changes))
        try:
            with group.savepoint(block):
                self._value = self._work(block)
        except Exception as failure:  # noqa: BLE001  its own thread raises it
            self._failure = failure
        except BaseException as interruption:
            self._failure = _shared(interruption)
            raise
        return block.has_changed

    def result(self) -> _Result:
        """Return what the function returned. Raises what it or its transaction raised."""
        if self._failure is not None:
            raise self._failure
        assert self.group is not None
        assert self._block is not None
        self.group.raise_failure(self._block)
        return cast(_Result, self._value)


def _shared(failure: BaseException) -> Exception:
    """What the other blocks raise: an error of the database, and nothing that ended one block alone."""
    if isinstance(failure, DBAPIError):
        return failure
    return Busy("store.interrupted", "a write was broken off together with another one", "run it again")
