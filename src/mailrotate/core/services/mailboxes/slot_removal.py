"""Remove a slot in one transaction, and show the consequences before (A2, A4)."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from mailrotate.core.rules.renewal import RENEWAL_IS_NEAR, Term, subscription_ended_by
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import grace_periods
from mailrotate.core.services.effects.consequences import Consequences, of_disconnect
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.services.mailboxes.reconnecting import disconnect_within
from mailrotate.core.services.mailboxes.slot_pool import as_of, find, to_pool
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import events, mailboxes, plans, slots, workspaces
from mailrotate.core.store.deadlines import AwaitedReturn
from mailrotate.core.store.events import About
from mailrotate.core.store.slots import StoredSlot
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import SlotKind


@dataclass(frozen=True)
class Ending:
    """The subscription that ends with a slot, and when it would have renewed; of an included slot it is that
    of a purchased one, which becomes included."""

    slot_id: int
    renews_on: date
    is_near: bool
    becomes_included: bool


@dataclass(frozen=True)
class SlotConsequences(Consequences):
    """What a slot's removal would do, beside the disconnect of its mailbox. A purchased slot whose
    subscription does not end, because its user has no more slots than the plan includes, leaves what is paid
    for to the pool. `awaited` may still come back to the slot without loss.
    """

    slot_id: int
    kind: SlotKind
    user: str | None
    mailbox: str | None
    awaited: Sequence[AwaitedReturn]
    ends: Ending | None
    goes_to_pool: bool
    included_count: int
    total_before: int


@dataclass(frozen=True)
class Removable:
    """A slot and what it holds; `user` is None in the team's pool."""

    slot_id: int
    kind: SlotKind
    user: str | None
    mailbox: str | None
    renews_on: date | None


@dataclass(frozen=True)
class Removed:
    """`pool_slot_id` is the slot of the pool that the subscription goes on with, where it does not end."""

    slot_id: int
    pool_slot_id: int | None


def removable(context: Context, now: datetime) -> list[Removable]:
    """List every slot, connected or empty; each can be removed (A4). Raises Refused (`user.…`)."""
    with context.store.reading() as connection:
        seats.require_deed(connection, context.actor, Deed.SLOTS)
        return [
            Removable(slot.id, slot.kind, slot.user, slot.mailbox, as_of(slot, now).renews_on)
            for slot in slots.listing(connection)
        ]


def consequences(context: Context, slot_id: int, now: datetime) -> SlotConsequences:
    """Show what `remove` would do. Raises NotFound (`slot.none`), Refused (`user.…`)."""
    with looking(context, now) as connection:
        seats.require_deed(connection, context.actor, Deed.SLOTS)
        return _consequences(connection, find(connection, slot_id), now)


def _consequences(connection: Connection, slot: StoredSlot, now: datetime) -> SlotConsequences:
    included = plans.find(connection).slots_per_user if slot.user_id is not None else 0
    held = slots.of_user(connection, slot.user_id) if slot.user_id is not None else [slot]
    terms = {each.id: Term(each.id, as_of(each, now).renews_on) for each in held}
    ended = subscription_ended_by(terms[slot.id], list(terms.values()), included)
    box = None if slot.mailbox_id is None else mailboxes.by_id(connection, slot.mailbox_id)
    return SlotConsequences(
        **vars(of_disconnect(connection, box, slot.id, now)),
        slot_id=slot.id,
        kind=slot.kind,
        user=slot.user,
        mailbox=slot.mailbox,
        awaited=grace_periods.awaited_in(connection, slot.id, slot.mailbox or "", now),
        ends=None if ended is None else _ending(ended, slot, now),
        goes_to_pool=slot.kind is SlotKind.PURCHASED and ended is None,
        included_count=included,
        total_before=len(held),
    )


def _ending(term: Term, slot: StoredSlot, now: datetime) -> Ending | None:
    if term.renews_on is None:
        return None
    is_near = term.renews_on - now.date() <= RENEWAL_IS_NEAR
    return Ending(term.slot_id, term.renews_on, is_near, term.slot_id != slot.id)


def remove(context: Context, slot_id: int, now: datetime) -> Removed:
    """End a slot and disconnect its mailbox, which stays on its seat without a slot (A4).

    Raises NotFound (`slot.none`), Refused (`user.…`, `slot.changed`), Busy.
    """
    with context.store.reading() as connection:
        seats.require_deed(connection, context.actor, Deed.SLOTS)
        mailbox_id = find(connection, slot_id).mailbox_id
    lane = nullcontext() if mailbox_id is None else holding_lane(context, mailbox_id, now)
    with lane, acting(context, now) as (connection, now):
        # Serialise with other changes and connects.
        workspaces.lock(connection)
        seats.require_deed(connection, context.actor, Deed.SLOTS)
        slot = find(connection, slot_id)
        if slot.mailbox_id != mailbox_id:
            raise Refused(
                "slot.changed",
                f"s_{slot_id} has changed meanwhile (now: {slot.mailbox or 'empty'}); nothing was changed",
                Command("slot", "remove", f"s_{slot_id}"),
            )
        following = _consequences(connection, slot, now)
        if mailbox_id is not None:
            disconnect_within(connection, context.actor, mailboxes.by_id(connection, mailbox_id), now)
        if following.goes_to_pool:
            return Removed(slot_id, to_pool(connection, context, slot, now))
        _end(connection, context, slot, following.ends, now)
        return Removed(slot_id, None)


def _end(
    connection: Connection, context: Context, slot: StoredSlot, ends: Ending | None, now: datetime
) -> None:
    """End the slot, and the one subscription that ends with it."""
    slots.change(connection, slot.id, removed_at=now)
    about = About(mailbox_id=slot.mailbox_id)
    told = {"slot": slot.id, "user": slot.user_id, "kind": slot.kind}
    events.record(connection, context.actor, "slot.removed", now, about, **told)
    if ends is not None and ends.becomes_included:
        slots.change(connection, ends.slot_id, kind=SlotKind.INCLUDED)
        change = {"key": "kind", "before": SlotKind.PURCHASED, "after": SlotKind.INCLUDED}
        events.record(connection, context.actor, "slot.included", now, About(), slot=ends.slot_id, **change)
