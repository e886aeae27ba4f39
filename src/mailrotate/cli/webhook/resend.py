"""`mailrotate webhook resend`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.params import read_instant
from mailrotate.cli.webhook.document import number_of
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command


def resend(
    ctx: typer.Context,
    webhook: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A webhook, like w_1, or one delivery by its webhook-id, like msg_….",
            autocompletion=completion.webhooks,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Repeat every event since this time, delivered or not."),
    ] = None,
) -> None:
    """Post events again, with the same ids: those that a webhook was not told of, or all since a time.

    Examples:

      mailrotate webhook resend w_1

      mailrotate webhook resend --since "2026-12-01 09:00"
    """
    from mailrotate.core.services.sending import webhook_endpoints
    from mailrotate.core.store.webhooks import Again

    call = call_of(ctx)
    if webhook is None and since is None:
        raise BadInput(
            "webhook.what", "say what to post again: an id, or --since", Command("webhook", "list")
        )
    is_delivery = webhook is not None and webhook.startswith("msg_")
    again = Again(
        None if webhook is None or is_delivery else number_of(webhook),
        webhook if is_delivery else None,
        None if since is None else read_instant(since, call.zone),
    )
    count = webhook_endpoints.resend(call.context, again, call.now)
    call.speech.result({"queued": count}, f"{counted(count, 'event')} queued again")
    if count:
        call.speech.next(Command("run", "--once", "--only", "notify"))
