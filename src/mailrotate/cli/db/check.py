"""`mailrotate db check`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.db.database import database_of

_FAULTY = 1


def check(ctx: typer.Context) -> None:
    """Check for damage, missing triggers and rows without their parents; exit status 1 if there is a fault.

    Examples:

      mailrotate db check
    """
    from mailrotate.core.store.schema import check_database

    call = call_of(ctx)
    faults = check_database(database_of(call))
    call.speech.result(
        {"database": call.app.database.name, "faults": faults}, *(faults or ["the database is sound"])
    )
    if faults:
        raise typer.Exit(_FAULTY)
