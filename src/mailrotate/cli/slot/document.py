"""Slots as JSON, and the option for their number."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.slot_pool import Slot, UserSlots

Count = Annotated[int, typer.Option(help="How many.")]


def row_of(user: "UserSlots") -> dict[str, Any]:
    return {
        "user": user.user,
        "connected": user.connected,
        "total": user.total,
        "default": user.default,
        "slots": slot_rows(user.slots),
    }


def slot_rows(slots: "Sequence[Slot]") -> list[dict[str, Any]]:
    return [slot_row(slot) for slot in slots]


def slot_row(slot: "Slot") -> dict[str, Any]:
    return {"id": f"s_{slot.id}", "kind": slot.kind, "renews_on": slot.renews_on, "mailbox": slot.mailbox}


def slot_cells(slot: "Slot") -> tuple[object, ...]:
    return tuple(slot_row(slot).values())
