"""Webhooks as JSON, their argument, and the one time that a secret is shown."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.output import Speech
from mailrotate.cli.params import read_id

if TYPE_CHECKING:
    from mailrotate.core.services.sending.webhook_endpoints import WithSecret
    from mailrotate.core.services.sending.webhook_health import Endpoint

WebhookId = Annotated[
    str,
    typer.Argument(metavar="ID", help="The webhook, like w_1.", autocompletion=completion.webhooks),
]


def number_of(text: str) -> int:
    return read_id(text, "w", "webhook")


def row_of(endpoint: "Endpoint") -> dict[str, Any]:
    hook = endpoint.hook
    return {
        "id": f"w_{hook.id}",
        "url": hook.url,
        "events": list(hook.events),
        "state": endpoint.state,
        "waiting": endpoint.queue.waiting,
        "given_up": endpoint.queue.given_up,
        "failing_since": hook.failing_since,
        "off_at": hook.off_at,
        "next_try_at": hook.rests_until,
        "last_error": hook.last_error,
        "last_delivered_at": hook.delivered_at,
        "created_at": hook.created_at,
    }


def print_secret(speech: Speech, made: "WithSecret", done: str) -> None:
    """Show a new secret, on standard output alone."""
    secret = made.secret.reveal()
    row = row_of(made.endpoint) | {"secret": secret, "former_secret_until": made.former_until}
    speech.result(row, secret)
    speech.say(f"{done}; the signing secret is shown only once; give it to the receiver")
