"""Slots: how many mailboxes a user may connect, and how many are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.rules.renewal import month_later
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services import naming, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import events, slots
from mailrotate.core.store.events import About
from mailrotate.core.store.slots import StoredSlot
from mailrotate.core.values.errors import BadInput

_MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class UserSlots:
    """One user's slots (A3); `connected` counts those whose mailbox is connected or failed."""

    user: str
    default: str | None
    slots: Sequence[StoredSlot]

    @property
    def connected(self) -> int:
        return sum(slot.mailbox is not None for slot in self.slots)

    @property
    def total(self) -> int:
        return len(self.slots)


def listing(context: Context) -> list[UserSlots]:
    """Every user with their slots, in the order in which users were added."""
    with context.store.reading() as connection:
        return [
            UserSlots(email, default, slots.of_user(connection, user_id))
            for user_id, email, default in slots.users(connection)
        ]


def add(context: Context, email: str, count: int, now: datetime) -> UserSlots:
    """Buy slots and assign them to a user, in one step (A2); each renews a month from now.

    Raises BadInput (`slot.count`), NotFound (`user.none`), Refused (`user.…`).
    """
    if not 0 < count <= _MOST_AT_ONCE:
        raise BadInput("slot.count", f"--count must be from 1 to {_MOST_AT_ONCE}, not {count}")
    with context.store.writing() as connection:
        user = naming.find_user(connection, email)
        seats.require_deed(connection, context.actor, Deed.SLOTS)
        renews_on = month_later(now.date(), now.day)
        for _ in range(count):
            slot_id = slots.insert_purchased(connection, user.id, renews_on, now)
            events.record(connection, context.actor, "slot.added", now, About(), slot=slot_id, user=user.id)
    return next(found for found in listing(context) if found.user == user.email)
