"""`mailrotate campaign preview`: what a message looks like before anything is sent."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.options import Name, Sender, Step
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.previewing import Preview

Shown = Annotated[
    str | None,
    typer.Option(
        metavar="CONTACT",
        help="Recipient to preview; default: the first one.",
        autocompletion=completion.recipients,
    ),
]


def preview(
    ctx: typer.Context,
    name: Name,
    to: Shown = None,
    step: Step = 1,
    sender: Sender = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the HTML part to this file.")
    ] = None,
) -> None:
    """Show a message exactly as it would be sent. Without recipients, fields appear as their names.

    Examples:

      mailrotate campaign preview autumn-intro

      mailrotate campaign preview autumn-intro --from ben@example.org

      mailrotate campaign preview autumn-intro --to kim@example.com --step 2 --html step-2.html
    """
    from mailrotate.core.services.campaigns import previewing

    call = call_of(ctx)
    shown = previewing.preview(call.context, name, to, step, call.now, sender)
    if html is not None:
        _write(html, shown.html)
    if call.speech.as_json:
        call.speech.document(_document(shown))
        return
    if shown.invented:
        call.speech.warn(f"the campaign has no recipients; placeholders: {', '.join(shown.invented)}")
    call.speech.facts(_heading(shown))
    call.speech.line()
    call.speech.line(shown.text.rstrip("\n"))
    if html is not None:
        call.speech.say(f"wrote the HTML part to {html}")
    call.speech.next(Command("campaign", "test", shown.campaign, "--to", "YOUR-ADDRESS"))


def _heading(shown: "Preview") -> list[tuple[str, object]]:
    place = f"step {shown.step} of {shown.steps}"
    if shown.people:
        place += f", recipient {shown.person} of {shown.people}"
    return [
        ("Preview", place),
        ("From", f"{shown.from_name} <{shown.from_address}>"),
        ("To", shown.to_address),
        ("Subject", shown.subject),
        *(("Attached", f"{filename} ({size} bytes)") for filename, size in shown.attachments),
    ]


def _write(path: Path, text: str) -> None:
    try:
        # A letter names its recipient: a new file is for the owner alone, whatever the umask.
        with open(path, "w", encoding="utf-8", opener=partial(os.open, mode=0o600)) as file:
            file.write(text)
    except OSError as trouble:
        raise BadInput("preview.unwritable", f"cannot write {path}: {trouble.strerror}") from None


def _document(shown: "Preview") -> dict[str, object]:
    return {
        "campaign": shown.campaign,
        "step": shown.step,
        "steps": shown.steps,
        "person": shown.person or None,
        "people": shown.people,
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
