"""`mailrotate why`: what holds something back, and until when."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.hints import in_words
from mailrotate.cli.output import instant, localised, zoned

Subject = Annotated[
    str,
    typer.Argument(
        metavar="MESSAGE_ID|MAILBOX|CAMPAIGN", help="What waits.", autocompletion=completion.anything
    ),
]


def why(
    ctx: typer.Context,
    subject: Subject,
    address: Annotated[str | None, typer.Argument(help="A recipient of the campaign.")] = None,
) -> None:
    """Explain what holds back a message, recipient, campaign or mailbox, gate by gate, and until when.

    Examples:

      mailrotate why m_17

      mailrotate why autumn-intro kim@example.com

      mailrotate why anna@example.org --json
    """
    from mailrotate.core.services.views import explaining

    call = call_of(ctx)
    found = explaining.explain(call.context, subject, address, call.now)
    if call.speech.as_json:
        gates = [vars(gate) for gate in found.gates]
        if not any(gate.mailbox for gate in found.gates):
            gates = [{key: gate[key] for key in ("gate", "open", "reason", "until")} for gate in gates]
        call.speech.document({**vars(found), "gates": gates})
        return
    call.speech.line(f"{found.subject}: {localised(found.summary, call.zone)}")
    if found.remedy is not None:
        call.speech.line(f"next: {in_words(found.remedy)} (gate {found.binding})")
    elif found.next_at is not None and found.next_at > call.now:
        call.speech.line(f"next: {zoned(found.next_at, call.zone)} (gate {found.binding})")
    call.speech.line()
    columns = ["gate", "open", f"until ({call.zone})", "reason"]
    several = any(gate.mailbox for gate in found.gates)
    call.speech.table(
        ["mailbox", *columns] if several else columns,
        (
            (
                *((gate.mailbox,) if several else ()),
                gate.gate,
                gate.open,
                instant(gate.until, call.zone),
                localised(gate.reason, call.zone),
            )
            for gate in found.gates
        ),
    )
