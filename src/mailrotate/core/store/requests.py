"""Mailbox requests and their decisions (A7)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from mailrotate.core.store import moves
from mailrotate.core.store import tables as t
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.states import RequestState
from mailrotate.core.values.transition import Transition

Checks = Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class StoredRequest:
    """One request, with what was checked the last time, and when it was made; None where only the last
    checks were kept. `ended_at`: it was withdrawn, or the address left."""

    id: int
    address: str
    user_id: int
    user: str
    requested_by: str
    requested_at: datetime
    state: RequestState
    checks: Checks
    checks_at_request: Checks | None
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    ended_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it waits for an admin's decision."""
        return self.state is RequestState.REQUESTED and self.ended_at is None


def insert_request(
    connection: Connection,
    transition: Transition,
    address: str,
    user_id: int,
    requested_by: int,
    checks: Checks,
    now: datetime,
) -> int:
    """A new request."""
    made = connection.execute(
        insert(t.mailbox_request).values(
            address=address,
            canonical=canonical_address(address),
            user_id=user_id,
            requested_by=requested_by,
            checks=json.dumps([checks]),
            requested_at=now,
            **moves.born(transition),
        )
    )
    return int((made.inserted_primary_key or (0,))[0])


def find(connection: Connection, request_id: int) -> StoredRequest | None:
    return next(_found(connection, t.mailbox_request.c.id == request_id), None)


def current(connection: Connection, address: str) -> StoredRequest | None:
    """The request for this address that is undecided, or approved and not ended."""
    return next(_found(connection, t.is_current_request, _is_of(address)), None)


def listing(
    connection: Connection,
    *,
    only_open: bool,
    user_id: int | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> list[StoredRequest]:
    """The requests of one user, or of all users, oldest first."""
    r = t.mailbox_request.c
    where = [_is_open()] if only_open else []
    where += [] if user_id is None else [r.user_id == user_id]
    where += [] if after is None else [r.id > after]
    return list(_found(connection, *where, limit=limit))


def open_count(connection: Connection) -> int:
    query = select(func.count()).select_from(t.mailbox_request).where(_is_open())
    return int(connection.execute(query).scalar_one())


def decide(
    connection: Connection,
    transition: Transition,
    known: StoredRequest,
    checks: Checks,
    **decided: object,
) -> bool:
    """Decide by compare-and-set: False if it was decided or withdrawn meanwhile. Keeps the checks made at the
    request beside those of the decision."""
    this = (t.mailbox_request.c.id == known.id) & t.mailbox_request.c.ended_at.is_(None)
    runs = json.dumps([known.checks, checks])
    return moves.move_many(connection, transition, this, checks=runs, **decided) == 1


def end(connection: Connection, address: str, now: datetime) -> bool:
    """End an address's open request or approval (withdrawn, or the address left); False if there was none."""
    ended = update(t.mailbox_request).where(t.is_current_request, _is_of(address)).values(ended_at=now)
    return connection.execute(ended).rowcount == 1


def has_approval(connection: Connection, mailbox_id: int) -> bool:
    """Whether one of the mailbox's addresses has an approval that lasts until it is removed."""
    approved = t.mailbox_request.c.state == RequestState.APPROVED
    query = select(t.mailbox_request.c.id).where(approved, *_are_of_mailbox(mailbox_id)).limit(1)
    return connection.execute(query).first() is not None


def end_of_mailbox(connection: Connection, mailbox_id: int, now: datetime) -> None:
    """End requests and approvals of all addresses that a mailbox holds; call before releasing them."""
    of_mailbox = _are_of_mailbox(mailbox_id)
    connection.execute(update(t.mailbox_request).where(*of_mailbox).values(ended_at=now))


def _are_of_mailbox(mailbox_id: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    held = select(t.seat_address.c.canonical).where(t.seat_address.c.mailbox_id == mailbox_id)
    return t.is_current_request, t.mailbox_request.c.canonical.in_(held)


def current_count(connection: Connection, user_id: int) -> int:
    """Count a user's requests that are undecided, or approved and not ended."""
    query = select(func.count()).where(t.is_current_request, t.mailbox_request.c.user_id == user_id)
    return int(connection.execute(query).scalar_one())


def end_of_user(connection: Connection, user_id: int, now: datetime) -> None:
    """End all requests of a user who left."""
    of_user = t.mailbox_request.c.user_id == user_id
    connection.execute(update(t.mailbox_request).where(t.is_current_request, of_user).values(ended_at=now))


def _is_of(address: str) -> ColumnElement[bool]:
    return t.mailbox_request.c.canonical == canonical_address(address)


def _is_open() -> ColumnElement[bool]:
    r = t.mailbox_request.c
    return (r.state == RequestState.REQUESTED) & r.ended_at.is_(None)


def _found(
    connection: Connection, *where: ColumnElement[bool], limit: int | None = None
) -> Iterator[StoredRequest]:
    r, requester, decider = t.mailbox_request.c, t.user.alias("requester"), t.user.alias("decider")
    query = (
        select(
            t.mailbox_request,
            t.user.c.email.label("user"),
            requester.c.email.label("requester"),
            decider.c.email.label("decider"),
        )
        .join(t.user, t.user.c.id == r.user_id)
        .join(requester, requester.c.id == r.requested_by)
        .outerjoin(decider, decider.c.id == r.decided_by)
        .where(*where)
        .order_by(r.id)
        .limit(limit)
    )
    yield from map(_read, connection.execute(query))


def _read(row: Row[tuple[object, ...]]) -> StoredRequest:
    r = row._mapping
    checks, at_request = _read_checks(r["checks"], RequestState(r["state"]))
    return StoredRequest(
        id=r["id"],
        address=r["address"],
        user_id=r["user_id"],
        user=r["user"],
        requested_by=r["requester"],
        requested_at=r["requested_at"],
        state=RequestState(r["state"]),
        checks=checks,
        checks_at_request=at_request,
        decided_by=r["decider"],
        decided_at=r["decided_at"],
        reason=r["reason"],
        ended_at=r["ended_at"],
    )


def _read_checks(stored: str, state: RequestState) -> tuple[Checks, Checks | None]:
    """The last run and that of the request; at first the table held the checks of the last run alone."""
    runs = json.loads(stored)
    if all(isinstance(run, list) for run in runs):
        return (runs[-1], runs[0]) if runs else ((), ())
    return runs, runs if state is RequestState.REQUESTED else None
