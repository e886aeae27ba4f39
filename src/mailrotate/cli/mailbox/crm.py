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
        bool | None, typer.Option("--on/--off", help="Whether mail is recorded on timelines.")
    ] = None,
    incoming: Annotated[
        Whose | None, typer.Option(help="Incoming mail to record: from contacts, all or none.")
    ] = None,
    outgoing: Annotated[
        Whose | None, typer.Option(help="Outgoing mail to record: to contacts, all or none.")
    ] = None,
    never: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN", help="Domain whose mail, with its subdomains, is never recorded."),
    ] = None,
    never_remove: Annotated[
        list[str] | None, typer.Option(metavar="DOMAIN", help="Domain whose mail is recorded again.")
    ] = None,
) -> None:
    """Link a mailbox to the contact book: its mail appears on the timelines of contacts (contact show).

    Mail with contacts is recorded; 'all' makes every correspondent a contact. Without options, show the link.
    The default is --off, with known for both directions.

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
