"""`mailrotate campaign copy`."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.drafted import tell_drafted
from mailrotate.cli.campaign.options import Name
from mailrotate.core.values.hint import Command


def copy(
    ctx: typer.Context,
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="The copy's name.")] = None,
) -> None:
    """Copy a campaign to a new draft: its texts, window and the senders you can use, without recipients.

    Examples:

      mailrotate campaign copy autumn-intro --name winter-intro
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    drafted = drafting.copy(call.context, name, new_name, call.now)
    tell_drafted(call.speech, drafted, f"copied to campaign '{drafted.name}'")
    call.speech.next(Command("recipient", "import", drafted.name, "FILE"))
