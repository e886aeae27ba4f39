"""`mailrotate mailbox crm`: a mailbox's link to the contact book."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.params import Address
from mailrotate.core.rules.timeline_filter import Whose, as_document
from mailrotate.core.values.hint import Command


def crm(
    ctx: typer.Context,
    address: Address,
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="Record mail on timelines, or do not.")
    ] = None,
    incoming: Annotated[
        Whose | None, typer.Option(help="Mail from whom: contacts, everybody, nobody.")
    ] = None,
    outgoing: Annotated[Whose | None, typer.Option(help="Mail to whom: contacts, everybody, nobody.")] = None,
    never: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN", help="Never record mail with it, or with what is below it."),
    ] = None,
    never_remove: Annotated[
        list[str] | None, typer.Option(metavar="DOMAIN", help="Record mail with it again.")
    ] = None,
) -> None:
    """Link a mailbox to the contact book: its mail is put on the timelines of contacts (contact show).

    Mail from and to contacts is recorded, with 'all' everybody is made one. Without options, show the link.
    It begins as --off, with known for both.

    Examples:

      mailrotate mailbox crm anna@example.org --on --incoming all --never example.org

      mailrotate mailbox crm anna@example.org
    """
    from mailrotate.core.services.contacts import contact_book
    from mailrotate.core.services.contacts.contact_book import LinkChange

    call = call_of(ctx)
    wanted = LinkChange(on, incoming, outgoing, tuple(never or ()), tuple(never_remove or ()))
    if wanted == LinkChange():
        kept, link = contact_book.show(call.context, address)
    else:
        kept, link = contact_book.change(call.context, address, wanted, call.now)
    call.speech.result({"address": kept, **as_document(link)}, f"contact book of {kept}: {link}")
    if not link.is_on:
        call.speech.next(Command("mailbox", "crm", kept, "--on"))
