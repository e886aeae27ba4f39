"""Options and report of commands that act on several messages."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.params import read_id
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.views.outbox_actions import Outcome

_DONE_IN_PART, _REFUSED = 8, 4
MOST_TOLD = 20
_MESSAGES: Any = typer.Argument(metavar="ID", help="Messages, like m_17.", autocompletion=completion.messages)
Ids = Annotated[list[str], _MESSAGES]
SomeIds = Annotated[list[str] | None, _MESSAGES]
OfMailbox = Annotated[
    str | None,
    typer.Option(
        "--mailbox", metavar="ADDRESS", help="Messages of this mailbox.", autocompletion=completion.mailboxes
    ),
]
OfCampaign = Annotated[
    str | None,
    typer.Option(
        "--campaign", metavar="NAME", help="Messages of this campaign.", autocompletion=completion.campaigns
    ),
]


def read_ids(ids: Sequence[str] | None) -> list[int]:
    return list(dict.fromkeys(read_id(text, "m", "message") for text in ids or ()))


def act_and_report(ctx: typer.Context, done: str, act: "Callable[[Any], Outcome]") -> None:
    """Run an action on several messages and report; exit status 4 if none succeeded, 8 if only some did."""
    call = call_of(ctx)
    outcome = act(call)
    if outcome.refused and not outcome.done and len(outcome.refused) == 1:
        number, why = outcome.refused[0]
        raise Refused(
            "outbox.refused", f"m_{number} was not {done}: {why}", Command("outbox", "show", f"m_{number}")
        )
    report = {
        done: len(outcome.done),
        "ids": [f"m_{number}" for number in outcome.done],
        "refused": [{"id": f"m_{number}", "reason": why} for number, why in outcome.refused],
    }
    told = [f"m_{number} is not: {why}" for number, why in outcome.refused[:MOST_TOLD]]
    if len(outcome.refused) > MOST_TOLD:
        told.append(f"… and {len(outcome.refused) - MOST_TOLD} more; --json lists them all")
    call.speech.result(
        report, f"{done} {len(outcome.done)} of {len(outcome.done) + len(outcome.refused)}", *told
    )
    if outcome.refused:
        raise typer.Exit(_DONE_IN_PART if outcome.done else _REFUSED)
