"""Whether a process that may send is still alive: a lock that it holds, never a timestamp.

On SQLite each runner holds a `flock` on a file of its own beside the database; on PostgreSQL a session
advisory lock on a connection of its own. The operating system, or the server, frees either when the
process dies, however it dies.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, case, insert, or_, select, text, update
from sqlalchemy.exc import DBAPIError

from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.values.errors import Busy, StoreTrouble
from mailrotate.core.values.hint import Command

# The first of the two keys of our advisory locks, to avoid those of other programs.
_ADVISORY_SPACE = 0x6D72
_HOST_LOCK = "runner"
# In place of a runner's number: a runner has an answer that it cannot record.
_STUCK = 0


class _Lock(Protocol):
    def is_held(self) -> bool: ...

    def release(self) -> None: ...


class _FileLock:
    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def is_held(self) -> bool:
        # Only this process can end it.
        return True

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


class _AdvisoryLock:
    def __init__(self, connection: Connection, key: dict[str, int]) -> None:
        self._connection = connection
        self._key = key

    def is_held(self) -> bool:
        return self._ask("SELECT 1")

    def release(self) -> None:
        # Unlock explicitly before the session returns to the pool; closing it would free the lock only later.
        self._ask("SELECT pg_advisory_unlock(:space, :id)", **self._key)
        self._connection.close()

    def _ask(self, statement: str, **values: int) -> bool:
        """False when the server has ended the session, and the lock with it."""
        if self._connection.invalidated:
            return False
        try:
            self._connection.execute(text(statement), values)
        except DBAPIError:
            self._connection.invalidate()
            return False
        return True


class LivingRunner:
    """This process's entry among the runners, alive until `end()` or death."""

    def __init__(self, store: Store, runner_id: int, lock: _Lock) -> None:
        self.id = runner_id
        self._store = store
        self._lock = lock

    def is_alive(self) -> bool:
        """Whether the life lock is still held; PostgreSQL may have ended its session."""
        return self._lock.is_held()

    def end(self, now: datetime) -> None:
        with self._store.writing() as connection:
            connection.execute(update(t.runner).where(t.runner.c.id == self.id).values(ended_at=now))
            connection.execute(update(t.lane).where(t.lane.c.runner_id == self.id).values(runner_id=None))
        self._lock.release()


def register(
    store: Store,
    kind: str,
    now: datetime,
    host: str,
    *,
    only: str | None = None,
    ends_at: datetime | None = None,
) -> LivingRunner:
    """Enter this process among the runners and take its life lock before anyone can see it."""
    own = {"kind": kind, "host": host, "pid": os.getpid(), "only": only, "ends_at": ends_at}
    with store.writing() as connection:
        (runner_id,) = connection.execute(
            insert(t.runner).values(started_at=now, **own)
        ).inserted_primary_key or (0,)
        lock = _acquire(store, int(runner_id))
        if lock is None:
            raise Busy("runner.locked", f"runner {runner_id} is already taken", "run the command again")
    return LivingRunner(store, int(runner_id), lock)


def dead_runners(store: Store, candidates: list[int]) -> Iterator[int]:
    """Those of `candidates` whose lock is free. Each is locked while the caller deals with it."""
    for runner_id in candidates:
        lock = _acquire(store, runner_id)
        if lock is not None:
            try:
                yield runner_id
            finally:
                lock.release()


def note_end(connection: Connection, runner_id: int, last_seen_at: datetime) -> None:
    """Record that a runner died, at the latest instant at which it is known to have worked."""
    started_at = t.runner.c.started_at
    ended_at = case((started_at > last_seen_at, started_at), else_=last_seen_at)
    dead = update(t.runner).where(t.runner.c.id == runner_id, t.runner.c.ended_at.is_(None))
    connection.execute(dead.values(ended_at=ended_at))


@contextmanager
def sole_host(store: Store) -> Iterator[None]:
    """On SQLite one process hosts the loop; a second gets Busy (`runner.busy`). PostgreSQL shares."""
    if store.path is None:
        yield
        return
    descriptor = _flock(_lock_folder(store.path) / _HOST_LOCK)
    if descriptor is None:
        raise Busy("runner.busy", f"another runner already works on {store.name}", Command("runner", "list"))
    try:
        yield
    finally:
        os.close(descriptor)


def living_runners(connection: Connection) -> list[tuple[int, str, str, int, datetime, str | None]]:
    """Runners that did not say they ended: id, kind, host, pid, start, only work. Some may be dead."""
    r = t.runner.c
    query = select(r.id, r.kind, r.host, r.pid, r.started_at, r.only).where(r.ended_at.is_(None))
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in connection.execute(query)]


@dataclass(frozen=True)
class RunnerEnd:
    """How a runner was to end, and when it did."""

    kind: str
    ends_at: datetime | None
    ended_at: datetime | None


def latest_sender(connection: Connection) -> RunnerEnd | None:
    """The runner that was started last of those that send."""
    r = t.runner.c
    sends = (r.kind != "command", or_(r.only.is_(None), r.only == "send"))
    query = select(r.kind, r.ends_at, r.ended_at).where(*sends).order_by(r.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else RunnerEnd(*row)


def is_alive(store: Store, runner_id: int) -> bool:
    lock = _acquire(store, runner_id)
    if lock is None:
        return True
    lock.release()
    return False


@contextmanager
def signalling_stuck(store: Store) -> Iterator[Callable[[], None]]:
    """Show other processes that an answer cannot be recorded, until the end of the block or of this process.

    It is a lock, because a lock takes no room on a full disk. Call what this yields before each wait: it
    takes the lock unless this process or another runner has it.
    """
    held: list[_Lock] = []

    def signal() -> None:
        # What keeps the answer from being recorded may keep the lock from being taken.
        with suppress(OSError, StoreTrouble, DBAPIError):
            lock = None if held else _acquire(store, _STUCK)
            if lock is not None:
                held.append(lock)

    try:
        yield signal
    finally:
        for lock in held:
            lock.release()


def is_stuck(store: Store, connection: Connection) -> bool:
    """Whether a runner has an answer that it cannot record."""
    if store.path is None:
        key = {"space": _ADVISORY_SPACE, "id": _STUCK}
        return connection.execute(text(_IS_LOCKED), key).scalar_one_or_none() is not None
    try:
        with open(_folder_of_locks(store.path) / str(_STUCK), "rb") as file:
            # Shared, so that two processes that look at the same time do not take each other for a runner.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # There is none, or its file system keeps no locks: then nothing runs there either.
        return False
    return False


_IS_LOCKED = """
    SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE datname = current_database() AND locktype = 'advisory' AND granted
      AND classid = CAST(:space AS oid) AND objid = CAST(:id AS oid) AND objsubid = 2
    LIMIT 1
"""


def held_locks(database: Path) -> list[int]:
    """The runners that hold their lock beside a file, also when the file itself cannot be read."""
    alive = []
    for path in sorted(_lock_folder(database).iterdir()):
        if path.name.isdecimal():
            descriptor = _flock(path)
            if descriptor is None:
                alive.append(int(path.name))
            else:
                _FileLock(path, descriptor).release()
    return alive


def _acquire(store: Store, runner_id: int) -> _Lock | None:
    if store.path is not None:
        path = _lock_folder(store.path) / str(runner_id)
        descriptor = _flock(path)
        return None if descriptor is None else _FileLock(path, descriptor)
    connection = store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    key = {"space": _ADVISORY_SPACE, "id": runner_id}
    taken = connection.execute(text("SELECT pg_try_advisory_lock(:space, :id)"), key).scalar_one()
    if not taken:
        connection.close()
        return None
    return _AdvisoryLock(connection, key)


def _folder_of_locks(database: Path) -> Path:
    return database.with_name(database.name + ".runners")


def _lock_folder(database: Path) -> Path:
    folder = _folder_of_locks(database)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _flock(path: Path) -> int | None:
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError as trouble:
            # NFS without its lock service, SMB, some FUSE file systems: ENOLCK, EOPNOTSUPP.
            os.close(descriptor)
            raise StoreTrouble(
                "store.no_locks",
                f"the file system of {path.parent} does not lock files: {trouble.strerror}; "
                "without locks two runners could send the same message",
                "keep the database on a local disk, or use PostgreSQL: --db, MAILROTATE_DB",
            ) from None
        # The file may have been unlinked between open and lock; then the lock guards nothing.
        try:
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
