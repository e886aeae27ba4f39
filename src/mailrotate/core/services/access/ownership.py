"""Who may own an address: it is a person's, on one seat only, and approved if the plan requires it (A7-A9).

The same holds for an alias (B11). These checks run when an address comes to a seat: an address that is
already there stays usable when the plan becomes stricter.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from mailrotate.core.rules.role_addresses import is_role_address, shows_its_user
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import advice
from mailrotate.core.store import (
    connections,
    deadlines,
    mailboxes,
    plans,
    requests,
    seat_addresses,
    users,
    workspaces,
)
from mailrotate.core.store.events import Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.seat_addresses import HeldAddress
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import ConnectionState, DeadlineKind, RequestState, UserState


@dataclass(frozen=True)
class Check:
    """One check of an address on a seat. A failed hard check refuses the address."""

    check: str
    passed: bool
    message: str
    is_hard: bool = False
    refusal: Refused | None = None

    def told(self) -> Mapping[str, object]:
        return {"check": self.check, "passed": self.passed, "message": self.message, "hard": self.is_hard}


def refuse_first(address: str) -> None:
    """Refuse a role address as the first one, whose owner becomes the admin. Raises Refused."""
    if is_role_address(address):
        raise Refused(
            "address.role",
            f"{address} is a role or group address, which the plan of a new workspace does not permit",
            Hint(
                Command("init", "--email", address),
                ", then:",
                Command("plan", "set", "--role-addresses", "on"),
            ),
        )


def former_of(connection: Connection, actor: Actor, user: StoredUser, address: str) -> StoredMailbox | None:
    """Find the former mailbox of `address`: disconnected on this seat, or removed from any; else None.

    Raises Refused (`mailbox.connected`, `mailbox.elsewhere`, `mailbox.on_seat`): an address is on one seat,
    once (A9).
    """
    former = mailboxes.by_address(connection, address)
    if former is not None and former.removed_at is None and former.user_id == user.id:
        if former.state is not ConnectionState.DISCONNECTED:
            raise Refused(
                "mailbox.connected",
                f"{address} is already a mailbox of {former.user_email}, and {former.state}",
                _instead_of_connect(connection, former),
            )
        held = seat_addresses.holding(connection, address)
        if held is None or held.mailbox_id == former.id:
            return former
    refusal = held_refusal(connection, actor, user, address)
    if refusal is not None:
        raise refusal
    return former


def _instead_of_connect(connection: Connection, box: StoredMailbox) -> Command:
    """The command for a mailbox that is not disconnected: back to its rotation, or a new login (C3, C8)."""
    of_hour = deadlines.of_mailbox(box.id, DeadlineKind.DISCONNECT)
    awaiting = next(iter(deadlines.running_where(connection, of_hour)), None)
    if awaiting is not None and box.state is ConnectionState.CONNECTED:
        return Command("campaign", "sender", "add", awaiting.campaign, box.address)
    return Command("mailbox", "reconnect", box.address)


def refuse_new(connection: Connection, actor: Actor, user: StoredUser, address: str) -> None:
    """Refuse a new address that may not come to this user's seat (A7, A8)."""
    for refusal in (
        _role_refusal(connection, actor, address),
        _others_refusal(connection, actor, user, address),
        _approval_refusal(connection, actor, user, address),
    ):
        if refusal is not None:
            raise refusal


def warnings(connection: Connection, user: StoredUser, address: str) -> tuple[str, ...]:
    """Return warnings about an address that comes to this user's seat (A8).

    None for a single operator, who has no colleague to be confused with (A6).
    """
    odd = _oddity(user, address)
    return () if odd is None or len(workspaces.users(connection)) == 1 else (odd,)


def _oddity(user: StoredUser, address: str) -> str | None:
    if shows_its_user(address, user.name, user.email):
        return None
    return f"{address} does not look like an address of {user.name} ({user.email})"


def checks(connection: Connection, actor: Actor, user: StoredUser, address: str) -> list[Check]:
    """Run the checks that an approver sees for an address on this user's seat (A7)."""
    free = connections.free_slots(connection, user.id)
    odd = _oddity(user, address)
    slots = f"{user.email} has a free slot" if free else f"{user.email} has no free slot"
    return [
        Check("valid", True, f"{address} is an e-mail address", is_hard=True),
        _hard(
            "role_address",
            _role_refusal(connection, actor, address),
            "it is not a role address, or the plan permits those",
        ),
        _hard(
            "another_user",
            _others_refusal(connection, actor, user, address),
            "it is not another user's own address",
        ),
        _hard("free", held_refusal(connection, actor, user, address), "no user has it"),
        Check("shows_user", odd is None, odd or "it shows something of its user's name"),
        Check("slot", bool(free), slots),
    ]


def _hard(check: str, refusal: Refused | None, well: str) -> Check:
    message = well if refusal is None else refusal.message
    return Check(check, refusal is None, message, is_hard=True, refusal=refusal)


def held_refusal(connection: Connection, actor: Actor, user: StoredUser, address: str) -> Refused | None:
    """Build the refusal of an address that some seat, maybe the user's own, already holds (A9)."""
    held = seat_addresses.holding(connection, address)
    if held is None:
        # Early versions could connect two spellings of one address; one of these mailboxes holds no address.
        own = mailboxes.by_address(connection, address)
        if own is None or own.removed_at is not None:
            return None
        held = HeldAddress(own.address, own.id)
    box = mailboxes.by_id(connection, held.mailbox_id)
    is_alias = held.address != box.address
    locked = " (locked)" if box.user_state is UserState.LOCKED else ""
    spelt = "" if held.address == address else f" as {held.address}"
    owner = f" (an alias of {box.address})" if is_alias else ""
    return Refused(
        "mailbox.on_seat" if box.user_id == user.id else "mailbox.elsewhere",
        f"{address} belongs to {box.user_email}{locked}{spelt}{owner}; "
        "an address belongs to one user only, and only once",
        advice.way(
            connection,
            actor,
            Deed.ANY_SEAT,
            Command("mailbox", "alias", "remove", box.address, held.address)
            if is_alias
            else Command("mailbox", "remove", box.address),
            seat_id=box.user_id,
        ),
    )


def _role_refusal(connection: Connection, actor: Actor, address: str) -> Refused | None:
    if not is_role_address(address) or plans.find(connection).role_addresses:
        return None
    return Refused(
        "address.role",
        f"{address} is a role or group address, which the plan does not permit",
        advice.way(connection, actor, Deed.PLAN, Command("plan", "set", "--role-addresses", "on")),
    )


def _others_refusal(connection: Connection, actor: Actor, user: StoredUser, address: str) -> Refused | None:
    found = users.whose_own(connection, address)
    if found is None or found[0] == user.id:
        return None
    theirs = Command("mailbox", "connect", address, "--for", found[1])
    return Refused(
        "address.another_user",
        f"{address} is another user's own address: {found[1]}",
        advice.way(connection, actor, Deed.ANY_SEAT, theirs),
    )


def _approval_refusal(connection: Connection, actor: Actor, user: StoredUser, address: str) -> Refused | None:
    if not plans.find(connection).approval_required:
        return None
    known = requests.current(connection, address)
    if known is None:
        return Refused(
            "request.needed",
            f"the plan requires approval of {address} for {user.email}",
            Command("mailbox", "request", address, "--for", user.email),
        )
    if known.user_id != user.id:
        return Refused(
            "request.other_seat",
            f"{address} is {known.state} for {known.user}, as q_{known.id}",
            advice.way(
                connection,
                actor,
                Deed.ANY_SEAT,
                Command("mailbox", "withdraw", f"q_{known.id}"),
                seat_id=known.user_id,
            ),
        )
    if known.state is RequestState.APPROVED:
        return None
    return Refused(
        "request.undecided",
        f"{address} is already requested for {user.email} (q_{known.id}) and waits for approval",
        advice.way(connection, actor, Deed.REQUESTS, Command("mailbox", "approve", f"q_{known.id}")),
    )
