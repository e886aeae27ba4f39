"""`mailrotate webhook rotate`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import zoned
from mailrotate.cli.webhook.document import WebhookId, number_of, print_secret


def rotate(ctx: typer.Context, webhook: WebhookId) -> None:
    """Give a webhook a new signing secret, shown once. For 24 hours the present one signs too.

    Examples:

      mailrotate webhook rotate w_1
    """
    from mailrotate.core.services.sending import webhook_endpoints

    call = call_of(ctx)
    made = webhook_endpoints.rotate(call.context, number_of(webhook), call.now)
    assert made.former_until is not None
    until = zoned(made.former_until, call.zone)
    print_secret(call.speech, made, f"w_{made.endpoint.hook.id}: both secrets sign until {until}")
