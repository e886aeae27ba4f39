"""The plan, and the slots that it includes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, exists, insert, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.users import referring_to
from mailrotate.core.values.states import CampaignState, SlotKind


@dataclass(frozen=True)
class StoredPlan:
    """What the workspace allows: slots per user, messages per mailbox and day, how often inboxes are read,
    shared mailboxes, role addresses, and whether a mailbox needs approval."""

    slots_per_user: int
    daily_cap: int
    sync_every: timedelta
    shared_mailboxes: bool = False
    role_addresses: bool = False
    approval_required: bool = False


@dataclass(frozen=True)
class IncludedSlot:
    """`is_used` while a mailbox is in it or may return to it, or an unfinished campaign sends from it."""

    id: int
    is_used: bool
    has_history: bool


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
    s, c, sender = t.slot.c, t.connection.c, t.campaign_sender.c
    awaits = exists().where(
        c.slot_id == s.id,
        c.superseded_at.is_(None),
        t.mailbox.c.id == c.mailbox_id,
        t.mailbox.c.removed_at.is_(None),
    )
    binds = exists().where(
        sender.slot_id == s.id,
        t.campaign.c.id == sender.campaign_id,
        t.campaign.c.state != CampaignState.FINISHED,
    )
    query = (
        select(s.id, or_(awaits, binds), referring_to(t.slot, s.id))
        .where(s.user_id == user_id, s.kind == SlotKind.INCLUDED, s.removed_at.is_(None))
        .order_by(s.id)
    )
    return [IncludedSlot(int(row[0]), bool(row[1]), bool(row[2])) for row in connection.execute(query)]


def insert_included(connection: Connection, user_id: int, now: datetime) -> int:
    inserted = connection.execute(
        insert(t.slot).values(user_id=user_id, kind=SlotKind.INCLUDED, created_at=now)
    )
    return int((inserted.inserted_primary_key or (0,))[0])


def take_slot(connection: Connection, slot: IncludedSlot, now: datetime) -> None:
    """End a slot; its row stays if history refers to it."""
    this = t.slot.c.id == slot.id
    if slot.has_history:
        connection.execute(update(t.slot).where(this).values(removed_at=now))
    else:
        connection.execute(delete(t.slot).where(this))
