"""Change the plan, and find what exceeds a stricter one (A1, A7, A8, B4, B6, B10)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules import quota
from mailrotate.core.rules.role_addresses import is_role_address
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import (
    events,
    mailboxes,
    plans,
    seat_addresses,
    settings,
    slots,
    workspaces,
)
from mailrotate.core.store.events import About
from mailrotate.core.store.plans import StoredPlan
from mailrotate.core.values.duration import format_duration
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import ConnectionState

_MOST_SLOTS = 1000
_SYNC_BOUNDS = (timedelta(minutes=1), timedelta(days=1))
_NAMED_AT_MOST = 10


@dataclass(frozen=True)
class OverSlots:
    """A user with more included slots in use than the plan includes."""

    user: str
    used: int


@dataclass(frozen=True)
class OverCap:
    """A mailbox whose own daily limit is above the plan's cap, which then binds."""

    mailbox: str
    daily_limit: int


@dataclass(frozen=True)
class Over:
    """What exceeds a plan: slots in use, limits, shared mailboxes, role addresses."""

    slots: Sequence[OverSlots] = ()
    cap: Sequence[OverCap] = ()
    shared: Sequence[str] = ()
    role_addresses: Sequence[str] = ()

    def __bool__(self) -> bool:
        return any(vars(self).values())


@dataclass(frozen=True)
class Changed:
    """The plan after a change, how many included slots were added and removed, and what exceeds it.

    `unapproved` are the connected mailboxes that need no approval, because it was not required before.
    """

    plan: StoredPlan
    slots_added: int
    slots_removed: int
    over: Over
    unapproved: int


@dataclass(frozen=True)
class PlanChange:
    """A change of the plan; None keeps a value."""

    slots_per_user: int | None = None
    daily_cap: int | None = None
    sync_every: timedelta | None = None
    shared_mailboxes: bool | None = None
    role_addresses: bool | None = None
    approval_required: bool | None = None

    def of(self, plan: StoredPlan) -> StoredPlan:
        """Apply the change to a plan."""
        return replace(plan, **{key: value for key, value in vars(self).items() if value is not None})


def show(context: Context) -> StoredPlan:
    with context.store.reading() as connection:
        return plans.find(connection)


def change(context: Context, wanted: PlanChange, now: datetime, *, force: bool = False) -> Changed:
    """Change the plan, and add or remove included slots; only empty ones are removed.

    Raises BadInput, Refused (`plan.too_strict`) if something in use exceeds it and it is not forced.
    """
    _check(wanted)
    with context.store.writing() as connection:
        # Serialise with other changes and connects, which decide what is in use.
        workspaces.lock(connection)
        seats.require_deed(connection, context.actor, Deed.PLAN)
        before = plans.find(connection)
        after = wanted.of(before)
        over = _over(connection, before, after)
        if over and not force:
            raise _too_strict(over)
        plans.change(connection, after)
        for key in vars(before):
            was, is_now = _told(getattr(before, key)), _told(getattr(after, key))
            if was != is_now:
                events.record(
                    connection, context.actor, "plan.changed", now, About(), key=key, before=was, after=is_now
                )  # fmt: skip
        added = removed = 0
        if after.slots_per_user != before.slots_per_user:
            added, removed = _fit_slots(connection, context, after.slots_per_user, now)
        turned_on = after.approval_required and not before.approval_required
        unapproved = len(mailboxes.listing(connection)) if turned_on else 0
        return Changed(after, added, removed, over, unapproved)


def _check(wanted: PlanChange) -> None:
    if wanted == PlanChange():
        raise BadInput("plan.nothing", "nothing to change", Command("plan", "set", "--help"))
    if wanted.slots_per_user is not None and not 0 <= wanted.slots_per_user <= _MOST_SLOTS:
        raise BadInput("plan.slots", f"--slots must be from 0 to {_MOST_SLOTS}, not {wanted.slots_per_user}")
    if wanted.daily_cap is not None and not 1 <= wanted.daily_cap <= quota.HIGHEST_CAP:
        raise BadInput(
            "plan.daily_cap", f"--daily-cap must be from 1 to {quota.HIGHEST_CAP}, not {wanted.daily_cap}"
        )
    least, most = _SYNC_BOUNDS
    if wanted.sync_every is not None and not least <= wanted.sync_every <= most:
        bounds = f"{format_duration(least)} to {format_duration(most)}"
        raise BadInput("plan.sync_every", f"--sync-every must be {bounds}, not {_told(wanted.sync_every)}")


def _told(value: object) -> object:
    return format_duration(value) if isinstance(value, timedelta) else value


def _over(connection: Connection, before: StoredPlan, after: StoredPlan) -> Over:
    """Find what is in use and no longer allowed."""
    fewer, lower = after.slots_per_user < before.slots_per_user, after.daily_cap < before.daily_cap
    unshared = before.shared_mailboxes and not after.shared_mailboxes
    no_roles = before.role_addresses and not after.role_addresses
    boxes, held = mailboxes.listing(connection), seat_addresses.listing(connection)
    return Over(
        _over_slots(connection, after.slots_per_user) if fewer else (),
        _over_cap(connection, after.daily_cap) if lower else (),
        [box.address for box in boxes if unshared and box.is_shared],
        [each.address for each in held if no_roles and is_role_address(each.address)],
    )


def _over_slots(connection: Connection, included: int) -> list[OverSlots]:
    over = []
    for user_id, email, _ in slots.users(connection):
        used = sum(slot.is_used for slot in plans.included_slots(connection, user_id))
        if used > included:
            over.append(OverSlots(email, used))
    return over


def _over_cap(connection: Connection, cap: int) -> list[OverCap]:
    limits = {key: stored.own.daily_limit for key, stored in settings.listing(connection).items()}
    return [
        OverCap(box.address, limit)
        for box in mailboxes.listing(connection)
        if box.state is not ConnectionState.DISCONNECTED
        and (limit := limits[box.id]) is not None
        and limit > cap
    ]


def _too_strict(over: Over) -> Refused:
    told = [f"{each.user} has {_slots(each.used)} in use" for each in over.slots]
    told += [f"{each.mailbox} has a daily limit of {each.daily_limit}" for each in over.cap]
    told += [f"{address} is shared" for address in over.shared]
    told += [f"{address} is a role address" for address in over.role_addresses]
    named = "; ".join(told[:_NAMED_AT_MOST])
    more = f"; and {len(told) - _NAMED_AT_MOST} more" if len(told) > _NAMED_AT_MOST else ""
    return Refused(
        "plan.too_strict",
        f"the new plan does not allow what is in use: {named}{more}",
        "add --force to apply it anyway; nothing in use is taken away, the new limits apply from now on",
    )


def _slots(count: int) -> str:
    return "1 included slot" if count == 1 else f"{count} included slots"


def _fit_slots(connection: Connection, context: Context, included: int, now: datetime) -> tuple[int, int]:
    """Add missing included slots, or remove empty ones, newest first; return how many of each."""
    added = removed = 0
    for user_id, _, _ in slots.users(connection):
        has = plans.included_slots(connection, user_id)
        for _ in range(included - len(has)):
            slot_id = plans.insert_included(connection, user_id, now)
            events.record(connection, context.actor, "slot.added", now, About(), slot=slot_id, user=user_id)
            added += 1
        empty = [slot for slot in has if not slot.is_used]
        for slot in empty[::-1][: max(0, len(has) - included)]:
            plans.take_slot(connection, slot, now)
            events.record(connection, context.actor, "slot.removed", now, About(), slot=slot.id, user=user_id)
            removed += 1
    return added, removed
