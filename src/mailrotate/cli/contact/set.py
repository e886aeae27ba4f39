"""`mailrotate contact set`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.contact.document import ENTRIES, Name, print_contact
from mailrotate.cli.params import read_fields


def set_(
    ctx: typer.Context,
    address: Name,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="USER", help="User who owns the contact; '' for none.", autocompletion=completion.users
        ),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=VALUE", help="A field; NAME= removes it. May be repeated."),
    ] = None,
) -> None:
    """Change a contact's fields or owner. Recipients keep the fields with which they were added.

    Examples:

      mailrotate contact set kim@example.com --owner ben@example.org

      mailrotate contact set kim@example.com --field first_name=Kim --field company=
    """
    from mailrotate.core.services.contacts import contact_records

    call = call_of(ctx)
    wanted = contact_records.ContactChange(owner, read_fields(field or []))
    print_contact(call, contact_records.change(call.context, address, wanted, ENTRIES, call.now))
