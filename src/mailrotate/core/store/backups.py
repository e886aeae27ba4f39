"""Copies of a SQLite database, and the way back from one. PostgreSQL has tools of its own for that."""

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from mailrotate.core.store import events, liveness, mailboxes
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.schema import check_database, migrate
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.errors import BadInput, Busy, NotFound, Refused, StoreTrouble

RESTORED = "restore"


def backup_name(path: Path, before: str, now: datetime) -> Path:
    """Where the copy goes that is made before an upgrade or a restore: beside the database."""
    return path.with_name(f"{path.name}.before-{before}-{now:%Y%m%dT%H%M%SZ}")


def back_up(store: Store, target: Path) -> None:
    """Copy a SQLite database page by page while others use it; the copy has mode 0600.

    Raises Refused on PostgreSQL, BadInput when `target` exists, StoreTrouble when it cannot be written.
    """
    path = _file_of(store, "pg_dump --format=custom --file=FILE, with the same database")
    if target.exists():
        raise BadInput("backup.exists", f"{target} exists already; nothing was written", "name a new file")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
            # One file that can be moved about: no log beside it.
            copy.execute("PRAGMA journal_mode=DELETE").close()
    except (OSError, sqlite3.Error) as problem:
        target.unlink(missing_ok=True)
        raise StoreTrouble(
            "backup.failed", f"{target} could not be written: {problem}", "name a file on another disk"
        ) from None


def restore(store: Store, backup: Path, actor: Actor, now: datetime) -> Path:
    """Put a backup in the place of the database; returns where the present one is kept.

    What was sent after the backup was made is not in it. So every mailbox is put on hold, and sends nothing
    until somebody has compared the sent mail and released it; messages that were being sent become
    `held` when the next runner finds them. The store is closed. Raises Refused, NotFound, BadInput, Busy.
    """
    path = _file_of(store, "pg_restore --clean, then mailrotate mailbox pause for every mailbox")
    if not backup.is_file():
        raise NotFound("restore.no_file", f"there is no file {backup}", "mailrotate db restore BACKUP")
    made_at = datetime.fromtimestamp(backup.stat().st_mtime, now.tzinfo)
    incoming = path.with_name(f"{path.name}.restoring")
    incoming.unlink(missing_ok=True)
    with liveness.sole_host(store):
        _refuse_while_running(store)
        try:
            _copy_checked(backup, incoming)
            _hold_everything(incoming, made_at, actor, now)
            kept = backup_name(path, "restore", now)
            back_up(store, kept)
            store.close()
            _swap(incoming, path)
        finally:
            incoming.unlink(missing_ok=True)
    return kept


def _file_of(store: Store, instead: str) -> Path:
    if store.path is None:
        raise Refused("backup.postgresql", "PostgreSQL's own tools copy and restore a database", instead)
    return store.path


def _refuse_while_running(store: Store) -> None:
    with store.reading() as connection:
        known = [row[0] for row in liveness.living_runners(connection)]
    alive = [runner_id for runner_id in known if liveness.is_alive(store, runner_id)]
    if alive:
        raise Busy("runner.busy", f"runner {alive[0]} works on {store.name}", "stop it, then run this again")


def _copy_checked(backup: Path, incoming: Path) -> None:
    """A copy of the backup, proved to be an intact database of ours and brought to our revision."""
    copied = open_store(str(backup))
    try:
        back_up(copied, incoming)
    finally:
        copied.close()
    arriving = open_store(str(incoming))
    try:
        with arriving.reading() as connection:
            from mailrotate.core.store.schema import revision_of

            if revision_of(connection) is None:
                raise BadInput("restore.empty", f"{backup} is an empty database", "name another file")
        migrate(arriving)
        faults = check_database(arriving)
    finally:
        arriving.close()
    if faults:
        raise BadInput("restore.damaged", f"{backup} is damaged: {faults[0]}", "name another file", faults)


def _hold_everything(incoming: Path, made_at: datetime, actor: Actor, now: datetime) -> None:
    arriving = open_store(str(incoming))
    try:
        with arriving.writing() as connection:
            said = f"restored from a backup of {rfc3339(made_at)}: compare the sent mail, then release it"
            held = mailboxes.hold_all(connection, RESTORED, said)
            events.record(
                connection, actor, "database.restored", now, About(), made_at=rfc3339(made_at), held=held
            )
    finally:
        arriving.close()


def _swap(incoming: Path, path: Path) -> None:
    """Replace the database in one step. Its log is folded in before, and goes: it belongs to the old file."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
        incoming.with_name(incoming.name + suffix).unlink(missing_ok=True)
    os.replace(incoming, path)
