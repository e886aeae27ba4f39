"""`mailrotate outbox release`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.outbox.several import OfCampaign, SomeIds, act_and_report, read_ids
from mailrotate.cli.output import counted
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command


def release(ctx: typer.Context, ids: SomeIds = None, campaign: OfCampaign = None) -> None:
    """Send messages that were parked because they are late.

    Examples:

      mailrotate outbox release m_17

      mailrotate outbox release --campaign autumn-intro
    """
    from mailrotate.core.services.views import outbox_actions

    if bool(ids) == (campaign is not None):
        raise BadInput("outbox.which", "name messages, or --campaign", Command("outbox", "list"))
    if campaign is None:
        act_and_report(
            ctx, "released", lambda call: outbox_actions.release(call.context, read_ids(ids), call.now)
        )
        return
    call = call_of(ctx)
    count = outbox_actions.release_campaign(call.context, campaign, call.now)
    call.speech.result(
        {"campaign": campaign, "released": count},
        f"released {campaign}: {counted(count, 'message')} waiting; recipients due meanwhile follow",
    )
    call.speech.next(Command("why", campaign))
