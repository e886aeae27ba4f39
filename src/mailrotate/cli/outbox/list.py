"""`mailrotate outbox list`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.outbox.document import row_of
from mailrotate.cli.outbox.several import OfCampaign, OfMailbox
from mailrotate.cli.output import counted, instant
from mailrotate.cli.params import After, Limit, read_id
from mailrotate.cli.turns import cell_of, runner_works
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.reasons import answered, heard

_STATES = "draft|scheduled|sending|sent|error|held|cancelled"
_DROP = ("from", "step", "campaign", "error")
# The server's words are what a list of messages in error is read for.
_IN_ERROR_DROP = ("state", "from", "step", "campaign", "when")
_NONE_SUCH = Hint("no such messages; to see every message:", Command("outbox", "list"))
_NOTHING_PLANNED = Hint(
    "the outbox is empty: a runner plans each message when it is due; see:", Command("status")
)


def list_(
    ctx: typer.Context,
    state: Annotated[
        str | None,
        typer.Option(metavar=_STATES, help="In this state only.", autocompletion=completion.values(_STATES)),
    ] = None,
    mailbox: OfMailbox = None,
    campaign: OfCampaign = None,
    limit: Limit = None,
    after: After = None,
) -> None:
    """List messages in the order of planning, with the expected time of those that wait.

    Examples:

      mailrotate outbox list --state error

      mailrotate outbox list --campaign autumn-intro --limit 50 --json
    """
    from mailrotate.core.services.views import outbox_actions
    from mailrotate.core.values.states import MessageState

    call = call_of(ctx)
    if state is not None and state not in set(MessageState):
        raise BadInput("outbox.state", f"'{state}' is not a message state; known: {_STATES}")
    found = outbox_actions.listing(
        call.context,
        outbox_actions.Which(mailbox=mailbox, campaign=campaign),
        call.now,
        state=None if state is None else MessageState(state),
        after=None if after is None else read_id(after, "m", "message"),
        limit=limit,
    )
    zone, in_error, works = call.zone, state == MessageState.ERROR, runner_works(call)
    call.speech.listing(
        ("id", "state", "campaign", "step", "to", "from", f"when ({zone})", "error"),
        (row_of(expected) for expected in found),
        lambda row: _cells(row, call, works),
        _NONE_SUCH if state or mailbox or campaign or after else _NOTHING_PLANNED,
        drop=_IN_ERROR_DROP if in_error else _DROP,
        whole=in_error,
    )


def _cells(row: Mapping[str, Any], call: Call, works: bool) -> tuple[object, ...]:
    error = row["error"]
    return (
        row["id"],
        row["state"],
        row["campaign"] or row["kind"],
        row["step"],
        row["to"],
        row["from"],
        _when(row, call, works),
        error and (heard(error["message"] or "") or answered(error["class"])),
    )


def _when(row: Mapping[str, Any], call: Call, works: bool) -> str:
    """When it left or goes; of those that may go at one instant, the first alone goes then."""
    expected_at = row["expected_at"]
    if row["state"] != "scheduled":
        return instant(row["sent_at"], call.zone)
    if expected_at is None:
        return "after an action"
    if row["ahead"]:
        return f"after {counted(row['ahead'], 'other')}"
    return cell_of(expected_at, call, works)
