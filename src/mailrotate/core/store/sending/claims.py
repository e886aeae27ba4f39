"""Claim, mark and settle messages.

Every change is a compare-and-set on (message, claim token): a runner that lost a message changes nothing. The
statements are built once, because building one costs ten times as much as running it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from mailrotate.core.store import moves
from mailrotate.core.store import tables as t
from mailrotate.core.store.ready import Ready
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.transition import Transition

_m = t.message.c
_LANE_IS_OURS = (
    select(t.lane.c.mailbox_id)
    .where(
        t.lane.c.mailbox_id == bindparam("b_lane"),
        t.lane.c.runner_id == bindparam("b_runner"),
        t.lane.c.token == bindparam("b_token"),
    )
    .exists()
)
_IS_STILL_WANTED = or_(
    _m.recipient_id.is_(None),
    select(t.recipient.c.id).where(t.recipient.c.id == _m.recipient_id, t.is_open).exists(),
)
_MARK = Ready(
    update(t.message)
    .where(
        _m.id == bindparam("b_id"),
        _m.claim_token == bindparam("b_claim"),
        t.is_in_flight,
        _LANE_IS_OURS,
        _IS_STILL_WANTED,
    )
    .values(marked_at=bindparam("b_now"))
)
_STILL_OURS = (
    select(_m.id)
    .where(_m.id == bindparam("b_id"), _m.claim_token == bindparam("b_claim"), t.is_in_flight)
    .with_for_update()
)


@cache
def _settling(transition: Transition) -> Ready:
    is_this = and_(_m.id == bindparam("b_id"), _m.claim_token == bindparam("b_claim"))
    return Ready(moves.moving(transition).where(is_this))


def claim(
    connection: Connection,
    transition: Transition,
    message_id: int,
    *,
    claim_token: str,
    runner_id: int,
    slot_id: int,
    from_address: str,
    subject: str,
    in_reply_to: str | None,
    cited_ids: Sequence[str],
    content_hash: str,
    now: datetime,
) -> bool:
    """Claim a message with its rendered content's hash; False if another runner was faster."""
    return moves.move(
        connection,
        transition,
        message_id,
        claim_token=claim_token,
        runner_id=runner_id,
        slot_id=slot_id,
        from_address=from_address,
        subject=subject,
        in_reply_to=in_reply_to,
        cited_ids=" ".join(cited_ids),
        content_hash=content_hash,
        claimed_at=now,
        marked_at=None,
    )


def mark(connection: Connection, claimed: Claim, lane: Lane, now: datetime) -> bool:
    """Mark a message: from here on, the final dot may leave.

    False if the message or the lane is no longer ours, or the recipient ended since the claim.
    """
    known = {
        "b_id": claimed.message.id,
        "b_claim": claimed.claim_token,
        "b_lane": lane.mailbox_id,
        "b_runner": lane.runner_id,
        "b_token": lane.token,
        "b_now": now,
    }
    return _MARK.change(connection, **known) == 1


def still_ours(connection: Connection, claimed: Claim) -> bool:
    """Whether the claim is still valid; locks the row until the transaction ends."""
    known = {"b_id": claimed.message.id, "b_claim": claimed.claim_token}
    return connection.execute(_STILL_OURS, known).first() is not None


def settle(
    connection: Connection,
    transition: Transition,
    message_id: int,
    claim_token: str,
    /,
    **values: object,
) -> bool:
    """Record the result of a claimed message; False if it is no longer ours."""
    return _settling(transition).change(connection, b_id=message_id, b_claim=claim_token, **values) == 1


def in_flight_runners(connection: Connection) -> list[int]:
    """The runners that have messages in `sending`."""
    query = select(t.message.c.runner_id).where(t.is_in_flight, t.message.c.runner_id.is_not(None)).distinct()
    return [int(runner_id) for runner_id in connection.execute(query).scalars()]


class InFlight(NamedTuple):
    """A claimed message; once it is marked, its dot may have left."""

    message_id: int
    claim_token: str
    is_marked: bool


_IN_FLIGHT = select(_m.id, _m.claim_token, _m.marked_at).where(t.is_in_flight).with_for_update()
_IN_FLIGHT_OF = _IN_FLIGHT.where(_m.runner_id == bindparam("b_runner"))
_IN_FLIGHT_IN = _IN_FLIGHT.where(_m.mailbox_id == bindparam("b_mailbox"))


def in_flight_of(connection: Connection, runner_id: int) -> list[InFlight]:
    """The messages that a runner claimed.

    The rows are locked, so that a runner that is alive after all cannot mark them.
    """
    return _in_flight(connection.execute(_IN_FLIGHT_OF, {"b_runner": runner_id}))


def in_flight_in(connection: Connection, mailbox_id: int) -> list[InFlight]:
    """The claimed messages of a lane, by any runner. The rows are locked."""
    return _in_flight(connection.execute(_IN_FLIGHT_IN, {"b_mailbox": mailbox_id}))


def _in_flight(rows: Iterable[Any]) -> list[InFlight]:
    return [InFlight(row[0], row[1], row[2] is not None) for row in rows]
