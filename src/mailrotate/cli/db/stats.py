"""`mailrotate db stats`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.db.database import database_of


def stats(ctx: typer.Context) -> None:
    """Show the number of rows per table, and the size on disk.

    Examples:

      mailrotate db stats
    """
    from mailrotate.core.store.schema import require_current
    from mailrotate.core.store.statistics import rows_by_table, size_in_bytes

    call = call_of(ctx)
    store = database_of(call)
    with store.reading() as connection:
        tables = rows_by_table(connection) if require_current(connection) else []
    size = size_in_bytes(store)
    if call.speech.as_json:
        rows = {entry.table: entry.rows for entry in tables}
        call.speech.document({"database": store.name, "bytes": size, "rows": rows})
        return
    call.speech.table(("table", "rows"), ((entry.table, f"{entry.rows:,}") for entry in tables))
    # On a line of its own: the name of a database may fill a terminal's width.
    call.speech.line(f"{store.name}:")
    call.speech.line(f"{size:,} bytes")
