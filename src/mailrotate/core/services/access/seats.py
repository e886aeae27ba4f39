"""Seats: on which user's seat a command acts, and in which slot (A1, A5, A6, A9)."""

from dataclasses import dataclass

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import advice, naming
from mailrotate.core.store import connections, shares, slots, workspaces
from mailrotate.core.store.events import Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import ConnectionState, Role, UserState


@dataclass(frozen=True)
class Seat:
    """Where a mailbox will be connected; `former` is the address's connection that it replaces, whose mailbox
    may have been removed from another seat."""

    user: StoredUser
    slot_id: int
    former: StoredMailbox | None


def find_mailbox(connection: Connection, actor: Actor, name: str) -> StoredMailbox:
    """Find a mailbox by address or `b_` id that the acting user may act on.

    Raises NotFound (`mailbox.none`), Refused (`user.locked`, `user.not_allowed`).
    """
    box = naming.find_mailbox(connection, name)
    require_authority(connection, actor, box.user_id)
    return box


def find_connected(connection: Connection, actor: Actor, name: str) -> StoredMailbox:
    """Like `find_mailbox`, but refuse a disconnected one, which has no settings."""
    box = find_mailbox(connection, actor, name)
    if box.state is ConnectionState.DISCONNECTED:
        raise Refused(
            "mailbox.disconnected",
            f"{box.address} is disconnected",
            Command("mailbox", "connect", box.address),
        )
    return box


def require_authority(
    connection: Connection, actor: Actor, user_id: int, of_others: Deed = Deed.ANY_SEAT
) -> None:
    """Refuse unless the acting user may act on this seat; on another user's it needs `of_others` (A6)."""
    acting = require_active(connection, actor)
    if not roles.may_on_seat(acting.role, acting.id == user_id, of_others):
        raise _not_allowed(connection, acting, of_others, " and acts on their own seat only", user_id)


def require_deed(connection: Connection, actor: Actor, deed: Deed) -> None:
    """Refuse unless the acting user's role allows the deed (A6)."""
    acting = require_active(connection, actor)
    if not roles.may(acting.role, deed):
        raise _not_allowed(connection, acting, deed, f"; only {_those_who_may(deed)} may {roles.WORDS[deed]}")


def may_send_from(connection: Connection, user: StoredUser, box: StoredMailbox) -> bool:
    """Whether the user may send from the mailbox: it is their own or shared with them (B6). No role overrides
    this."""
    if box.user_id == user.id:
        return True
    return box.is_shared and user.id in shares.user_ids(connection, box.connection_id)


def require_active(connection: Connection, actor: Actor) -> StoredUser:
    """Return the acting user. Raises Refused (`user.unknown`, `user.locked`): the user is locked (A10)."""
    acting = None if actor.user_id is None else workspaces.user_by_id(connection, actor.user_id)
    if acting is None or acting.is_removed:
        raise Refused(
            "user.unknown",
            "no acting user is given, and the workspace has no default user",
            "add --as EMAIL",
        )
    if acting.state is UserState.LOCKED:
        unlock = advice.way(connection, actor, Deed.USERS, Command("user", "unlock", acting.email))
        raise Refused("user.locked", f"the acting user {acting.email} is locked", unlock)
    return acting


def _those_who_may(deed: Deed) -> str:
    return " or ".join(f"{'an' if role is Role.ADMIN else 'a'} {role}" for role in roles.roles_that_may(deed))


def _not_allowed(
    connection: Connection, acting: StoredUser, deed: Deed, because: str, seat_id: int | None = None
) -> Refused:
    return Refused(
        "user.not_allowed",
        f"{acting.email} is a {acting.role}{because}",
        advice.instead(connection, deed, seat_id=seat_id),
    )


def seat_for(
    connection: Connection, actor: Actor, address: str, user_email: str | None, slot_id: int | None
) -> Seat:
    """Find the seat and slot in which `address` may be connected.

    Raises NotFound (`user.none`), Refused (`user.…`, `mailbox.…`, `address.…`, `request.…`, `slot.…`).
    """
    # Only a new address asks whose it is.
    from mailrotate.core.services.access import ownership

    user = user_for(connection, actor, user_email)
    former = ownership.former_of(connection, actor, user, address)
    if former is None or former.removed_at is not None:
        ownership.refuse_new(connection, actor, user, address)
    return Seat(user, _slot_for(connection, actor, user, slot_id, former), former)


def user_for(connection: Connection, actor: Actor, user_email: str | None) -> StoredUser:
    """Return the user whose seat is meant: the named user, else the acting user. Raises NotFound, Refused."""
    if user_email is not None:
        user: StoredUser | None = naming.find_user(connection, user_email)
    else:
        user = None if actor.user_id is None else workspaces.user_by_id(connection, actor.user_id)
    require_authority(connection, actor, -1 if user is None else user.id)
    assert user is not None  # else the line above has raised
    return user


def _slot_for(
    connection: Connection, actor: Actor, user: StoredUser, slot_id: int | None, former: StoredMailbox | None
) -> int:
    if slot_id is not None:
        if connections.slot_owner(connection, slot_id) != user.id:
            raise Refused(
                "slot.not_owned", f"s_{slot_id} is not a slot of {user.email}", Command("slot", "list")
            )
        taken_by = connections.address_in_slot(connection, slot_id)
        if taken_by is not None:
            raise Refused(
                "slot.taken",
                f"s_{slot_id} is in use by {taken_by}",
                Command("mailbox", "disconnect", taken_by),
            )
        return slot_id
    free = connections.free_slots(connection, user.id)
    if former is not None and former.slot_id in free:
        # Its single-sender campaigns are bound to that slot (C5).
        return former.slot_id
    if not free:
        raise _none_free(connection, actor, user)
    return free[0]


def _none_free(connection: Connection, actor: Actor, user: StoredUser) -> Refused:
    """Build the refusal without a free slot, with the command that provides one and who may run it."""
    held = [slot.mailbox for slot in slots.of_user(connection, user.id)]
    verb = "assign" if slots.of_user(connection, None) else "add"
    hint = advice.way(connection, actor, Deed.SLOTS, Command("slot", verb, "--for", user.email))
    count = f"({len(held)}/{len(held)})"
    taken = f"all slots of {user.email} are taken {count}: {', '.join(map(str, held))}"
    return Refused("slot.none_free", taken if held else f"{user.email} has no slot", hint)
