"""Back up and restore a SQLite database. PostgreSQL has its own tools for that."""

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from mailrotate.core.store import events, instants, workspaces
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.people.carrying_over import carry_over
from mailrotate.core.store.schema import check_database, migrate, require_current, revision_of
from mailrotate.core.store.sending import liveness, send_mark
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.errors import BadInput, Busy, NotFound, Refused, StoreTrouble
from mailrotate.core.values.hint import AnyHint, Command, Hint

_ANOTHER = "name another file"


def backup_name(path: Path, before: str, now: datetime) -> Path:
    """Return the path, beside the database, of the copy made before an upgrade or a restore."""
    return path.with_name(f"{path.name}.before-{before}-{now:%Y%m%dT%H%M%SZ}")


def back_up(store: Store, target: Path) -> None:
    """Copy a SQLite database page by page while others use it; the copy has mode 0600.

    Raises Refused on PostgreSQL, BadInput if `target` exists, StoreTrouble if it cannot be written.
    """
    path = _file_of(store, "pg_dump --format=custom --file=FILE, with the same database")
    if target.exists():
        raise BadInput("backup.exists", f"{target} already exists; nothing was written", "name a new file")
    with store.reading() as connection:
        # Check the source first, so that an error names it and not the target.
        revision_of(connection)
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        # The rest of a killed backup. Only a complete copy gets the final name.
        _discard(unfinished)
        _copy_pages(path, unfinished)
        os.rename(unfinished, target)
    except (OSError, sqlite3.Error) as problem:
        raise StoreTrouble(
            "backup.failed", f"{target} could not be written: {problem}", "name a file on another disk"
        ) from None


def upgrade(store: Store, now: datetime) -> Path | None:
    """Upgrade the database to our revision; copy a file of an older revision first.

    Returns the path of the copy. Raises StoreTrouble if the database is newer or not mailrotate's.
    """
    copy = None
    try:
        with store.reading() as connection:
            require_current(connection)
    except Refused:
        if store.path is not None:
            copy = backup_name(store.path, "upgrade", now)
            back_up(store, copy)
    migrate(store)
    return copy


def _copy_pages(path: Path, target: Path) -> None:
    """Copy the pages and remove a copy that failed. Raises OSError, sqlite3.Error; only reads the source."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    read_only = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(read_only, uri=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
            # A single file that can be moved: no log beside it.
            copy.execute("PRAGMA journal_mode=DELETE").close()
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def key_check_of(backup: Path) -> tuple[str, bytes] | None:
    """The workspace and the check value of its key in a backup; None if it has none or cannot be read."""
    try:
        with closing(sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT identity, key_check FROM workspace").fetchone()
    except sqlite3.Error:
        return None
    return None if row is None or row[1] is None else (str(row[0]), bytes(row[1]))


def restore(store: Store, backup: Path, actor: Actor, now: datetime) -> Path:
    """Replace the database by a backup; return the path at which the present one is kept.

    The backup does not contain what was sent after it was made. So the workspace is held and sends nothing
    until `db adopt` has compared the sent mail; messages that were being sent are settled like those of a
    dead runner. The present database may be damaged: it is copied byte by byte. What it knows of people who
    must not be written to is carried over if it can be read. The store is closed. Raises Refused on
    PostgreSQL, NotFound, BadInput if the file is not an intact mailrotate database, StoreTrouble if a newer
    program made it, Busy while a runner works.
    """
    adopt = Command("db", "adopt")
    path = _file_of(store, Hint("pg_restore --clean, and before any runner starts:", adopt))
    if not backup.is_file():
        raise NotFound("restore.no_file", f"there is no file {backup}", Command("db", "restore", "BACKUP"))
    made_at = datetime.fromtimestamp(backup.stat().st_mtime, now.tzinfo)
    incoming = path.with_name(f"{path.name}.restoring")
    with liveness.sole_host(store):
        alive = liveness.held_locks(path)
        if alive:
            raise Busy("runner.busy", f"runner {alive[0]} works on {path}", "stop it, then run this again")
        _discard(incoming)
        try:
            _copy_checked(backup, incoming)
            kept = backup_name(path, "restore", now)
            _hold(incoming, actor, now, made_at=rfc3339(made_at), kept=kept.name)
            store.close()
            _keep_aside(path, kept)
            carry_over(path, incoming)
            _remove_log(path)
            os.replace(incoming, path)
        finally:
            _discard(incoming)
    return kept


def kept_aside(store: Store, connection: Connection) -> Path | None:
    """Where the latest restore keeps the database that it replaced; None if there is none."""
    last = list(events.listing(connection, action="database.restored", limit=1))
    name = last[0].data.get("kept") if last else None
    return store.path.with_name(Path(str(name)).name) if store.path is not None and name else None


def _file_of(store: Store, instead: AnyHint) -> Path:
    if store.path is None:
        raise Refused("backup.postgresql", "PostgreSQL's own tools copy and restore a database", instead)
    return store.path


def _copy_checked(backup: Path, incoming: Path) -> None:
    """Copy the backup, check that it is an intact mailrotate database, and upgrade it to our revision."""
    try:
        _copy_pages(backup, incoming)
    except sqlite3.Error as problem:
        raise BadInput("restore.damaged", f"{backup} is not intact: {problem}", _ANOTHER) from None
    arriving = open_store(str(incoming))
    try:
        with arriving.reading() as connection:
            if revision_of(connection) is None:
                raise BadInput("restore.empty", f"{backup} is an empty database", _ANOTHER)
        migrate(arriving)
        faults = check_database(arriving)
    finally:
        arriving.close()
    if faults:
        raise BadInput("restore.damaged", f"{backup} is damaged: {faults[0]}", _ANOTHER, faults)


def _hold(incoming: Path, actor: Actor, now: datetime, *, made_at: str, kept: str) -> None:
    arriving = open_store(str(incoming))
    try:
        with arriving.writing() as connection:
            workspace = workspaces.find(connection)
            if workspace is not None:
                send_mark.hold(connection, instants.latest_acted_at(connection) or workspace.created_at)
            if actor.user_id is not None and workspaces.user_by_id(connection, actor.user_id) is None:
                # A user who joined after the backup was made.
                actor = Actor(None, actor.os_user)
            events.record(connection, actor, "database.restored", now, About(), made_at=made_at, kept=kept)
    finally:
        arriving.close()


def _keep_aside(path: Path, kept: Path) -> None:
    """Copy the database and its log byte by byte, under names by which SQLite finds both."""
    for suffix in ("", "-wal"):
        present = path.with_name(path.name + suffix)
        if present.exists():
            shutil.copy2(present, kept.with_name(kept.name + suffix))


def _remove_log(path: Path) -> None:
    """Remove the log: it belongs to the old file and would damage the new one."""
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _discard(incoming: Path) -> None:
    incoming.unlink(missing_ok=True)
    _remove_log(incoming)
