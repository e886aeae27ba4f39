"""`mailrotate campaign edit`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.drafted import tell_drafted, tell_warnings
from mailrotate.cli.campaign.options import AllowOutside, File, Name, plan_of
from mailrotate.core.values.hint import Command, Hint


def edit(ctx: typer.Context, name: Name, file: File, allow_outside: AllowOutside = False) -> None:
    """Replace a draft, or change the text and delay of a started campaign's steps that were not sent yet.

    The campaign keeps its name; a draft keeps its senders if the file names none.

    Examples:

      mailrotate campaign edit autumn-intro campaign.toml
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    plan = plan_of(file, allow_outside=allow_outside)
    drafted = drafting.edit(call.context, name, plan, call.now)
    tell_drafted(call.speech, drafted, f"campaign '{drafted.name}' is at version {drafted.version}")
    tell_warnings(call.speech, plan)
    if drafted.state == "paused":
        resumed = Command("campaign", "resume", drafted.name)
        again = Command("outbox", "retry", "--campaign", drafted.name)
        call.speech.say(Hint("it is paused; to continue:", resumed, "; for messages in error:", again))
    call.speech.next(Command("campaign", "preview", drafted.name))
