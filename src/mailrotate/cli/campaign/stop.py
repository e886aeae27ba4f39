"""`mailrotate campaign stop`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.options import Name
from mailrotate.cli.output import counted
from mailrotate.cli.params import DryRun, Yes
from mailrotate.core.values.hint import AnyHint, Command, Hint


def stop(ctx: typer.Context, name: Name, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Stop a campaign permanently; its recipients get nothing more. To interrupt it, pause it.

    Examples:

      mailrotate campaign stop autumn-intro
    """
    from mailrotate.core.services.campaigns import campaign_life

    call = call_of(ctx)
    found, people = campaign_life.stoppable(call.context, name, call.now)
    still_open = counted(people, "recipient who is", "recipients who are")
    told: list[AnyHint] = [
        f"{still_open} still open in '{found}' will get nothing more; it cannot be started again",
        Hint("to interrupt it instead:", Command("campaign", "pause", found)),
    ]
    if not call.speech.confirm(told, f"Stop '{found}'?", yes=yes, dry_run=dry_run):
        return
    stopped = campaign_life.stop(call.context, found, call.now)
    call.speech.result(
        {
            "name": stopped.name,
            "state": "finished",
            "ended": stopped.ended,
            "cancelled": stopped.cancelled,
        },
        f"stopped campaign '{stopped.name}': {counted(stopped.ended, 'recipient')} ended, "
        f"{counted(stopped.cancelled, 'message')} cancelled",
    )
