"""`mailrotate campaign pause`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.options import Name
from mailrotate.core.values.hint import Command


def pause(ctx: typer.Context, name: Name) -> None:
    """Pause a campaign: it sends nothing until it is resumed, and recipients keep their place.

    Examples:

      mailrotate campaign pause autumn-intro
    """
    from mailrotate.core.services.campaigns import campaign_life

    call = call_of(ctx)
    paused = campaign_life.pause(call.context, name, call.now)
    call.speech.result({"name": paused, "state": "paused"}, f"paused campaign '{paused}'")
    call.speech.next(Command("campaign", "resume", paused))
