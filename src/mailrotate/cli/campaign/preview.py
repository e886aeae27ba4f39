"""`mailrotate campaign preview|test`: what a message looks like before anything is sent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.options import Name
from mailrotate.cli.output import Speech
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.previewing import Preview, TestSent

_REMOTE_SAID_NO = 5

Step = Annotated[int, typer.Option(min=1, help="Which step.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(preview)
    app.command("test")(send_test)


def preview(
    ctx: typer.Context,
    name: Name,
    to: Annotated[
        str | None, typer.Option(metavar="CONTACT", help="For whom; the first recipient unless named.")
    ] = None,
    step: Step = 1,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the HTML part to this file.")
    ] = None,
) -> None:
    """Show a message exactly as it would be sent. Without recipients, fields show their names.

    Examples:

      mailrotate campaign preview autumn-intro

      mailrotate campaign preview autumn-intro --to kim@example.com --step 2 --html step-2.html
    """
    from mailrotate.core.services.campaigns import previewing

    call = call_of(ctx)
    shown = previewing.preview(call.context, name, to, step, call.now)
    if html is not None:
        _write(html, shown.html)
    if call.speech.as_json:
        call.speech.document(_document(shown))
        return
    if shown.invented:
        call.speech.warn(f"the campaign has no recipients; {', '.join(shown.invented)} stand for theirs")
    call.speech.facts(
        (
            ("From", f"{shown.from_name} <{shown.from_address}>"),
            ("To", shown.to_address),
            ("Subject", shown.subject),
            *(("Attached", f"{filename} ({size} bytes)") for filename, size in shown.attachments),
        )
    )
    call.speech.line()
    call.speech.line(shown.text.rstrip("\n"))
    if html is not None:
        call.speech.say(f"wrote the HTML part to {html}")
    call.speech.next(Command("campaign", "test", shown.campaign, "--to", "YOUR-ADDRESS"))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as trouble:
        raise BadInput("preview.unwritable", f"cannot write {path}: {trouble.strerror}") from None


def _document(shown: "Preview") -> dict[str, object]:
    return {
        "campaign": shown.campaign,
        "step": shown.step,
        "from_name": shown.from_name,
        "from": shown.from_address,
        "to": shown.to_address,
        "subject": shown.subject,
        "text": shown.text,
        "html": shown.html,
        "attachments": [{"filename": filename, "bytes": size} for filename, size in shown.attachments],
        "bytes": shown.size,
        "invented": list(shown.invented),
    }


def send_test(
    ctx: typer.Context,
    name: Name,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Your own address.")],
    step: Step = 1,
    like: Annotated[
        str | None, typer.Option(metavar="CONTACT", help="Filled with this recipient's fields.")
    ] = None,
) -> None:
    """Send one message of a campaign to yourself, now, by the path that all messages take.

    It is not marked as a test: it shows what a recipient will receive. The mailbox's limits count it.

    Examples:

      mailrotate campaign test autumn-intro --to me@example.org

      mailrotate campaign test autumn-intro --to me@example.org --step 2 --like kim@example.com
    """
    from threading import Event

    from mailrotate.core.services.campaigns import previewing
    from mailrotate.core.services.sending.turn import Pace
    from mailrotate.core.values.states import MessageState

    call = call_of(ctx)
    pace = Pace(call.app.clock, Event().wait, stopping=lambda: False)
    with call.speech.progress("sending"):
        done = previewing.send_test(call.context, name, to, like, step, pace, call.now)
    _tell_sent(call.speech, done)
    if done.message.state not in (MessageState.SENT, MessageState.SCHEDULED):
        raise typer.Exit(_REMOTE_SAID_NO)


def _tell_sent(speech: Speech, done: "TestSent") -> None:
    from mailrotate.core.values.states import MessageState

    message = done.message
    told = f"m_{message.id} from {message.from_address} to {message.to_address}"
    words = {
        MessageState.SENT: f"sent {told}",
        MessageState.SCHEDULED: f"{told} waits in the outbox: {done.waits_because}",
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
