"""`mailrotate slot unassign`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.params import read_id
from mailrotate.cli.slot.document import slot_row
from mailrotate.core.values.hint import Command

SlotId = Annotated[
    str, typer.Argument(metavar="SLOT", help="Id of the slot, like s_3.", autocompletion=completion.slots)
]


def unassign(ctx: typer.Context, slot: SlotId) -> None:
    """Return an empty purchased slot to the team's pool; its subscription continues.

    A slot that had a mailbox gets a new id in the pool; its history stays with the old id.

    Examples:

      mailrotate slot unassign s_3
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    slot_id = read_id(slot, "s", "slot")
    freed = slot_pool.unassign(call.context, slot_id, call.now)
    heir = "" if freed.id == slot_id else f", as s_{freed.id}"
    call.speech.result(
        {**slot_row(freed), "former": f"s_{slot_id}"},
        f"s_{slot_id} is back in the team's pool{heir}; it renews on {freed.renews_on}",
    )
    call.speech.next(Command("slot", "assign", "--for", "USER"))
