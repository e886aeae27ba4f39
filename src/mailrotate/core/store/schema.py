"""Which revision a database has, and how it gets to ours.

Alembic is imported only to make or upgrade a database: the check that every command makes is one SELECT.
"""

import os
import sqlite3
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from mailrotate.core.store.engine import Store
from mailrotate.core.store.triggers import make_triggers, missing_triggers
from mailrotate.core.values.errors import BadInput, Refused, StoreTrouble

# Oldest first; a test compares them with the migrations.
REVISIONS = ("0001",)


def revision_of(connection: Connection) -> str | None:
    """The database's revision, or None when it is empty. Raises StoreTrouble when it is not ours."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if "alembic_version" not in tables or "workspace" not in tables:
        raise StoreTrouble(
            "store.not_ours", "the database holds other tables, not mailrotate's", "name another with --db"
        )
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def require_current(connection: Connection) -> bool:
    """True when the database has our revision, False when it is empty.

    Raises StoreTrouble when it is newer than this program, Refused when it must be upgraded first.
    """
    try:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    except DBAPIError as problem:
        if "no such table" not in str(problem.orig) and "does not exist" not in str(problem.orig):
            raise
        connection.rollback()
        found = revision_of(connection)
    if found is None:
        return False
    if found == REVISIONS[-1]:
        return True
    if found in REVISIONS:
        raise Refused(
            "store.older",
            f"the database has revision {found}, this program needs {REVISIONS[-1]}",
            "mailrotate db upgrade",
        )
    raise StoreTrouble(
        "store.newer",
        f"the database was made by a newer mailrotate (revision {found}); nothing was changed",
        "upgrade mailrotate on this machine",
    )


def migrate(store: Store) -> None:
    """Bring the database to our revision in one transaction and re-make its triggers."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "mailrotate:core/store/migrations")
    with store.engine.connect() as connection:
        if store.is_sqlite:
            # Batch mode rebuilds tables; with foreign keys on, that deletes the children of the old one.
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.rollback()
            connection = connection.execution_options(mailrotate_writes=True)
        with connection.begin():
            revision_of(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            make_triggers(connection)
            if store.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise StoreTrouble(
                    "store.orphans",
                    "the upgrade would leave rows without their parents",
                    "mailrotate db check",
                )
        if store.is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
            connection.rollback()


def check_database(store: Store) -> list[str]:
    """Every fault found: damaged pages, missing triggers, rows without their parents."""
    faults: list[str] = []
    with store.reading() as connection:
        require_current(connection)
        if store.is_sqlite:
            faults += [
                f"integrity: {row[0]}"
                for row in connection.exec_driver_sql("PRAGMA integrity_check")
                if row[0] != "ok"
            ]
            faults += [
                f"orphan: row {row[1]} of {row[0]} points to a missing {row[2]}"
                for row in connection.exec_driver_sql("PRAGMA foreign_key_check")
            ]
        faults += [f"trigger: {name} is missing" for name in missing_triggers(connection)]
    return faults


def back_up(path: Path, target: Path) -> None:
    """Copy a SQLite database page by page while others use it. Raises BadInput, StoreTrouble."""
    if target.exists():
        raise BadInput("backup.exists", f"{target} exists already; nothing was written", "name a new file")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        source, copy = sqlite3.connect(path), sqlite3.connect(target)
        try:
            source.backup(copy)
        finally:
            source.close()
            copy.close()
    except (OSError, sqlite3.Error) as problem:
        target.unlink(missing_ok=True)
        raise StoreTrouble("backup.failed", f"{target} could not be written: {problem}") from None


def backup_name(path: Path, now: datetime) -> Path:
    """Where an upgrade puts its copy: beside the database, named by the instant."""
    return path.with_name(f"{path.name}.before-upgrade-{now:%Y%m%dT%H%M%SZ}")
