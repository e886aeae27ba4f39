"""`mailrotate campaign start|pause|resume|stop`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.options import From, Name, Rotate, read_rotation
from mailrotate.cli.hints import with_hint
from mailrotate.cli.output import counted, zoned
from mailrotate.cli.params import DryRun, Yes
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import AnyHint, Command, Hint

_DONE_IN_PART = 8

MaybeName = Annotated[
    str | None, typer.Argument(metavar="NAME", help="The campaign.", autocompletion=completion.campaigns)
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (start, pause, resume, stop):
        app.command()(command)


def start(ctx: typer.Context, name: Name, sender: From = None, rotate: Rotate = None) -> None:
    """Start a draft. From now on whether and how it rotates is fixed.

    Examples:

      mailrotate campaign start autumn-intro

      mailrotate campaign start autumn-intro --from anna@example.org --from ben@example.org
    """
    from mailrotate.core.services.campaigns import campaign_life

    call = call_of(ctx)
    started = campaign_life.start(call.context, name, sender or (), read_rotation(rotate), call.now)
    shares = ", ".join(f"{address} {count}" for address, count in started.assigned.items())
    call.speech.result(
        {
            "name": started.name,
            "state": "active",
            "rotation": started.rotation,
            "assigned": dict(started.assigned),
            "first_due_at": started.first_due_at,
        },
        f"started campaign '{started.name}': {shares}",
        f"first messages are due from {zoned(started.first_due_at, call.zone)}, inside the window",
    )
    call.speech.next(Command("run", "--once"))


def pause(ctx: typer.Context, name: Name) -> None:
    """Send nothing of it until it is resumed; everybody keeps their place.

    Examples:

      mailrotate campaign pause autumn-intro
    """
    from mailrotate.core.services.campaigns import campaign_life

    call = call_of(ctx)
    paused = campaign_life.pause(call.context, name, call.now)
    call.speech.result({"name": paused, "state": "paused"}, f"paused campaign '{paused}'")
    call.speech.next(Command("campaign", "resume", paused))


def resume(
    ctx: typer.Context,
    name: MaybeName = None,
    mailbox: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Every paused campaign that it sends for.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every paused campaign.")] = False,
) -> None:
    """Lift every reason of a pause. Refused while none of its senders is connected.

    Examples:

      mailrotate campaign resume autumn-intro

      mailrotate campaign resume --mailbox anna@example.org

      mailrotate campaign resume --all
    """
    from mailrotate.core.services.campaigns import campaign_life

    call = call_of(ctx)
    if sum((name is not None, mailbox is not None, everything)) != 1:
        raise BadInput(
            "campaign.which",
            "name one campaign, or --mailbox, or --all",
            Command("campaign", "resume", "NAME"),
        )
    if name is not None:
        done = campaign_life.resume(call.context, name, call.now)
    else:
        done = campaign_life.resume_many(call.context, mailbox, call.now)
    call.speech.result(
        {
            "resumed": list(done.names),
            "refused": [
                {"name": refused, "code": why.code, "message": why.message, "hint": why.hint}
                for refused, why in done.refused.items()
            ],
        },
        *(f"resumed campaign '{resumed}'" for resumed in done.names),
        *(() if done.names or done.refused else ("no campaign is paused",)),
    )
    for why in done.refused.values():
        call.speech.warn(with_hint(why))
    if done.refused:
        raise typer.Exit(_DONE_IN_PART)
    call.speech.next(Command("status"))


def stop(ctx: typer.Context, name: Name, yes: Yes = False, dry_run: DryRun = False) -> None:
    """End it for good: nobody in it is written to any more. To interrupt it, pause it.

    Examples:

      mailrotate campaign stop autumn-intro
    """
    from mailrotate.core.services.campaigns import campaign_life

    call = call_of(ctx)
    found, people = campaign_life.stoppable(call.context, name)
    still_open = counted(people, "person who is", "people who are")
    told: list[AnyHint] = [
        f"{still_open} still open in '{found}' will get nothing more; it cannot be started again",
        Hint("to interrupt it instead:", Command("campaign", "pause", found)),
    ]
    if not call.speech.confirm(told, f"Stop '{found}'?", yes=yes, dry_run=dry_run):
        return
    stopped = campaign_life.stop(call.context, found, call.now)
    call.speech.result(
        {
            "name": stopped.name,
            "state": "finished",
            "ended": stopped.ended,
            "cancelled": stopped.cancelled,
        },
        f"stopped campaign '{stopped.name}': {counted(stopped.ended, 'person', 'people')} ended, "
        f"{counted(stopped.cancelled, 'message')} cancelled",
    )
