"""`mailrotate db`: check, back up, restore and upgrade the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.params import DryRun, Yes
from mailrotate.core.values.errors import NotFound, Refused, StoreTrouble
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.store.engine import Store
    from mailrotate.core.store.events import Actor

app = noun("Check, back up, restore and upgrade the database.")

_FAULTY = 1


def _database(call: Call) -> "Store":
    """The database whatever its revision; looking never makes one."""
    if not call.app.has_database:
        raise NotFound(
            "workspace.none",
            f"there is no database {call.app.settings.db}",
            Command("mailbox", "connect", "ADDRESS"),
        )
    return call.app.database


@app.command()
def upgrade(ctx: typer.Context) -> None:
    """Bring the database to this program's revision; a SQLite file is copied first.

    Examples:

      mailrotate db upgrade
    """
    from mailrotate.core.store.schema import REVISIONS
    from mailrotate.core.store.schema import upgrade as upgrade_schema

    call = call_of(ctx)
    copy = upgrade_schema(_database(call), call.now)
    call.speech.result(
        {"revision": REVISIONS[-1], "backup": None if copy is None else str(copy)},
        f"the database has revision {REVISIONS[-1]}",
        *([] if copy is None else [f"as it was before: {copy}"]),
    )


@app.command()
def check(ctx: typer.Context) -> None:
    """Look for damage, missing triggers and rows without their parents; status 1 with each fault.

    Examples:

      mailrotate db check
    """
    from mailrotate.core.store.schema import check_database

    call = call_of(ctx)
    faults = check_database(_database(call))
    call.speech.result(
        {"database": call.app.database.name, "faults": faults}, *(faults or ["the database is sound"])
    )
    if faults:
        raise typer.Exit(_FAULTY)


@app.command()
def backup(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
) -> None:
    """Copy a SQLite database while others use it. The workspace's key is not in it.

    Examples:

      mailrotate db backup /backups/mailrotate-2026-12-01.db
    """
    from mailrotate.core.store.backups import back_up

    call = call_of(ctx)
    back_up(_database(call), target)
    size = target.stat().st_size
    call.speech.result({"backup": str(target), "bytes": size}, f"copied {size:,} bytes to {target}")


@app.command()
def restore(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `db backup` wrote.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Put a backup in the place of the database. Every mailbox is then on hold: compare its sent mail first.

    Examples:

      mailrotate db restore /backups/mailrotate-2026-12-01.db --dry-run

      mailrotate db restore /backups/mailrotate-2026-12-01.db --yes
    """
    from mailrotate.core.services.access import accounts
    from mailrotate.core.store import backups

    call = call_of(ctx)
    if not source.is_file():
        raise NotFound("restore.no_file", f"there is no file {source}", Command("db", "restore", "--help"))
    if call.app.has_database:
        accounts.require_restorer(call.app.database, _actor(call))
    store = call.app.database
    consequences = [
        f"{store.name} is replaced; a copy of it as it is now stays beside it.",
        "What was sent after the backup was made is not in it: it would be sent again.",
        "So every mailbox is put on hold until you have compared its sent mail and released it.",
    ]
    if not call.speech.confirm(consequences, f"Restore {source}?", yes=yes, dry_run=dry_run):
        return
    kept = backups.restore(store, source, _actor(call), call.now)
    call.speech.result(
        {"restored": str(source), "kept": str(kept)},
        f"restored {source}",
        f"as it was before: {kept}",
    )
    call.speech.next(Command("status"))


def _actor(call: Call) -> "Actor":
    """Who restores; a damaged or missing database knows nobody."""
    from mailrotate.app import operating_system_user
    from mailrotate.core.store.events import Actor

    try:
        return call.app.actor
    except (NotFound, Refused, StoreTrouble):
        return Actor(None, operating_system_user())


@app.command()
def stats(ctx: typer.Context) -> None:
    """Rows by table, and the size on the disk.

    Examples:

      mailrotate db stats
    """
    from mailrotate.core.store.schema import require_current
    from mailrotate.core.store.statistics import rows_by_table, size_in_bytes

    call = call_of(ctx)
    store = _database(call)
    with store.reading() as connection:
        tables = rows_by_table(connection) if require_current(connection) else []
    size = size_in_bytes(store)
    if call.speech.as_json:
        rows = {entry.table: entry.rows for entry in tables}
        call.speech.document({"database": store.name, "bytes": size, "rows": rows})
        return
    call.speech.table(("table", "rows"), ((entry.table, f"{entry.rows:,}") for entry in tables))
    call.speech.line(f"{store.name}: {size:,} bytes")
