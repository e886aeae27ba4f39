"""`mailrotate outbox cancel`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.outbox.several import MOST_TOLD, Ids, act_and_report, read_ids
from mailrotate.cli.output import counted
from mailrotate.cli.params import DryRun, Yes


def cancel(ctx: typer.Context, ids: Ids, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Cancel messages. Their recipients get no further messages from this campaign.

    Examples:

      mailrotate outbox cancel m_17 --dry-run

      mailrotate outbox cancel m_17 m_18 --yes
    """
    from mailrotate.core.services.views import outbox_actions

    call, numbers = call_of(ctx), read_ids(ids)
    possible = outbox_actions.cancellable(call.context, numbers)
    consequences = [f"{len(possible.done)} of {counted(len(numbers), 'message')} will not be sent."]
    consequences += ["Their recipients get no further messages from this campaign."]
    consequences += [f"m_{number} stays: {why}" for number, why in possible.refused[:MOST_TOLD]]
    if possible.done and not call.speech.confirm(consequences, "Cancel them?", yes=yes, dry_run=dry_run):
        return
    act_and_report(ctx, "cancelled", lambda call: outbox_actions.cancel(call.context, numbers, call.now))
