"""Lanes: one row per mailbox, owned by the process that sends from, reads or tests the mailbox."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.ready import Ready


@dataclass(frozen=True)
class Lane:
    """A lane that this process owns. The token grows with each owner, so an old owner's writes fail."""

    mailbox_id: int
    runner_id: int
    token: int


_THE_LANE = t.lane.c.mailbox_id == bindparam("b_mailbox")
_IS_OURS = and_(t.lane.c.runner_id == bindparam("b_runner"), t.lane.c.token == bindparam("b_token"))
_LANE = Ready(update(t.lane).where(_THE_LANE))
_OURS = Ready(update(t.lane).where(_THE_LANE, _IS_OURS))
_ASKED_AT = Ready(select(t.lane.c.asked_at).where(_THE_LANE))

_LAST_MESSAGE = (
    select(t.message.c.token, t.message.c.sent_at, t.message.c.marked_at)
    .where(t.message.c.mailbox_id == bindparam("b_mailbox"), t.is_counted, t.message.c.marked_at.is_not(None))
    .order_by(t.message.c.claimed_at.desc())
    .limit(1)
)


def _known(lane: Lane) -> dict[str, object]:
    return {"b_mailbox": lane.mailbox_id, "b_runner": lane.runner_id, "b_token": lane.token}


def take(connection: Connection, mailbox_id: int, runner_id: int) -> Lane | None:
    """Take a free lane; None if another runner has it, or is just taking it."""
    query = (
        select(t.lane.c.token)
        .where(t.lane.c.mailbox_id == mailbox_id, t.lane.c.runner_id.is_(None))
        .with_for_update(skip_locked=True)
    )
    token = connection.execute(query).scalar_one_or_none()
    if token is None:
        return None
    connection.execute(
        update(t.lane)
        .where(t.lane.c.mailbox_id == mailbox_id)
        .values(runner_id=runner_id, token=token + 1, asked_at=None)
    )
    return Lane(mailbox_id, runner_id, token + 1)


def ask_for(connection: Connection, mailbox_id: int, asked_at: datetime | None) -> None:
    """Ask the owner of a lane to leave it after the message in flight; None takes the request back."""
    connection.execute(update(t.lane).where(t.lane.c.mailbox_id == mailbox_id).values(asked_at=asked_at))


def is_asked_for(connection: Connection, mailbox_id: int) -> bool:
    """Whether a command waits for the lane."""
    return _ASKED_AT.value(connection, b_mailbox=mailbox_id) is not None


def hold_on(connection: Connection, lane: Lane, now: datetime) -> bool:
    """Lock the lane's row for this transaction and note the instant (F6); False if the lane is lost."""
    return _OURS.change(connection, **_known(lane), acted_at=now) == 1


def was_taken_since(connection: Connection, mailbox_id: int, token: int) -> bool:
    """Whether the lane was taken after it had this token. No other process can take it until the
    transaction ends."""
    query = select(t.lane.c.token).where(t.lane.c.mailbox_id == mailbox_id).with_for_update()
    return bool(connection.execute(query).scalar_one() != token)


def release(connection: Connection, lane: Lane) -> None:
    """Release the lane if it is still ours."""
    _OURS.change(connection, **_known(lane), runner_id=None)


def note_work(connection: Connection, mailbox_id: int, broke_by: str | None, now: datetime) -> bool:
    """Record whether a lane's work ended in an error; True if that is news."""
    known = t.lane.c.broke_by
    is_other = known.is_not(None) if broke_by is None else or_(known.is_(None), known != broke_by)
    changed = update(t.lane).where(t.lane.c.mailbox_id == mailbox_id, is_other)
    broke_at = None if broke_by is None else now
    return connection.execute(changed.values(broke_at=broke_at, broke_by=broke_by)).rowcount == 1


def broken(connection: Connection) -> dict[int, str]:
    """By mailbox, the error in which its lane's work ended."""
    query = select(t.lane.c.mailbox_id, t.lane.c.broke_by).where(t.lane.c.broke_by.is_not(None))
    return {row.mailbox_id: row.broke_by for row in connection.execute(query)}


def owners(connection: Connection) -> list[int]:
    """The runners that own lanes."""
    query = select(t.lane.c.runner_id).where(t.lane.c.runner_id.is_not(None)).distinct()
    return [int(runner_id) for runner_id in connection.execute(query).scalars()]


def free_lanes_of(connection: Connection, runner_id: int) -> None:
    """Free the lanes of a dead runner."""
    connection.execute(update(t.lane).where(t.lane.c.runner_id == runner_id).values(runner_id=None))


def last_message(connection: Connection, mailbox_id: int) -> tuple[str, datetime] | None:
    """Token and instant of the last message that left, or may have left, the mailbox.

    Until the transaction ends, no other process can set when the mailbox may send next.
    """
    connection.execute(select(t.lane.c.token).where(t.lane.c.mailbox_id == mailbox_id).with_for_update())
    row = connection.execute(_LAST_MESSAGE, {"b_mailbox": mailbox_id}).one_or_none()
    return None if row is None else (row.token, row.sent_at or row.marked_at)


def rest(connection: Connection, mailbox_id: int, until: datetime | None) -> None:
    """Set when the mailbox may send next."""
    _LANE.change(connection, b_mailbox=mailbox_id, next_send_at=until)
