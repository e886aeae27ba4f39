"""`mailrotate slot buy`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.slot.document import Count, slot_rows
from mailrotate.core.values.hint import Command


def buy(ctx: typer.Context, count: Count = 1) -> None:
    """Buy slots for the team's pool; each renews automatically every month.

    Examples:

      mailrotate slot buy --count 3
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    bought = slot_pool.buy(call.context, count, call.now)
    call.speech.result(
        {"bought": slot_rows(bought)},
        f"bought {counted(count, 'slot')} for the team's pool; renews on {bought[0].renews_on}",
    )
    call.speech.next(Command("slot", "assign", "--for", "USER"))
