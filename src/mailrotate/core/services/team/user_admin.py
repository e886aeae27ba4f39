"""Add users, change their roles, and lock them (A6, A10). `user_removal.py` removes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.transitions import USER
from mailrotate.core.services.access import naming, seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import affected_campaigns, assigning, late_release
from mailrotate.core.services.effects.consequences import Consequences, of_lock
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.services.effects.late_release import Late
from mailrotate.core.store import campaigns, events, mailboxes, moves, slots, users, workspaces
from mailrotate.core.store.connections import HangingCampaign
from mailrotate.core.store.events import About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.slots import StoredSlot
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values import reasons
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import CampaignState, ConnectionState, Role, UserState
from mailrotate.core.values.user_name import read_user_name


@dataclass(frozen=True)
class SeatMailbox:
    address: str
    state: ConnectionState
    slot_id: int | None


@dataclass(frozen=True)
class Seat:
    """A user with their slots, of which `connected` of `total` hold a mailbox (A3)."""

    email: str
    name: str
    role: Role
    state: UserState
    default: str | None
    connected: int
    total: int
    mailboxes: Sequence[SeatMailbox]


@dataclass(frozen=True)
class LockConsequences(Consequences):
    """What a lock would do; `is_default` marks the workspace's default user."""

    email: str


@dataclass(frozen=True)
class Unlocked:
    """The result of an unlock; `still_paused` campaigns wait for `campaign resume`, `late` are the messages
    that the user's mailboxes send too late (H4)."""

    seat: Seat
    still_paused: Sequence[str]
    late: Sequence[Late]


def listing(context: Context) -> list[Seat]:
    """List the users that the acting user may see: members see only themselves (A6). Raises Refused."""
    with context.store.reading() as connection:
        acting = seats.require_active(connection, context.actor)
        if not roles.may(acting.role, Deed.SEE_TEAM):
            return [_seat(connection, acting)]
        boxes: dict[int, list[StoredMailbox]] = {}
        for box in mailboxes.listing(connection):
            boxes.setdefault(box.user_id, []).append(box)
        held: dict[int | None, list[StoredSlot]] = {}
        for slot in slots.listing(connection):
            held.setdefault(slot.user_id, []).append(slot)
        return [
            _seat_with(user, boxes.get(user.id, ()), held.get(user.id, ()))
            for user in workspaces.users(connection)
        ]


def show(context: Context, email: str) -> Seat:
    """Show a user. Raises NotFound (`user.none`), Refused."""
    with context.store.reading() as connection:
        user = naming.find_user(connection, email)
        seats.require_authority(connection, context.actor, user.id, Deed.SEE_TEAM)
        return _seat(connection, user)


def add(context: Context, email: str, name: str | None, role: Role, now: datetime) -> Seat:
    """Add a user with the slots of the plan (A1). Raises BadInput, Refused (`user.exists`)."""
    address = normalise_address(email)
    named = read_user_name(address.partition("@")[0] if name is None else name)
    with context.store.writing() as connection:
        workspaces.lock(connection)
        seats.require_deed(connection, context.actor, Deed.USERS)
        if workspaces.user_by_email(connection, address) is not None:
            raise Refused("user.exists", f"user {address} already exists", Command("user", "show", address))
        user = workspaces.add_user(connection, USER["add"], address, named, role, now)
        events.record(connection, context.actor, "user.added", now, About(), user=user.id, role=role)
        return _seat(connection, user)


def change(context: Context, email: str, name: str | None, role: Role | None, now: datetime) -> Seat:
    """Change a name or a role. Raises BadInput, NotFound, Refused (`user.last_admin`)."""
    if name is None and role is None:
        raise BadInput("user.nothing", "nothing to change", "add --name NAME or --role ROLE")
    with context.store.writing() as connection:
        workspaces.lock(connection)
        user = naming.find_user(connection, email)
        if role is not None:
            seats.require_deed(connection, context.actor, Deed.USERS)
        seats.require_authority(connection, context.actor, user.id)
        if name is not None and read_user_name(name) != user.name:
            users.change(connection, user.id, name=read_user_name(name))
            names = {"before": user.name, "after": read_user_name(name)}
            events.record(connection, context.actor, "user.named", now, About(), user=user.id, **names)
        if role is not None and role is not user.role:
            if role is not Role.ADMIN:
                refuse_last_admin(connection, user, "keeps its role")
            users.change(connection, user.id, role=role)
            roles_told = {"before": user.role, "after": role}
            events.record(connection, context.actor, "user.role", now, About(), user=user.id, **roles_told)
        return _seat(connection, _again(connection, user))


def lock_consequences(context: Context, email: str, now: datetime | None = None) -> LockConsequences:
    """Say what `lock` would do, with the same refusals. Raises NotFound, Refused."""
    with looking(context, now) as connection:
        user = _lockable(connection, context, email)
        workspace = workspaces.find(connection)
        acts_by_default = workspace is not None and workspace.default_user_id == user.id
        following = of_lock(connection, mailboxes_of(connection, user), acts_by_default)
        return LockConsequences(**vars(following), email=user.email)


def lock(context: Context, email: str, now: datetime) -> Seat:
    """Lock a user, who then may not act and whose mailboxes send nothing (A10). Raises NotFound, Refused."""
    with acting(context, now) as (connection, now):
        workspaces.lock(connection)
        user = _lockable(connection, context, email)
        if moves.move(connection, USER["lock"], user.id):
            events.record(connection, context.actor, "user.locked", now, About(), user=user.id)
            boxes = mailboxes_of(connection, user)
            affected_campaigns.pause_for_lock(connection, context.actor, boxes, now)
        return _seat(connection, _again(connection, user))


def unlock(context: Context, email: str, now: datetime, *, park_late: bool = False) -> Unlocked:
    """Unlock a user; campaigns that the lock paused wait for `campaign resume` (A10)."""
    with acting(context, now) as (connection, now):
        workspaces.lock(connection)
        seats.require_deed(connection, context.actor, Deed.USERS)
        user = naming.find_user(connection, email)
        boxes = mailboxes_of(connection, user)
        was_locked = moves.move(connection, USER["unlock"], user.id)
        if was_locked:
            events.record(connection, context.actor, "user.unlocked", now, About(), user=user.id)
            for box in boxes:
                assigning.assign_waiting_in_lane(connection, box.id, box.slot_id, now)
        releases = was_locked or park_late
        late = late_release.of_mailboxes(connection, context.actor, boxes, park_late, now) if releases else ()
        hanging = affected_campaigns.hanging_on_seat(connection, boxes)
        still_paused = [campaign.name for campaign in hanging if _is_paused_by_lock(connection, campaign)]
        return Unlocked(_seat(connection, _again(connection, user)), still_paused, late)


def _seat(connection: Connection, user: StoredUser) -> Seat:
    return _seat_with(user, mailboxes_of(connection, user), slots.of_user(connection, user.id))


def _seat_with(user: StoredUser, boxes: Sequence[StoredMailbox], held: Sequence[StoredSlot]) -> Seat:
    return Seat(
        user.email,
        user.name,
        user.role,
        user.state,
        next((box.address for box in boxes if box.is_default), None),
        sum(slot.mailbox is not None for slot in held),
        len(held),
        [
            SeatMailbox(
                box.address, box.state, None if box.state is ConnectionState.DISCONNECTED else box.slot_id
            )
            for box in boxes
        ],
    )


def mailboxes_of(connection: Connection, user: StoredUser) -> list[StoredMailbox]:
    """The user's mailboxes, including disconnected ones."""
    return mailboxes.listing(connection, user_id=user.id)


def _again(connection: Connection, user: StoredUser) -> StoredUser:
    found = workspaces.user_by_id(connection, user.id)
    assert found is not None
    return found


def _lockable(connection: Connection, context: Context, email: str) -> StoredUser:
    seats.require_deed(connection, context.actor, Deed.USERS)
    user = naming.find_user(connection, email)
    refuse_last_admin(connection, user, "cannot be locked")
    return user


def refuse_last_admin(connection: Connection, user: StoredUser, then: str) -> None:
    """Raise Refused (`user.last_admin`) if no active admin would remain."""
    is_acting_admin = user.role is Role.ADMIN and user.state is UserState.ACTIVE
    if is_acting_admin and not users.other_active_admins(connection, user.id):
        raise Refused(
            "user.last_admin",
            f"{user.email} is the only active admin and {then}",
            Command("user", "add", "EMAIL", "--role", "admin"),
        )


def _is_paused_by_lock(connection: Connection, campaign: HangingCampaign) -> bool:
    return (
        campaign.state is CampaignState.PAUSED
        and reasons.USER_LOCKED in campaigns.by_id(connection, campaign.id).pause_reasons
    )
