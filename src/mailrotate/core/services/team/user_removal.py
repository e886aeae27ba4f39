"""Remove a user: what ends, what stays, and when it is refused (A10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import naming, seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.door import acting
from mailrotate.core.services.mailboxes import slot_pool
from mailrotate.core.services.team import user_admin
from mailrotate.core.store import events, plans, requests, workspaces
from mailrotate.core.store import slots as stored_slots
from mailrotate.core.store import users as stored_users
from mailrotate.core.store.events import About
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import SlotKind


@dataclass(frozen=True)
class Consequences:
    """What ends when a user is removed, and what stays.

    Included slots end, and purchased ones go back to the pool; the user's requests, approvals and shares end.
    Their campaigns stay, for managers and admins.
    """

    email: str
    included_slots: int
    purchased_slots: int
    requests: int
    shares: int
    campaigns: Sequence[str]


def consequences(context: Context, email: str) -> Consequences:
    """Say what `remove` would do, with the same refusals. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        user = _removable(connection, context, email)
        kinds = [slot.kind for slot in stored_slots.of_user(connection, user.id)]
        return Consequences(
            user.email,
            kinds.count(SlotKind.INCLUDED),
            kinds.count(SlotKind.PURCHASED),
            requests.current_count(connection, user.id),
            stored_users.shared_count(connection, user.id),
            stored_users.owned_campaigns(connection, user.id),
        )


def remove(context: Context, email: str, now: datetime) -> None:
    """Remove a user from all lists; the history keeps the name. Raises NotFound, Refused."""
    with acting(context, now) as (connection, now):
        workspaces.lock(connection)
        user = _removable(connection, context, email)
        for slot in plans.included_slots(connection, user.id):
            plans.take_slot(connection, slot, now)
        for purchased in stored_slots.of_user(connection, user.id):
            slot_pool.to_pool(connection, context, purchased, now)
        requests.end_of_user(connection, user.id, now)
        stored_users.remove(connection, user.id, now)
        events.record(connection, context.actor, "user.removed", now, About(), user=user.id, role=user.role)


def _removable(connection: Connection, context: Context, email: str) -> StoredUser:
    seats.require_deed(connection, context.actor, Deed.USERS)
    user = naming.find_user(connection, email)
    user_admin.refuse_last_admin(connection, user, "cannot be removed")
    boxes = user_admin.mailboxes_of(connection, user)
    if boxes:
        raise Refused(
            "user.has_mailbox",
            f"{user.email} still has mailboxes: {', '.join(box.address for box in boxes)}",
            Hint(
                Command("mailbox", "remove", boxes[0].address),
                ", or to stop everything that is sent from its mailboxes:",
                Command("user", "lock", user.email),
            ),
        )
    workspace = workspaces.find(connection)
    if workspace is not None and workspace.default_user_id == user.id:
        raise Refused(
            "user.default",
            f"{user.email} is the default user",
            Command("settings", "set", "default_user=EMAIL"),
        )
    return user
