"""The plan, and the slots that it includes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.users import referring_to
from mailrotate.core.values.states import SlotKind


@dataclass(frozen=True)
class StoredPlan:
    """What the workspace allows: slots for each user, messages per mailbox and day, how often it is read,
    whether a mailbox may be shared or be a role's address, and whether one is approved first."""

    slots_per_user: int
    daily_cap: int
    sync_every: timedelta
    shared_mailboxes: bool = False
    role_addresses: bool = False
    approval_required: bool = False


@dataclass(frozen=True)
class IncludedSlot:
    """`is_used` when a mailbox is or was in it: then campaigns and the history refer to it."""

    id: int
    is_used: bool


def find(connection: Connection) -> StoredPlan:
    row = connection.execute(select(t.plan)).one()
    return StoredPlan(
        row.slots_per_user,
        row.daily_cap,
        timedelta(seconds=row.sync_every_seconds),
        row.shared_mailboxes,
        row.role_addresses,
        row.approval_required,
    )


def change(connection: Connection, plan: StoredPlan) -> None:
    connection.execute(
        update(t.plan).values(
            slots_per_user=plan.slots_per_user,
            daily_cap=plan.daily_cap,
            sync_every_seconds=int(plan.sync_every.total_seconds()),
            shared_mailboxes=plan.shared_mailboxes,
            role_addresses=plan.role_addresses,
            approval_required=plan.approval_required,
        )
    )


def included_slots(connection: Connection, user_id: int) -> list[IncludedSlot]:
    query = (
        select(t.slot.c.id, referring_to(t.slot, t.slot.c.id))
        .where(t.slot.c.user_id == user_id, t.slot.c.kind == SlotKind.INCLUDED)
        .order_by(t.slot.c.id)
    )
    return [IncludedSlot(int(row[0]), bool(row[1])) for row in connection.execute(query)]


def insert_included(connection: Connection, user_id: int, now: datetime) -> int:
    inserted = connection.execute(
        insert(t.slot).values(user_id=user_id, kind=SlotKind.INCLUDED, created_at=now)
    )
    return int((inserted.inserted_primary_key or (0,))[0])


def delete_slot(connection: Connection, slot_id: int) -> None:
    """Only one to which nothing refers."""
    connection.execute(delete(t.slot).where(t.slot.c.id == slot_id))
