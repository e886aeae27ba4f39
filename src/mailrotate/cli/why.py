"""`mailrotate why`: what holds something back, and until when."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.hints import in_words
from mailrotate.cli.output import instant, localised, zoned
from mailrotate.core.values.hint import Command
from mailrotate.core.values.reasons import spoken

if TYPE_CHECKING:
    from mailrotate.core.services.views.explanation import ExplainedGate

Subject = Annotated[
    str,
    typer.Argument(
        metavar="MESSAGE_ID|MAILBOX|CAMPAIGN", help="What waits.", autocompletion=completion.anything
    ),
]


def why(
    ctx: typer.Context,
    subject: Subject,
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="ADDRESS", help="A recipient of the campaign.", autocompletion=completion.recipients
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show open gates too.")] = False,
) -> None:
    """Explain what holds back a message, recipient, campaign or mailbox, gate by gate, and until when.

    Examples:

      mailrotate why m_17

      mailrotate why autumn-intro kim@example.com

      mailrotate why anna@example.org --all
    """
    from mailrotate.core.services.views import explaining

    call = call_of(ctx)
    found = explaining.explain(call.context, subject, address, call.now)
    if call.speech.as_json:
        rows = [vars(gate) for gate in found.gates]
        if not any(gate.mailbox for gate in found.gates):
            rows = [{key: row[key] for key in ("gate", "open", "reason", "until")} for row in rows]
        call.speech.document({**vars(found), "gates": rows})
        return
    gates = found.gates if every else found.closed
    if gates:
        _show_gates(call, gates, with_open=every)
        call.speech.line()
    # The answer comes last, where it stays on the screen.
    call.speech.wrapped(f"{found.subject}: {localised(found.summary, call.zone)}", _INDENT)
    if found.remedy is not None:
        call.speech.line(f"next: {in_words(found.remedy)}")
    elif found.next_at is not None and found.next_at > call.now:
        earliest = "at the earliest " if found.ahead or found.needs_run else ""
        run = f", once `{in_words(Command('run'))}` works" if found.needs_run else ""
        call.speech.line(f"next: {earliest}{zoned(found.next_at, call.zone)}{run}")


# Of the further lines of an answer that is wider than the terminal.
_INDENT = 2
# The gate `pause` is the campaign's.
_NAMES = {"rest": "mailbox pause"}


def _show_gates(call: Call, gates: "Sequence[ExplainedGate]", *, with_open: bool) -> None:
    """The column `mailbox` where a campaign's senders are told apart, `open` where some are."""
    several = any(gate.mailbox for gate in gates)
    columns = (*(["mailbox"] * several), "gate", *(["open"] * with_open), f"until ({call.zone})", "reason")
    call.speech.table(
        columns,
        (
            (
                *([gate.mailbox] * several),
                _NAMES.get(gate.gate) or spoken(gate.gate),
                *([gate.open] * with_open),
                instant(gate.until, call.zone),
                localised(gate.reason, call.zone),
            )
            for gate in gates
        ),
        whole=True,
    )
