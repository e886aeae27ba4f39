"""`mailrotate db adopt`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted, localised, zoned
from mailrotate.cli.params import DryRun, Yes
from mailrotate.core.values.hint import AnyHint, Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.running.adopting import Adoption

_IN_PART = 8


def adopt(
    ctx: typer.Context,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept", help="Release the workspace even if the sent mail is incomplete or unreadable."
        ),
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Take over a database that was restored, copied or moved: first compares the sent mail of every mailbox.

    Until then the workspace sends nothing. Run it once on the new machine, after the old one has stopped.

    Examples:

      mailrotate db adopt

      mailrotate db adopt --accept --yes
    """
    from mailrotate.core.services.running import adopting

    call = call_of(ctx)
    standing = adopting.look(call.context, call.now)
    if standing.reason is None:
        call.speech.result({"released": True, "settled": 0}, "nothing to adopt: this database sent last")
        return
    since = zoned(standing.since, call.zone)
    consequences = [
        localised(standing.reason, call.zone),
        f"The sent mail of {counted(len(standing.mailboxes), 'mailbox', 'mailboxes')} since {since} is read, "
        "and what it shows is recorded as sent.",
        "From then on this database sends. No other copy of it may send: stop those first.",
    ]
    if not call.speech.confirm(consequences, "Adopt this database?", yes=yes, dry_run=dry_run):
        return
    done = adopting.adopt(call.context, accept, call.now)
    call.speech.result(_document(done), *_lines(done, call.zone))
    if not done.released:
        raise typer.Exit(_IN_PART)
    call.speech.next(Command("status"))


def _document(done: "Adoption") -> dict[str, object]:
    found = done.comparison
    return {
        "released": done.released,
        "since": done.since,
        "settled": len(found.settled),
        "held": [f"m_{message_id}" for message_id in found.doubtful],
        "missing": done.missing,
        "unknown": [vars(stranger) for stranger in found.strangers],
        "unread": [{"mailbox": address, "reason": reason} for address, reason in found.unread],
    }


def _lines(done: "Adoption", zone: str) -> Iterator[AnyHint]:
    found = done.comparison
    yield f"{counted(len(found.settled), 'message')} left since {zoned(done.since, zone)}; recorded as sent"
    for stranger in found.strangers:
        to, at = ", ".join(stranger.to), zoned(stranger.written_at, zone)
        yield f"not known here: {stranger.mailbox} wrote to {to} at {at}"
    if found.doubtful:
        held = counted(len(found.doubtful), "message")
        yield Hint(
            f"{held} may have left and now wait for you:", Command("outbox", "list", "--state", "held")
        )
    for address, reason in found.unread:
        yield f"the sent mail of {address} could not be read: {reason}"
    if done.missing:
        yield f"up to {counted(done.missing, 'more message')} may have left; no sent mail shows them"
    if done.released:
        yield "the workspace sends again"
    else:
        yield Hint(
            "nothing is sent. Mend what is named above and run this again, or, if you know what left:",
            Command("db", "adopt", "--accept"),
        )
