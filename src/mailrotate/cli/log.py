"""`mailrotate log`: everything that happened."""

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.lazy import MARKUP
from mailrotate.cli.output import Speech, instant
from mailrotate.cli.params import Json, read_instant
from mailrotate.core.values.duration import parse_duration
from mailrotate.core.values.errors import BadInput

if TYPE_CHECKING:
    from datetime import datetime

    from mailrotate.core.store.events import LoggedEvent

app = typer.Typer(
    add_completion=False, rich_markup_mode=MARKUP, context_settings={"help_option_names": ["-h", "--help"]}
)

_POLL_SECONDS = 1.0

OfMailbox = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Of this mailbox only.", autocompletion=completion.mailboxes),
]
OfCampaign = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of this campaign only.", autocompletion=completion.campaigns),
]


@app.command()
def log(
    ctx: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on as things happen; Ctrl-C ends.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="DURATION|INSTANT", help="Nothing older, like 2h or 2026-12-01 09:00."),
    ] = None,
    mailbox: OfMailbox = None,
    campaign: OfCampaign = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many at most, the newest.")] = 100,
    as_json: Json = False,
) -> None:
    """The event log: who did what, and what came of it. People appear by id only.

    Examples:

      mailrotate log --since 2h

      mailrotate log --follow --campaign autumn-intro --json
    """
    from mailrotate.core.services import logbook

    call, speech = call_of(ctx), Speech(as_json)
    mailbox, campaign = logbook.real_names(call.context, mailbox, campaign)
    wanted = logbook.Wanted(mailbox, campaign, None if since is None else _instant(call, since))
    if not follow:
        rows = logbook.latest(call.context, wanted, limit)
        if as_json:
            speech.listing((), (logbook.as_row(line) for line in rows), lambda _row: ())
        else:
            speech.say(f"times in {call.zone}" if rows else "nothing was logged")
        for line in () if as_json else rows:
            speech.line(_text(line, call.zone))
        return
    follower = logbook.Follower(call.context)
    lines = [line for line in logbook.latest(call.context, wanted, limit) if line.id <= follower.began_at]
    pause = threading.Event()
    if not as_json:
        speech.say(f"times in {call.zone}; Ctrl-C ends it")
    while True:
        for line in lines:
            speech.stream(logbook.as_row(line), _text(line, call.zone))
        pause.wait(_POLL_SECONDS)
        lines = list(logbook.that_fit(follower.news(), wanted))


def _instant(call: Call, text: str) -> "datetime":
    try:
        return call.now - parse_duration(text)
    except BadInput:
        pass
    try:
        return read_instant(text, call.zone)
    except BadInput as trouble:
        raise BadInput(trouble.code, trouble.message, f"{trouble.hint}, or how long ago, like 2h") from None


def _text(line: "LoggedEvent", zone: str) -> str:
    about = [line.mailbox, line.campaign]
    about += [f"r_{line.recipient_id}" if line.recipient_id else None]
    about += [f"m_{line.message_id}" if line.message_id else None]
    said = [f"{key}={value}" for key, value in line.data.items() if value is not None]
    who = [] if line.actor is None else [f"by {line.actor}"]
    words = [instant(line.at, zone), f"{line.action:<22}", *(word for word in about if word), *said, *who]
    return "  ".join(words).replace("\n", " ").rstrip()
