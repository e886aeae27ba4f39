"""Slots: how many mailboxes a user may connect, and the team's pool (A1–A3, A5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.renewal import next_renewal
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import naming, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import connections, events, slots, workspaces
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.slots import StoredSlot
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import CampaignState, SlotKind

_MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class Slot:
    """A slot today: the address that is connected (or failed) in it; a purchased one renews by itself."""

    id: int
    kind: SlotKind
    renews_on: date | None
    mailbox: str | None


@dataclass(frozen=True)
class UserSlots:
    """One user's slots (A3); `connected` counts those whose mailbox is connected or failed."""

    user: str
    default: str | None
    slots: Sequence[Slot]

    @property
    def connected(self) -> int:
        return sum(slot.mailbox is not None for slot in self.slots)

    @property
    def total(self) -> int:
        return len(self.slots)


@dataclass(frozen=True)
class TeamSlots:
    """The team's counts, which all users see, and the slots that the acting user may see.

    `unassigned` counts the pool, whose slots have no user and are not in `total`.
    """

    connected: int
    total: int
    unassigned: int
    users: Sequence[UserSlots]
    pool: Sequence[Slot]


def listing(context: Context, now: datetime) -> TeamSlots:
    """List all users' slots; a member sees their own (A6). Raises Refused (`user.…`)."""
    with context.store.reading() as connection:
        seats.require_active(connection, context.actor)
        return team(connection, context.actor, now)


def team(connection: Connection, actor: Actor, now: datetime) -> TeamSlots:
    """Return users in the order in which they were added, and slots in the order of creation."""
    acting = None if actor.user_id is None else workspaces.user_by_id(connection, actor.user_id)
    held: dict[int | None, list[Slot]] = {}
    for slot in slots.listing(connection):
        held.setdefault(slot.user_id, []).append(as_of(slot, now))
    users = {
        user_id: UserSlots(email, default, held.get(user_id, ()))
        for user_id, email, default in slots.users(connection)
    }
    pool = held.get(None, [])
    return TeamSlots(
        sum(user.connected for user in users.values()),
        sum(user.total for user in users.values()),
        len(pool),
        [user for user_id, user in users.items() if _sees(acting, user_id)],
        pool if _sees(acting, None) else (),
    )


def _sees(acting: StoredUser | None, user_id: int | None) -> bool:
    return acting is not None and roles.may_on_seat(acting.role, user_id == acting.id, Deed.SEE_TEAM)


def as_of(slot: StoredSlot, now: datetime) -> Slot:
    """Return the slot with its next renewal. Days are in UTC, like the day of purchase."""
    is_paid = slot.kind is SlotKind.PURCHASED
    renews_on = next_renewal(slot.bought_at.date(), now.date()) if is_paid else None
    return Slot(slot.id, slot.kind, renews_on, slot.mailbox)


def find(connection: Connection, slot_id: int) -> StoredSlot:
    """Find a slot. Raises NotFound (`slot.none`), also for a removed one."""
    slot = slots.find(connection, slot_id)
    if slot is None:
        raise NotFound("slot.none", f"there is no slot s_{slot_id}", Command("slot", "list"))
    return slot


def buy(context: Context, count: int, now: datetime) -> Sequence[Slot]:
    """Buy slots into the team's pool; each renews monthly (A2). Raises BadInput (`slot.count`), Refused."""
    _check(count)
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.SLOTS)
        bought = [slots.insert_purchased(connection, None, now) for _ in range(count)]
        for slot_id in bought:
            events.record(connection, context.actor, "slot.bought", now, About(), slot=slot_id)
        return [as_of(find(connection, slot_id), now) for slot_id in bought]


def add(context: Context, email: str, count: int, now: datetime) -> UserSlots:
    """Buy slots and assign them to a user, in one step (A2).

    Raises BadInput (`slot.count`), NotFound (`user.none`), Refused (`user.…`).
    """
    _check(count)
    with context.store.writing() as connection:
        # Wait for a removal of the user.
        workspaces.lock(connection)
        user = _slot_taker(connection, context, email)
        for _ in range(count):
            slot_id = slots.insert_purchased(connection, user.id, now)
            events.record(connection, context.actor, "slot.added", now, About(), slot=slot_id, user=user.id)
        return _of(connection, user, now)


def assign(context: Context, email: str, count: int, now: datetime) -> UserSlots:
    """Assign slots of the pool to a user, oldest first.

    Raises BadInput (`slot.count`), NotFound (`user.none`), Refused (`user.…`, `slot.pool`).
    """
    _check(count)
    with context.store.writing() as connection:
        # Serialise, so that two cannot take the same slot.
        workspaces.lock(connection)
        user = _slot_taker(connection, context, email)
        pool = sorted(slots.of_user(connection, None), key=lambda slot: (slot.bought_at, slot.id))
        if len(pool) < count:
            raise Refused(
                "slot.pool",
                f"the team's pool has {len(pool)} of the {count} requested slots",
                Command("slot", "buy", "--count", str(count - len(pool)))
                if pool
                else Command("slot", "add", "--for", user.email, "--count", str(count)),
            )
        for slot in pool[:count]:
            _move(connection, context, "slot.assigned", slot, user.id, now)
        return _of(connection, user, now)


def unassign(context: Context, slot_id: int, now: datetime) -> Slot:
    """Move an empty purchased slot back into the pool, and return it.

    Raises NotFound (`slot.none`), Refused (`slot.…`).
    """
    with context.store.writing() as connection:
        # Serialise with other changes and connects.
        workspaces.lock(connection)
        seats.require_deed(connection, context.actor, Deed.SLOTS)
        slot = find(connection, slot_id)
        _refuse_unassign(connection, slot)
        return as_of(find(connection, to_pool(connection, context, slot, now)), now)


def to_pool(connection: Connection, context: Context, slot: StoredSlot, now: datetime) -> int:
    """Move a user's purchased slot to the team's pool; return its id there.

    A slot in the pool must have no history, because its next user would inherit it: mailboxes that return,
    campaigns, messages sent today. A slot with history ends, and a new one continues its subscription.
    """
    if not slots.was_used(connection, slot.id):
        _move(connection, context, "slot.unassigned", slot, None, now)
        return slot.id
    slots.change(connection, slot.id, removed_at=now)
    heir = slots.insert_purchased(connection, None, slot.bought_at)
    change = {"key": "slot", "before": slot.id, "after": heir}
    events.record(connection, context.actor, "slot.unassigned", now, About(), slot=slot.id, **change)
    return heir


def _refuse_unassign(connection: Connection, slot: StoredSlot) -> None:
    name = f"s_{slot.id}"
    if slot.user_id is None:
        raise Refused(
            "slot.in_pool",
            f"{name} is already in the team's pool",
            Command("slot", "assign", "--for", "USER"),
        )
    if slot.kind is SlotKind.INCLUDED:
        raise Refused(
            "slot.included",
            f"{name} is included in the plan of {slot.user} and cannot be moved",
            Hint("to end it:", Command("slot", "remove", name)),
        )
    if slot.mailbox is not None:
        raise Refused(
            "slot.taken",
            f"{name} is in use by {slot.mailbox}",
            Command("mailbox", "disconnect", slot.mailbox),
        )
    bound = connections.hanging_on(connection, 0, slot.id)
    if bound:
        names = ", ".join(campaign.name for campaign in bound)
        verb = "delete" if bound[0].state is CampaignState.DRAFT else "stop"
        raise Refused(
            "slot.bound",
            f"unfinished campaigns send only from {name}: {names}",
            Command("campaign", verb, bound[0].name),
        )


def _check(count: int) -> None:
    if not 0 < count <= _MOST_AT_ONCE:
        raise BadInput("slot.count", f"--count must be from 1 to {_MOST_AT_ONCE}, not {count}")


def _slot_taker(connection: Connection, context: Context, email: str) -> StoredUser:
    seats.require_deed(connection, context.actor, Deed.SLOTS)
    return naming.find_user(connection, email)


def _move(
    connection: Connection,
    context: Context,
    action: str,
    slot: StoredSlot,
    user_id: int | None,
    now: datetime,
) -> None:
    slots.change(connection, slot.id, user_id=user_id)
    change = {"before": slot.user_id, "after": user_id}
    events.record(connection, context.actor, action, now, About(), slot=slot.id, key="user", **change)


def _of(connection: Connection, user: StoredUser, now: datetime) -> UserSlots:
    default = next(default for user_id, _, default in slots.users(connection) if user_id == user.id)
    held = [as_of(slot, now) for slot in slots.of_user(connection, user.id)]
    return UserSlots(user.email, default, held)
