"""`mailrotate runner`: the running processes of this workspace, and the clock they trust."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import counted, instant, zoned
from mailrotate.cli.params import DryRun, Yes
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.running.clock_acceptance import ClockView

app = noun("List the runners, and take the present clock.", __name__, "list", "clock")


def list_(ctx: typer.Context) -> None:
    """List the processes that send, also those that died unexpectedly.

    Examples:

      mailrotate runner list
    """
    from mailrotate.core.services.sending import runners

    call = call_of(ctx)
    rows = [{**vars(found), "id": f"run_{found.id}"} for found in runners.listing(call.context)]
    call.speech.listing(
        ("id", "kind", "host", "pid", f"started ({call.zone})", "alive"),
        rows,
        lambda r: (r["id"], _kind(r), r["host"], r["pid"], instant(r["started_at"], call.zone), r["alive"]),
        Hint("no runner is running; to start one:", Command("run")),
        drop=("kind", "host"),
    )


def _kind(row: Mapping[str, Any]) -> str:
    return f"{row['kind']}, only {row['only']}" if row["only"] else str(row["kind"])


def clock(
    ctx: typer.Context,
    accept: Annotated[
        bool,
        typer.Option("--accept", help="Take the present clock after one that was ahead, or after a jump."),
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Show what the clock guard knows; with --accept, take the present clock.

    Examples:

      mailrotate runner clock

      mailrotate runner clock --accept
    """
    from mailrotate.core.services.running import clock_acceptance

    call = call_of(ctx)
    found = clock_acceptance.look(call.context, call.now)
    document = {
        "now": found.now,
        "database_now": found.database_now,
        "latest_acted_at": found.ahead.latest_at,
        "trusted": found.distrust is None,
        "reason": None if found.distrust is None else found.distrust.reason,
    }
    if not accept:
        call.speech.result(document, *_known(found, call.zone))
        return
    if not found.may_be_accepted:
        call.speech.result(document, "nothing to accept: nothing was recorded later than now")
        return
    if not call.speech.confirm(
        _consequences(found, call.zone), "Take the present clock?", yes=yes, dry_run=dry_run
    ):
        return
    taken = clock_acceptance.accept(call.context, call.now)
    call.speech.result(
        {**document, "trusted": True, "reason": None, "messages": taken.messages},
        f"the present clock counts: {zoned(found.now, call.zone)}",
    )
    call.speech.next(Command("status"))


def _known(found: "ClockView", zone: str) -> list[str]:
    latest = "nothing yet" if found.ahead.latest_at is None else zoned(found.ahead.latest_at, zone)
    server = [] if found.database_now is None else [f"the database server: {zoned(found.database_now, zone)}"]
    verdict = "the clock is believed" if found.distrust is None else found.distrust.reason
    return [f"this machine: {zoned(found.now, zone)}", *server, f"latest instant acted on: {latest}", verdict]


def _consequences(found: "ClockView", zone: str) -> list[str]:
    """List what accepting the clock does: after a jump, and after a clock that was ahead."""
    lines = [f"Now it is {zoned(found.now, zone)}."]
    if found.distrust is not None:
        lines.append(f"{found.distrust.reason[0].upper()}{found.distrust.reason[1:]}.")
    if found.passed:
        deadlines, people = counted(found.passed, "deadline"), counted(found.people, "recipient")
        lines.append(f"{deadlines} of {people} passed by this clock; accepting it settles them permanently.")
    if found.is_ahead:
        lines += [
            f"The latest instant acted on is {zoned(found.ahead.latest_at, zone)}.",
            f"{counted(found.ahead.messages, 'message')} recorded after now will count as sent now, "
            "also for the daily limits; their follow-ups wait their delay from now.",
            "Rests between messages that run longer than now end; inboxes are read and connections tested "
            "first.",
            "Holds after a limit keep their end, and the log keeps the wrong instants.",
        ]
    return lines
