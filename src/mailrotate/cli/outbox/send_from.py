"""`mailrotate outbox send-from`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.outbox.several import Ids, act_and_report, read_ids


def send_from(
    ctx: typer.Context,
    ids: Ids,
    sender: Annotated[
        str,
        typer.Option(
            "--from", metavar="ADDRESS", help="Mailbox to send from.", autocompletion=completion.mailboxes
        ),
    ],
) -> None:
    """Send waiting messages, and all later ones to their recipients, from another mailbox.

    Threads go on. The mailbox does not join the campaign's rotation.

    Examples:

      mailrotate outbox send-from m_17 m_18 --from ben@example.org
    """
    from mailrotate.core.services.views import outbox_senders

    numbers = read_ids(ids)
    act_and_report(
        ctx, "moved", lambda call: outbox_senders.send_from(call.context, numbers, sender, call.now)
    )
