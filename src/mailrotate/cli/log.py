"""`mailrotate log`: everything that happened."""

import threading
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.logged import print_line, stream_line
from mailrotate.cli.output import Speech
from mailrotate.cli.params import read_instant
from mailrotate.core.values.duration import parse_duration
from mailrotate.core.values.errors import BadInput

if TYPE_CHECKING:
    from mailrotate.core.services.views.logbook import Wanted
    from mailrotate.core.store.events import LoggedEvent

_POLL_SECONDS = 1.0
_NEWEST = 100

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show new events as they happen; Ctrl-C ends.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="DURATION|INSTANT", help="Time of the oldest event, like 2h or 2026-12-01 09:00."),
]
Until = Annotated[
    str | None, typer.Option(metavar="DURATION|INSTANT", help="Time before which the events happened.")
]
OfMailbox = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Mailbox that the events are about.", autocompletion=completion.mailboxes
    ),
]
OfCampaign = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Campaign that the events are about.", autocompletion=completion.campaigns
    ),
]
ByUser = Annotated[
    str | None,
    typer.Option(metavar="EMAIL", help="User who caused the events.", autocompletion=completion.users),
]
OfUser = Annotated[
    str | None,
    typer.Option(
        metavar="EMAIL",
        help="User that the events are about, with their slots and mailboxes.",
        autocompletion=completion.users,
    ),
]
Beginning = Annotated[
    str | None,
    typer.Option(metavar="BEGINNING", help="Beginning of the action, like user. or mailbox.set."),
]
AtMost = Annotated[
    int | None,
    typer.Option(min=1, help="Number of events: the newest, or the first after --after.", show_default="100"),
]
AfterLine = Annotated[
    int | None,
    typer.Option(min=0, metavar="ID", help="Event after which the list begins; it has no limit then."),
]


def log(
    ctx: typer.Context,
    follow: Follow = False,
    since: Since = None,
    until: Until = None,
    mailbox: OfMailbox = None,
    campaign: OfCampaign = None,
    by: ByUser = None,
    user: OfUser = None,
    action: Beginning = None,
    limit: AtMost = None,
    after: AfterLine = None,
) -> None:
    """The event log: who did what, and what came of it. Contacts appear by id only.

    Examples:

      mailrotate log --since 2h

      mailrotate log --by anna@example.org --action mailbox. --since 2w --until 3d

      mailrotate log --follow --campaign autumn-intro --json
    """
    from mailrotate.core.services.views import logbook

    call = call_of(ctx)
    wanted = logbook.Wanted(mailbox, campaign, by, user, action, _instant(call, since), _instant(call, until))
    limit = limit if limit or after is not None else _NEWEST
    if follow:
        _follow(call, wanted, after, limit)
        return
    with logbook.listing(call.context, wanted, after=after, limit=limit) as lines:
        if call.speech.as_json:
            call.speech.listing((), map(logbook.as_row, lines), lambda _row: ())
        else:
            _print(lines, call.zone, call.speech)


def _print(lines: "Iterable[LoggedEvent]", zone: str, speech: Speech) -> None:
    """Print the lines; their heading goes to stderr, so that stdout holds only log lines."""
    number = 0
    for number, line in enumerate(lines, start=1):
        if number == 1:
            speech.say(f"times in {zone}")
        print_line(speech, line, zone)
    if not number:
        speech.say("nothing was logged")


def _follow(call: Call, wanted: "Wanted", after: int | None, limit: int | None) -> None:
    from mailrotate.core.services.views import logbook

    follower = logbook.Follower(call.context, wanted)
    pause = threading.Event()
    if not call.speech.as_json:
        call.speech.say(f"times in {call.zone}; Ctrl-C ends it")

    def show(lines: "Iterable[LoggedEvent]") -> None:
        for line in lines:
            stream_line(call.speech, line, call.zone)

    with logbook.listing(call.context, wanted, after=after, limit=limit) as lines:
        show(line for line in lines if line.id <= follower.began_at)
    while True:
        pause.wait(_POLL_SECONDS)
        show(follower.news())


def _instant(call: Call, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return call.now - parse_duration(text)
    except BadInput:
        pass
    try:
        return read_instant(text, call.zone)
    except BadInput as trouble:
        raise BadInput(trouble.code, trouble.message, f"{trouble.hint}, or how long ago, like 2h") from None
