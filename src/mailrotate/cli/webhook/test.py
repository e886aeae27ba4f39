"""`mailrotate webhook test`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.webhook.document import WebhookId, number_of, row_of


def test(ctx: typer.Context, webhook: WebhookId) -> None:
    """Post a test event now. A webhook that takes it is on again, and tried at once.

    Examples:

      mailrotate webhook test w_1
    """
    from mailrotate.core.services.sending import webhook_endpoints

    call = call_of(ctx)
    tested = webhook_endpoints.test(call.context, number_of(webhook), call.now)
    call.speech.result(row_of(tested), f"w_{tested.hook.id} took the test event")
