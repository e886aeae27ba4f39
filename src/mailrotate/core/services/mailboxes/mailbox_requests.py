"""Mailbox requests: made by a user, checked, and decided by an admin (A7)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.transitions import REQUEST
from mailrotate.core.services.access import advice, ownership, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import events, mailboxes, plans, requests, seat_addresses, workspaces
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.requests import StoredRequest
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import ConnectionState, RequestState
from mailrotate.core.values.transition import Transition

_LONGEST_REASON = 500


@dataclass(frozen=True)
class Requested:
    """A new request, and whether the plan waits for its approval."""

    request: StoredRequest
    is_needed: bool


def request(context: Context, address: str, user_email: str | None, now: datetime) -> Requested:
    """Request an address for the acting user, or (as an admin) any user. Raises BadInput, NotFound, Refused.

    Hard checks refuse at once; the approver sees the result of the others.
    """
    address = normalise_address(address)
    with context.store.writing() as connection:
        workspaces.lock(connection)
        user = seats.user_for(connection, context.actor, user_email)
        acting = seats.require_active(connection, context.actor)
        _refuse_on_seat(connection, user, address)
        elsewhere = ownership.held_refusal(connection, context.actor, user, address)
        if elsewhere is not None:
            raise elsewhere
        known = requests.current(connection, address)
        if known is not None:
            raise _is_requested(connection, context.actor, known, user)
        found = _checks(connection, context.actor, user, address)
        told = [check.told() for check in found]
        request_id = requests.insert_request(
            connection, REQUEST["request"], address, user.id, acting.id, told, now
        )
        told_of = {"request": request_id, "user": user.id, "after": RequestState.REQUESTED}
        events.record(connection, context.actor, "mailbox.requested", now, About(), **told_of)
        return Requested(_again(connection, request_id), plans.find(connection).approval_required)


def listing(
    context: Context, *, only_open: bool = True, after: int | None = None, limit: int | None = None
) -> list[StoredRequest]:
    """List all requests that the acting user may see. Raises Refused."""
    with context.store.reading() as connection:
        acting = seats.require_active(connection, context.actor)
        sees_all = roles.may(acting.role, Deed.SEE_TEAM)
        user_id = None if sees_all else acting.id
        return requests.listing(connection, only_open=only_open, user_id=user_id, after=after, limit=limit)


def approve(context: Context, name: str, reason: str | None, now: datetime) -> StoredRequest:
    """Approve a request, named by `q_` id or address, after checking it again.

    Raises BadInput, NotFound, Refused: also those of `request`.
    """
    return _decide(context, name, REQUEST["approve"], reason, now)


def deny(context: Context, name: str, reason: str | None, now: datetime) -> StoredRequest:
    """Deny a request. Raises BadInput, NotFound, Refused."""
    return _decide(context, name, REQUEST["deny"], reason, now)


def withdraw(context: Context, name: str, now: datetime) -> StoredRequest:
    """Withdraw a request, or an approval that was not used. Its user and admins may.

    Raises BadInput, NotFound, Refused.
    """
    with context.store.writing() as connection:
        workspaces.lock(connection)
        seats.require_active(connection, context.actor)
        known = _named(connection, name)
        seats.require_authority(connection, context.actor, known.user_id)
        if known.state is RequestState.DENIED or known.ended_at is not None:
            raise _is_over(known)
        held = seat_addresses.holding(connection, known.address)
        if held is not None and mailboxes.by_id(connection, held.mailbox_id).user_id == known.user_id:
            raise Refused(
                "request.on_seat",
                f"{known.address} is now a mailbox of {known.user}; its approval ends when it is removed",
                Command("mailbox", "show", mailboxes.by_id(connection, held.mailbox_id).address),
            )
        requests.end(connection, known.address, now)
        told = {"request": known.id, "user": known.user_id, "before": known.state}
        events.record(connection, context.actor, "request.withdrawn", now, About(), **told)
        return _again(connection, known.id)


def _decide(
    context: Context, name: str, transition: Transition, reason: str | None, now: datetime
) -> StoredRequest:
    if reason is not None and not (
        reason.strip() and reason.isprintable() and len(reason) <= _LONGEST_REASON
    ):
        raise BadInput("request.reason", f"a reason is one line of up to {_LONGEST_REASON} letters")
    with context.store.writing() as connection:
        workspaces.lock(connection)
        seats.require_deed(connection, context.actor, Deed.REQUESTS)
        acting = seats.require_active(connection, context.actor)
        known = _named(connection, name)
        if not known.is_open:
            raise _is_over(known)
        user = workspaces.user_by_id(connection, known.user_id)
        assert user is not None  # a request refers to its user
        if transition.target is RequestState.APPROVED:
            _refuse_on_seat(connection, user, known.address)
            found = _checks(connection, context.actor, user, known.address)
        else:
            found = ownership.checks(connection, context.actor, user, known.address)
        if not requests.decide(
            connection,
            transition,
            known,
            [check.told() for check in found],
            decided_by=acting.id,
            decided_at=now,
            reason=reason,
        ):
            raise _is_over(_again(connection, known.id))
        decided = _again(connection, known.id)
        told_of = {"request": known.id, "user": user.id, "before": known.state, "after": decided.state}
        events.record(connection, context.actor, f"mailbox.{decided.state}", now, About(), **told_of)
        return decided


def _checks(connection: Connection, actor: Actor, user: StoredUser, address: str) -> list[ownership.Check]:
    """Run all checks. Raises Refused if a hard one fails."""
    found = ownership.checks(connection, actor, user, address)
    for check in found:
        if check.refusal is not None:
            raise check.refusal
    return found


def _refuse_on_seat(connection: Connection, user: StoredUser, address: str) -> None:
    held = seat_addresses.holding(connection, address)
    box = None if held is None else mailboxes.by_id(connection, held.mailbox_id)
    if held is None or box is None or box.user_id != user.id:
        return
    spelt = "" if held.address == address else f", as {held.address}"
    again = box.state is ConnectionState.DISCONNECTED and held.address == box.address
    raise Refused(
        "request.on_seat",
        f"{address} is already a mailbox of {user.email}{spelt} and needs no approval",
        Command("mailbox", "connect", box.address, "--for", user.email)
        if again
        else Command("mailbox", "show", box.address),
    )


def _is_requested(connection: Connection, actor: Actor, known: StoredRequest, user: StoredUser) -> Refused:
    if known.user_id == user.id and known.state is RequestState.APPROVED:
        hint: AnyHint = Command("mailbox", "connect", known.address, "--for", user.email)
    elif known.user_id == user.id:
        hint = advice.way(connection, actor, Deed.REQUESTS, Command("mailbox", "approve", f"q_{known.id}"))
    else:
        withdraw = Command("mailbox", "withdraw", f"q_{known.id}")
        hint = advice.way(connection, actor, Deed.ANY_SEAT, withdraw, seat_id=known.user_id)
    return Refused(
        "request.exists", f"{known.address} is already {known.state} for {known.user}, as q_{known.id}", hint
    )


def _is_over(known: StoredRequest) -> Refused:
    again = Command("mailbox", "request", known.address, "--for", known.user)
    if known.ended_at is not None:
        what = f"q_{known.id} is over: it was withdrawn, or {known.user} no longer has {known.address}"
        return Refused("request.ended", what, again)
    return Refused(
        "request.decided",
        f"q_{known.id}, {known.address} for {known.user}, was {known.state} by {known.decided_by}",
        again if known.state is RequestState.DENIED else Command("mailbox", "requests", "--all"),
    )


def _named(connection: Connection, name: str) -> StoredRequest:
    """Find a request by id (`q_17`) or requested address. Raises NotFound (`request.none`), BadInput."""
    if "@" in name:
        found = requests.current(connection, normalise_address(name))
    else:
        number = name.removeprefix("q_")
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        found = requests.find(connection, int(number)) if is_number else None
    if found is None:
        raise NotFound("request.none", f"there is no request {name}", Command("mailbox", "requests", "--all"))
    return found


def _again(connection: Connection, request_id: int) -> StoredRequest:
    found = requests.find(connection, request_id)
    assert found is not None
    return found
