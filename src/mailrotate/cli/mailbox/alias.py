"""`mailrotate mailbox alias`: other addresses of a mailbox, and which of them it sends as."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech
from mailrotate.cli.params import Address
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.alias_choice import MailboxAliases

app = noun(
    "Manage alias addresses, and choose which one the mailbox sends as.",
    __name__,
    "add",
    "list",
    "remove",
    "use",
)

Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="The other address.")]


def add(
    ctx: typer.Context,
    address: Address,
    alias: Alias,
    sender_name: Annotated[
        str | None, typer.Option(help="Name that recipients see; default: the mailbox's.")
    ] = None,
    use: Annotated[bool, typer.Option("--use", help="Also send as it from now on.")] = False,
) -> None:
    """Add an alias address to a mailbox.

    The server must deliver the alias to the same inbox, and let the mailbox send as it.
    Limits and login are the mailbox's. An alias must pass the same checks as a mailbox's own address.

    Examples:

      mailrotate mailbox alias add anna@example.org anna.example@example.com

      mailrotate mailbox alias add anna@example.org anna@example.net --use
    """
    from mailrotate.core.services.mailboxes import alias_choice

    call = call_of(ctx)
    changed = alias_choice.add(call.context, address, alias, sender_name, call.now, use=use)
    added = changed.aliases[-1].address
    _tell(call.speech, changed, f"{added} is an alias of {changed.address}")
    if not use:
        call.speech.next(Command("mailbox", "alias", "use", changed.address, added))


def list_(ctx: typer.Context, address: Address) -> None:
    """List a mailbox's aliases.

    Examples:

      mailrotate mailbox alias list anna@example.org
    """
    from mailrotate.core.services.mailboxes import alias_choice

    found = alias_choice.listing(call_of(ctx).context, address)
    call_of(ctx).speech.listing(
        ("alias", "sender name", "in use"),
        _rows(found),
        lambda row: (row["address"], row["sender_name"] or "the mailbox's", row["in_use"]),
        Hint("no aliases; to add one:", Command("mailbox", "alias", "add", found.address, "ALIAS")),
        drop=("sender name",),
    )


def remove(ctx: typer.Context, address: Address, alias: Alias) -> None:
    """Remove an alias. A mailbox that sent as this alias sends as itself again.

    Examples:

      mailrotate mailbox alias remove anna@example.org anna.example@example.com
    """
    from mailrotate.core.services.mailboxes import alias_choice

    call = call_of(ctx)
    changed = alias_choice.remove(call.context, address, alias, call.now)
    _tell(call.speech, changed, f"removed the alias {alias} of {changed.address}")


def use(
    ctx: typer.Context,
    address: Address,
    alias: Annotated[str | None, typer.Argument(metavar="ALIAS", help="Which alias to send as.")] = None,
    none: Annotated[bool, typer.Option("--none", help="Send as the mailbox itself again.")] = False,
) -> None:
    """Choose the address that a mailbox sends as; it applies to every message that is not yet being sent.

    Examples:

      mailrotate mailbox alias use anna@example.org anna.example@example.com

      mailrotate mailbox alias use anna@example.org --none
    """
    from mailrotate.core.services.mailboxes import alias_choice

    if none == (alias is not None):
        raise BadInput(
            "alias.which", "name an alias, or --none", Command("mailbox", "alias", "list", address)
        )
    call = call_of(ctx)
    _tell(call.speech, alias_choice.use(call.context, address, alias, call.now))


def _tell(speech: Speech, changed: "MailboxAliases", *lines: str) -> None:
    sends_as = changed.sends_as or changed.address
    document = {
        "address": changed.address,
        "sends_as": sends_as,
        "aliases": _rows(changed),
        "warnings": list(changed.warnings),
    }
    speech.result(document, *lines, f"{changed.address} sends as {sends_as}")
    for warning in changed.warnings:
        speech.warn(warning)


def _rows(found: "MailboxAliases") -> list[dict[str, Any]]:
    return [
        {
            "id": f"alias_{alias.id}",
            "address": alias.address,
            "sender_name": alias.sender_name,
            "in_use": alias.address == found.sends_as,
        }
        for alias in found.aliases
    ]
