"""Find a database's revision and upgrade it to ours.

Alembic is imported only to create or upgrade a database: the check in every command is one SELECT.
"""

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from mailrotate.core.store import dialects
from mailrotate.core.store.engine import Store
from mailrotate.core.store.triggers import make_triggers, missing_triggers
from mailrotate.core.values.errors import Refused, StoreTrouble, WrongDatabase
from mailrotate.core.values.hint import Command

# Oldest first; a test compares them with the migrations.
REVISIONS = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
)


def revision_of(connection: Connection) -> str | None:
    """Return the database's revision, or None if it is empty. Raises StoreTrouble if it is not ours."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if "alembic_version" not in tables or "workspace" not in tables:
        raise WrongDatabase(
            "store.not_ours", "the database holds other tables, not mailrotate's", "name another with --db"
        )
    return _version(connection)


def _version(connection: Connection) -> str | None:
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def require_current(connection: Connection) -> bool:
    """Return True if the database has our revision, False if it is empty.

    Raises StoreTrouble if it is newer than this program, Refused if it must be upgraded first.
    """
    try:
        # In a savepoint: on PostgreSQL a failed statement aborts the whole transaction.
        with connection.begin_nested():
            found = _version(connection)
    except DBAPIError as problem:
        if "no such table" not in str(problem.orig) and "does not exist" not in str(problem.orig):
            raise
        found = revision_of(connection)
    if found is None:
        return False
    _require_known(found)
    if found != REVISIONS[-1]:
        raise Refused(
            "store.older",
            f"the database has revision {found}, this program needs {REVISIONS[-1]}",
            Command("db", "upgrade"),
        )
    return True


def _require_known(found: str) -> None:
    if found not in REVISIONS:
        raise StoreTrouble(
            "store.newer",
            f"the database was made by a newer mailrotate (revision {found}); nothing was changed",
            "upgrade mailrotate on this machine",
        )


def migrate(store: Store) -> None:
    """Upgrade the database to our revision in one transaction and recreate its triggers."""
    with store.migrating() as connection:
        dialects.lock_schema(connection)
        found = revision_of(connection)
        if found is not None:
            _require_known(found)
        _run_revisions(connection)
        make_triggers(connection)
        if dialects.orphans(connection):
            raise StoreTrouble(
                "store.orphans",
                "the upgrade would leave rows that refer to missing rows",
                Command("db", "check"),
            )


def _run_revisions(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "mailrotate:core/store/migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check_database(store: Store) -> list[str]:
    """List all faults: damaged pages, missing triggers, rows without their parents."""
    with store.reading() as connection:
        if not require_current(connection):
            return ["schema: the database is empty"]
        return [
            *(f"integrity: {said}" for said in dialects.damages(connection)),
            *(f"orphan: {said}" for said in dialects.orphans(connection)),
            *(f"trigger: {name} is missing" for name in missing_triggers(connection)),
        ]
