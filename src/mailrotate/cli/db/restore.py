"""`mailrotate db restore`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.params import DryRun, Yes
from mailrotate.core.values.errors import NotFound, Refused, StoreTrouble
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.store.events import Actor


def restore(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file written by `db backup`.")],
    without_key: Annotated[
        bool,
        typer.Option("--without-key", help="Also if the key here does not open the backup's secrets."),
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Replace the database by a backup. It then sends nothing until `db adopt` has compared the sent mail.

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
    if not without_key:
        _require_key(call, source)
    store = call.app.database
    consequences = [
        f"{store.name} is replaced; a copy of it as it is now stays beside it.",
        "What was sent after the backup was made is not in it: it would be sent again.",
        "So nothing is sent until `mailrotate db adopt` has compared the sent mail of every mailbox.",
    ]
    if not call.speech.confirm(consequences, f"Restore {source}?", yes=yes, dry_run=dry_run):
        return
    kept = backups.restore(store, source, _actor(call), call.now)
    call.speech.result(
        {"restored": str(source), "kept": str(kept)},
        f"restored {source}",
        f"as it was before: {kept}",
    )
    call.speech.next(Command("db", "adopt"))


def _actor(call: Call) -> "Actor":
    """The user who restores; unknown if the present database is damaged or missing."""
    from mailrotate.app import operating_system_user
    from mailrotate.core.store.events import Actor

    try:
        return call.app.actor
    except (NotFound, Refused, StoreTrouble):
        return Actor(None, operating_system_user())


def _require_key(call: Call, source: Path) -> None:
    """Refuse a backup whose secrets no key here opens: each mailbox would have to be reconnected (I1)."""
    from mailrotate.core.store import backups

    found = backups.key_check_of(source)
    trouble = None if found is None else call.app.key_trouble(*found)
    if trouble is not None:
        raise Refused(
            "restore.other_key",
            f"the secrets in {source} do not open: {trouble.message}; nothing was changed",
            Hint(
                "put the key of that time back, or reconnect every mailbox afterwards:",
                Command("db", "restore", str(source), "--without-key"),
            ),
        )
