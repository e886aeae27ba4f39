"""`mailrotate contact set`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.contact.document import ENTRIES, Name, print_contact
from mailrotate.cli.hints import in_words
from mailrotate.cli.output import counted
from mailrotate.cli.params import read_fields
from mailrotate.core.values.hint import Command


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
    """Change a contact's fields or owner. Recipients keep the fields and the mailbox that they have.

    Examples:

      mailrotate contact set kim@example.com --owner ben@example.org

      mailrotate contact set kim@example.com --field first_name=Kim --field company=
    """
    from mailrotate.core.services.contacts import contact_records

    call = call_of(ctx)
    wanted = contact_records.ContactChange(owner, read_fields(field or []))
    changed = contact_records.change(call.context, address, wanted, ENTRIES, call.now)
    print_contact(call, changed)
    if changed.staying:
        keep = counted(len(changed.staying), "open recipient keeps", "open recipients keep")
        call.speech.say(f"{keep} the previous owner's mailbox; to move all recipients of that mailbox:")
    for campaign, mailbox in changed.staying:
        move = ("recipient", "assign", campaign, "--from-sender", mailbox, "--to-sender", "ADDRESS")
        call.speech.say(f"  {in_words(Command(*move))}")
