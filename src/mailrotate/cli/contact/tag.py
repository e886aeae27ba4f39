"""`mailrotate contact tag`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted


def tag(
    ctx: typer.Context,
    word: Annotated[str, typer.Argument(metavar="TAG", help="The tag; case does not matter.")],
    addresses: Annotated[
        list[str],
        typer.Argument(metavar="ADDRESS", help="Contacts, or their ids.", autocompletion=completion.contacts),
    ],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag off.")] = False,
) -> None:
    """Add a tag to contacts, or remove it.

    Examples:

      mailrotate contact tag customer kim@example.com lee@example.com

      mailrotate contact tag customer k_17 --remove
    """
    from mailrotate.core.services.contacts import contact_records

    call = call_of(ctx)
    tagged = contact_records.tag(call.context, word, addresses, remove=remove, now=call.now)
    done = "taken off" if remove else "put on"
    call.speech.result(
        {"tag": tagged.tag, "named": tagged.named, "changed": tagged.changed},
        f"'{tagged.tag}' {done} {tagged.changed} of {counted(tagged.named, 'contact')}",
    )
