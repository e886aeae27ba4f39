"""`mailrotate campaign edit`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.drafted import tell_drafted, tell_warnings
from mailrotate.cli.campaign.options import File, Name, plan_of
from mailrotate.core.values.hint import Command


def edit(ctx: typer.Context, name: Name, file: File) -> None:
    """Replace a draft, or change the text and delay of a started campaign's steps that were not sent yet.

    The campaign keeps its name; a draft keeps its senders if the file names none.

    Examples:

      mailrotate campaign edit autumn-intro campaign.toml
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    plan = plan_of(file)
    drafted = drafting.edit(call.context, name, plan, call.now)
    tell_drafted(call.speech, drafted, f"campaign '{drafted.name}' is at version {drafted.version}")
    tell_warnings(call.speech, plan)
    call.speech.next(Command("campaign", "preview", drafted.name))
