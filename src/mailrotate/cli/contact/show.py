"""`mailrotate contact show`."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.contact.document import ENTRIES, Name, print_contact
from mailrotate.cli.params import read_id

Entries = Annotated[int, typer.Option("--limit", min=1, help="So many entries of the timeline.")]


def show(
    ctx: typer.Context,
    address: Name,
    limit: Entries = ENTRIES,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue after this entry of the timeline.")
    ] = None,
) -> None:
    """Show a contact: fields, owner, tags, campaigns and the timeline, newest first.

    The log names contacts only by id, like k_17.

    Examples:

      mailrotate contact show kim@example.com

      mailrotate contact show k_17 --limit 100 --after t_1200 --json
    """
    from mailrotate.core.services.contacts import contact_records

    call = call_of(ctx)
    after_id = None if after is None else read_id(after, "t", "timeline entry")
    print_contact(call, contact_records.show(call.context, address, limit, after_id, call.now))
