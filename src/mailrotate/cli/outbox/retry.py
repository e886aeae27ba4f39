"""`mailrotate outbox retry`."""

from typing import Annotated

import typer

from mailrotate.cli.outbox.several import OfCampaign, OfMailbox, SomeIds, act_and_report, read_ids
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command


def retry(
    ctx: typer.Context,
    ids: SomeIds = None,
    mailbox: OfMailbox = None,
    campaign: OfCampaign = None,
    every: Annotated[bool, typer.Option("--all", help="All that are in error.")] = False,
) -> None:
    """Queue messages in error again.

    Examples:

      mailrotate outbox retry m_17

      mailrotate outbox retry --mailbox anna@example.org
    """
    from mailrotate.core.services.views import outbox_actions

    if sum((bool(ids), mailbox is not None, campaign is not None, every)) != 1:
        raise BadInput(
            "outbox.which", "name messages, or one of --mailbox, --campaign, --all", Command("outbox", "list")
        )
    which = outbox_actions.Which(read_ids(ids), mailbox, campaign)
    act_and_report(ctx, "retried", lambda call: outbox_actions.retry(call.context, which, call.now))
