"""Grace periods: which mailboxes may still return to a slot, and what ends the wait (A5, B8, C11)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.grace import has_passed
from mailrotate.core.rules.transitions import DEADLINE
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import deadlines
from mailrotate.core.store.deadlines import AwaitedReturn
from mailrotate.core.values.errors import ConfirmationNeeded


def awaited_returns(
    context: Context, address: str, user_email: str | None, slot_id: int | None, now: datetime
) -> Sequence[AwaitedReturn]:
    """Find the mailboxes for which the slot that `address` would take is reserved (A5).

    Raises Refused, NotFound.
    """
    with context.store.reading() as connection:
        seat = seats.seat_for(connection, context.actor, address, user_email, slot_id)
        return awaited_in(connection, seat.slot_id, address, now)


def awaited_in(connection: Connection, slot_id: int, but: str, now: datetime) -> list[AwaitedReturn]:
    """Find the mailboxes for which a slot is reserved, except the address `but`."""
    return [
        awaited
        for awaited in deadlines.awaited_in(connection, slot_id, but)
        if not has_passed(awaited.ends_at, now)
    ]


def refuse_awaited(connection: Connection, slot_id: int, address: str, now: datetime) -> None:
    """Refuse a slot whose grace began after the user confirmed (A5)."""
    for awaited in awaited_in(connection, slot_id, address, now):
        raise ConfirmationNeeded(
            "slot.awaited",
            f"s_{slot_id} is reserved for {awaited.mailbox}, whose campaigns can still resume there",
            "add --yes to take it anyway",
        )


def end_with_mailbox(connection: Connection, mailbox_id: int, now: datetime) -> None:
    """End the grace periods of a removed mailbox (B8)."""
    deadlines.end_of_mailbox(connection, DEADLINE["mailbox_removed"], mailbox_id, now)
