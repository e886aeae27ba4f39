"""`mailrotate campaign test`: one message to yourself."""

from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.options import Name, Sender, Step
from mailrotate.cli.output import Speech, localised
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.previewing import TestSent

_REMOTE_SAID_NO, _DONE_IN_PART = 5, 8


def test(
    ctx: typer.Context,
    name: Name,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Your own address.")],
    step: Step = 1,
    sender: Sender = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="CONTACT",
            help="Recipient whose fields fill the message.",
            autocompletion=completion.recipients,
        ),
    ] = None,
) -> None:
    """Send one message of a campaign to yourself now, through the same path as every message.

    It is not marked as a test: it shows what a recipient will receive. The mailbox's limits count it.

    Examples:

      mailrotate campaign test autumn-intro --to me@example.org

      mailrotate campaign test autumn-intro --to me@example.org --step 2 --like kim@example.com
    """
    from threading import Event

    from mailrotate.core.services.campaigns import previewing
    from mailrotate.core.services.sending.pace import Pace
    from mailrotate.core.values.states import MessageState

    call = call_of(ctx)
    pace = Pace(call.app.clock, Event().wait, stopping=lambda: False)
    with call.speech.progress("sending"):
        done = previewing.send_test(call.context, name, to, like, step, pace, call.now, sender)
    _tell_sent(call.speech, done, call.zone)
    if done.message.state not in (MessageState.SENT, MessageState.SCHEDULED):
        raise typer.Exit(_REMOTE_SAID_NO)
    if done.is_held_back:
        call.speech.warn(
            Hint(
                "nothing was sent yet; to see what it waits for:",
                Command("why", f"m_{done.message.id}"),
                "; to take it back:",
                Command("outbox", "cancel", f"m_{done.message.id}"),
            )
        )
        raise typer.Exit(_DONE_IN_PART)


def _tell_sent(speech: Speech, done: "TestSent", zone: str) -> None:
    from mailrotate.core.values.states import MessageState

    message = done.message
    told = f"m_{message.id} from {message.from_address} to {message.to_address}"
    words = {
        MessageState.SENT: f"sent {told}",
        MessageState.SCHEDULED: f"{told} waits in the outbox: {localised(done.waits_because or '', zone)}",
    }.get(message.state, f"{told}: {message.state}: {message.error_text}")
    speech.result(
        {
            "id": f"m_{message.id}",
            "state": message.state,
            "from": message.from_address,
            "to": message.to_address,
            "subject": message.subject,
            "message_id": message.message_id,
            "sent_at": message.sent_at,
            "waits_because": done.waits_because,
            "error": message.error_text,
        },
        words,
    )
