"""`mailrotate db check`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.db.database import database_of
from mailrotate.core.values.hint import Hint, Shell

_FAULTY = 1


def check(ctx: typer.Context) -> None:
    """Check for damage, missing triggers and rows without their parents; exit status 1 if there is a fault.

    Warns of a file that other users of this machine can read or change.

    Examples:

      mailrotate db check
    """
    from mailrotate.core.store.engine import exposure
    from mailrotate.core.store.schema import check_database

    call = call_of(ctx)
    store = database_of(call)
    faults = check_database(store)
    call.speech.result({"database": store.name, "faults": faults}, *(faults or ["the database is sound"]))
    if store.path is not None and (exposed := exposure(store.path)):
        call.speech.warn(Hint(f"{exposed}; to close it:", Shell("chmod", "o-rwx", str(store.path))))
    if faults:
        raise typer.Exit(_FAULTY)
