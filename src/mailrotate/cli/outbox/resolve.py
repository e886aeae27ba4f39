"""`mailrotate outbox resolve`."""

from typing import Annotated

import typer

from mailrotate.cli.outbox.several import Ids, act_and_report, read_ids
from mailrotate.core.values.errors import BadInput


def resolve(
    ctx: typer.Context,
    ids: Ids,
    sent: Annotated[
        bool | None, typer.Option("--sent/--not-sent", help="Whether they are in the mailbox's sent mail.")
    ] = None,
) -> None:
    """Settle held messages after a look into the mailbox's sent mail.

    Examples:

      mailrotate outbox resolve m_17 --sent

      mailrotate outbox resolve m_17 m_18 --not-sent
    """
    from mailrotate.core.services.views import outbox_actions

    if sent is None:
        raise BadInput(
            "outbox.fate", "add --sent or --not-sent", "look for the Message-ID in the mailbox's sent mail"
        )
    numbers = read_ids(ids)
    act_and_report(
        ctx, "resolved", lambda call: outbox_actions.resolve(call.context, numbers, sent, call.now)
    )
