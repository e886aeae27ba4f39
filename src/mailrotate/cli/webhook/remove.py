"""`mailrotate webhook remove`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.webhook.document import WebhookId, number_of, row_of


def remove(ctx: typer.Context, webhook: WebhookId) -> None:
    """Remove a webhook. Events that wait for it are dropped.

    Examples:

      mailrotate webhook remove w_1
    """
    from mailrotate.core.services.sending import webhook_endpoints

    call = call_of(ctx)
    removed = webhook_endpoints.remove(call.context, number_of(webhook), call.now)
    dropped = removed.queue.waiting
    also = f"; {counted(dropped, 'waiting event')} dropped" if dropped else ""
    call.speech.result(row_of(removed), f"removed w_{removed.hook.id}{also}")
