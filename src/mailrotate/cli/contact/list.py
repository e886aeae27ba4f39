"""`mailrotate contact list`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.contact.document import row_of
from mailrotate.cli.params import After, Limit, read_id


def list_(
    ctx: typer.Context,
    tag: Annotated[str | None, typer.Option(help="With this tag only.")] = None,
    owner: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Only contacts of this owner.", autocompletion=completion.users),
    ] = None,
    limit: Limit = None,
    after: After = None,
) -> None:
    """List contacts in the order in which they were added.

    Examples:

      mailrotate contact list --tag customer

      mailrotate contact list --owner anna@example.org --limit 100 --after k_1200 --json
    """
    from mailrotate.core.services.contacts import contact_records

    after_id = None if after is None else read_id(after, "k", "contact")
    wanted = contact_records.Wanted(tag, owner, after_id, limit)
    with contact_records.listing(call_of(ctx).context, wanted) as found:
        call_of(ctx).speech.listing(
            ("id", "email", "owner", "tags"),
            map(row_of, found),
            lambda row: (row["id"], row["email"], row["owner"], ", ".join(row["tags"])),
            "no such contact"
            if wanted != contact_records.Wanted()
            else "no contacts yet; campaigns bring them",
            drop=("owner",),
        )
