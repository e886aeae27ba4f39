"""`mailrotate db backup`."""

from pathlib import Path
from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.db.database import database_of


def backup(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Path of the new file.")],
) -> None:
    """Back up a SQLite database while it is in use. The copy does not contain the workspace key.

    Examples:

      mailrotate db backup /backups/mailrotate-2026-12-01.db
    """
    from mailrotate.core.store.backups import back_up

    call = call_of(ctx)
    back_up(database_of(call), target)
    size = target.stat().st_size
    call.speech.result({"backup": str(target), "bytes": size}, f"copied {size:,} bytes to {target}")
