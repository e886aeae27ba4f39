"""`mailrotate db upgrade`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.db.database import database_of


def upgrade(ctx: typer.Context) -> None:
    """Upgrade the database to this program's revision; a SQLite file is copied first.

    Examples:

      mailrotate db upgrade
    """
    from mailrotate.core.store.backups import upgrade as upgrade_schema
    from mailrotate.core.store.schema import REVISIONS

    call = call_of(ctx)
    copy = upgrade_schema(database_of(call), call.now)
    call.speech.result(
        {"revision": REVISIONS[-1], "backup": None if copy is None else str(copy)},
        f"the database is at revision {REVISIONS[-1]}",
        *([] if copy is None else [f"as it was before: {copy}"]),
    )
