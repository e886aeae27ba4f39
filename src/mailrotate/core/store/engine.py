"""The doors to the database, and what its errors mean.

`reading()`, `writing()` and `sending()` each hand out one transaction. SQLite: WAL, `synchronous=FULL`,
foreign keys on, and every writing transaction is BEGIN IMMEDIATE, because a deferred one that reads and then
writes behind another commit fails at once, whatever the timeout. `docs/decisions/two-databases.md` lists what
differs on PostgreSQL.
"""

import logging
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from mailrotate.core.store.database_errors import explain
from mailrotate.core.store.dialects import (
    BUSY_WAIT_SECONDS,
    POSTGRESQL_ARGUMENTS,
    driver_errors,
    has_pooler,
    prepare_postgresql,
    prepare_sqlite,
    set_foreign_keys,
    shares_backends,
)
from mailrotate.core.store.group_commit import LOOK_EVERY, Block, GroupWriter
from mailrotate.core.store.sending import send_mark
from mailrotate.core.values.errors import BadInput, StoreTrouble

_POOL_SIZE = 80
_Result = TypeVar("_Result")
# Ctrl-C while a connection goes back to the pool is logged there as an error, and would be printed.
logging.getLogger("sqlalchemy.pool").addHandler(logging.NullHandler())


class Store:
    """One open database. Threads may share it; a process that forks may not."""

    def __init__(self, engine: Engine, name: str, path: Path | None) -> None:
        self.engine = engine
        self.name = name
        self.path = path
        # SQLite lets one transaction write; PostgreSQL has a connection for each writer.
        self._writer = GroupWriter(self._group, send_mark.count) if path else None
        # All groups use this connection: SQLite counts the commits of the others for each connection.
        self._session: Connection | None = None

    @property
    def is_sqlite(self) -> bool:
        return self.path is not None

    @property
    def groups_commits(self) -> bool:
        """Whether the threads of a process share transactions."""
        return self._writer is not None

    def free_bytes(self) -> int | None:
        """Free space on the disk of a SQLite file; None where it cannot be known."""
        if self.path is None:
            return None
        try:
            return shutil.disk_usage(self.path.parent).free
        except OSError:
            return None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database. Raises StoreTrouble, Busy."""
        with self.telling(), self.engine.connect() as connection:
            if not self.is_sqlite:
                # SQLite's readers always see one state; PostgreSQL's would see a new one with each statement.
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that may write; commit at the end, roll back on an exception.

        On SQLite, threads share a transaction and its commit (`group_commit.py`): a block is short, and what
        may take long uses `writing_alone`. Raises StoreTrouble, Busy.
        """
        with self.sending() as block:
            block.change()
            yield block.connection

    @contextmanager
    def sending(self) -> Iterator[Block]:
        """Open a transaction as `writing` does, for what a lane does to one message.

        It changes no facts that claims use, or says so (`Block.change`). Raises StoreTrouble, Busy.
        """
        with self.telling(), self._writer.shared() if self._writer else self._unshared() as block:
            yield block

    def send(self, work: Callable[[Block], _Result]) -> _Result:
        """Run a function in a transaction as `sending` opens, in this thread or in another one.

        Raises what the function raises, StoreTrouble, Busy.
        """
        if self._writer is None:
            with self.sending() as block:
                return work(block)
        with self.telling():
            return self._writer.run(work)

    @contextmanager
    def writing_alone(self, session: Connection | None = None) -> Iterator[Connection]:
        """Open a transaction as `writing` does, but share it with no other thread.

        It uses a connection of the pool, or `session`, which must not be inside a transaction.
        Raises StoreTrouble, Busy.
        """
        with (
            self.telling(),
            self._writer.alone() if self._writer else nullcontext(),
            self._transaction(session) as connection,
        ):
            yield connection

    @contextmanager
    def _group(self) -> Iterator[Connection]:
        if self._session is None:
            self._session = self.engine.connect().execution_options(mailrotate_writes=True)
        try:
            with self._session.begin():
                yield self._session
        except BaseException:
            # The transaction may still be open; the pool takes it back.
            self._session.close()
            self._session = None
            raise

    @contextmanager
    def _unshared(self) -> Iterator[Block]:
        number = 0
        with self._transaction() as connection:
            block = Block(connection)
            yield block
            if block.note is not None:
                number = send_mark.count(connection)
        if block.note is not None:
            block.note(number)

    @contextmanager
    def _transaction(self, session: Connection | None = None) -> Iterator[Connection]:
        with self.engine.connect() if session is None else nullcontext(session) as connection:
            connection.execution_options(mailrotate_writes=True)
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.execution_options(mailrotate_writes=False)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Open a writing transaction with SQLite's foreign keys off.

        Alembic's batch mode rebuilds tables; with foreign keys on, that deletes the children of the old one
        without an error. SQLite heeds the switch only between transactions.
        """
        with self.telling(), self.engine.connect() as connection:
            set_foreign_keys(connection, False)
            try:
                writer = connection.execution_options(mailrotate_writes=True)
                with writer.begin():
                    yield writer
            finally:
                set_foreign_keys(connection, True)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        self.engine.dispose()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Translate database errors inside the block into ours: StoreTrouble, Busy."""
        try:
            yield
        except DBAPIError as problem:
            known = explain(problem, self.name, self.free_bytes())
            if known is None:
                raise
            raise known from problem


def open_store(target: str, password: str | None = None) -> Store:
    """Open a SQLite file (created if missing, mode 0600) or a `postgresql://` URL.

    The caller's settings refuse a password inside `target`.
    """
    if target.startswith(("postgresql:", "postgres:")):
        return _open_postgresql(target, password)
    return _open_sqlite(Path(target))


def _open_sqlite(path: Path) -> Store:
    _make_private_file(path)
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_WAIT_SECONDS, "isolation_level": None, "check_same_thread": False},
        poolclass=QueuePool,
        pool_size=_POOL_SIZE,
        max_overflow=-1,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        try:
            prepare_sqlite(connection)
        except sqlite3.Error:
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("mailrotate_writes", False):
            _begin_writing(connection)
        else:
            connection.exec_driver_sql("BEGIN")

    return Store(engine, str(path), path)


def _begin_writing(connection: Connection) -> None:
    """Wait for the file as long as its connection does, but look often.

    SQLite looks ever more rarely, at last every 100 ms. A process that writes all the time leaves the file
    for a few milliseconds only, and others would wait for seconds.
    """
    driver: Any = connection.connection.driver_connection
    with driver_errors(connection):
        ((wait,),) = driver.execute("PRAGMA busy_timeout").fetchall()
        ends_at = time.monotonic() + wait / 1000
        driver.execute("PRAGMA busy_timeout=0").close()
        try:
            while not _has_begun(driver, is_last=time.monotonic() >= ends_at):
                time.sleep(LOOK_EVERY)
        finally:
            driver.execute(f"PRAGMA busy_timeout={wait}").close()


def _has_begun(driver: sqlite3.Connection, *, is_last: bool) -> bool:
    try:
        driver.execute("BEGIN IMMEDIATE").close()
    except sqlite3.OperationalError as problem:
        if is_last or problem.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _make_private_file(path: Path) -> None:
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as problem:
        raise StoreTrouble(
            "store.cannot_open",
            f"the database {path} cannot be created: {problem.strerror}",
            "name another place with --db or MAILROTATE_DB",
        ) from None


def exposure(path: Path) -> str | None:
    """Say what every user of this machine can do with a file; None if nothing, or if there is no file."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return None
    done = [verb for verb, bit in (("read", stat.S_IROTH), ("changed", stat.S_IWOTH)) if mode & bit]
    return f"{path} can be {' and '.join(done)} by every user of this machine" if done else None


def _open_postgresql(target: str, password: str | None) -> Store:
    try:
        import psycopg  # noqa: F401 -- the driver comes with an extra; say so before SQLAlchemy does
    except ImportError:
        raise BadInput(
            "store.missing_extra",
            "PostgreSQL needs the driver that comes with an extra",
            "pip install 'mailrotate[postgres]'",
        ) from None
    url = make_url(target).set(drivername="postgresql+psycopg")
    name = url.render_as_string(hide_password=True).replace("+psycopg", "")
    if password is not None:
        url = url.set(password=password)
    engine = create_engine(
        url,
        connect_args=POSTGRESQL_ARGUMENTS,
        pool_size=_POOL_SIZE,
        max_overflow=-1,
        pool_pre_ping=True,
    )
    is_known = False

    # Before SQLAlchemy's own first look, which a pooler may refuse in words that explain nothing.
    @event.listens_for(engine, "connect", insert=True)
    def _prepare(session: Any, _record: object) -> None:
        nonlocal is_known
        try:
            if not is_known and has_pooler(session) and shares_backends(session):
                raise _behind_pooler(name)
            is_known = True
            prepare_postgresql(session)
        except Exception:
            session.close()
            raise

    return Store(engine, name, None)


def _behind_pooler(name: str) -> StoreTrouble:
    return StoreTrouble(
        "store.pooler",
        f"{name} leads to a connection pooler that shares sessions among its clients; "
        "mailrotate's locks need a session of their own",
        "connect to the PostgreSQL server directly, or set the pooler to session mode (pool_mode = session)",
    )
