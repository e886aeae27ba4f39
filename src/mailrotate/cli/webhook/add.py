"""`mailrotate webhook add`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.webhook.document import print_secret
from mailrotate.core.values.hint import Command
from mailrotate.core.values.webhook import OFFERED

_EVENTS = "|".join(("all", *OFFERED))


def add(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to post: https, or http on this machine.")],
    event: Annotated[
        list[str],
        typer.Option(
            metavar="EVENT",
            help=f"Event to report; can be repeated: {_EVENTS.replace('|', ', ')}.",
            autocompletion=completion.values(_EVENTS),
        ),
    ],
) -> None:
    """Add a webhook, and show its signing secret once. Posts are signed as Standard Webhooks says.

    Examples:

      mailrotate webhook add https://example.com/hooks --event mailbox.failed --event mailbox.recovered

      mailrotate webhook add https://example.com/hooks --event all --json
    """
    from mailrotate.core.services.sending import webhook_endpoints

    call = call_of(ctx)
    made = webhook_endpoints.add(call.context, url, event, call.now)
    name = f"w_{made.endpoint.hook.id}"
    print_secret(call.speech, made, f"added {name}")
    call.speech.next(Command("webhook", "test", name))
