"""`mailrotate webhook list`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import instant
from mailrotate.cli.webhook.document import row_of
from mailrotate.core.values.hint import Command, Hint


def list_(ctx: typer.Context) -> None:
    """List webhooks: whether they work, what waits for them, and what was given up after 3 days.

    Examples:

      mailrotate webhook list

      mailrotate webhook list --json
    """
    from mailrotate.core.services.sending import webhook_endpoints

    call = call_of(ctx)
    zone = call.zone
    call.speech.listing(
        ("id", "url", "state", f"since ({zone})", "waiting", "given up", "events", "last error"),
        [row_of(endpoint) for endpoint in webhook_endpoints.listing(call.context)],
        lambda row: (
            row["id"], row["url"], row["state"],
            instant(row["off_at"] or row["failing_since"], zone),
            row["waiting"], row["given_up"], ", ".join(row["events"]), row["last_error"],
        ),
        Hint("no webhooks; to add one:", Command("webhook", "add", "URL")),
        drop=("events", "since", "given up", "waiting", "last error"),
    )  # fmt: skip
