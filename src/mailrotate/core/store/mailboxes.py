"""Mailboxes with their connections, and the counts that the gates need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    column,
    func,
    or_,
    select,
    tuple_,
    update,
    values,
)

from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import portions, rows_with
from mailrotate.core.store.ready import Ready, Record
from mailrotate.core.values.mail import DEFAULT_GAP
from mailrotate.core.values.states import ConnectionState, MessageKind, ReplyClass, UserState


@dataclass(frozen=True)
class StoredMailbox:
    """An address on a seat, with its current connection."""

    id: int
    address: str
    user_id: int
    user_email: str
    user_state: UserState
    is_default: bool
    removed_at: datetime | None
    connection_id: int
    slot_id: int
    state: ConnectionState
    provider: str
    is_shared: bool


COLUMNS = (
    t.mailbox.c.id,
    t.mailbox.c.address,
    t.mailbox.c.user_id,
    t.user.c.email.label("user_email"),
    t.user.c.state.label("user_state"),
    (t.user.c.default_mailbox_id == t.mailbox.c.id).label("is_default"),
    t.mailbox.c.removed_at,
    t.connection.c.id.label("connection_id"),
    t.connection.c.slot_id,
    t.connection.c.state,
    t.connection.c.provider,
    t.connection.c.is_shared,
)


def with_connections(*columns: ColumnElement[Any]) -> Select[Any]:
    """Columns of mailboxes, their users and their current connections."""
    return (
        select(*columns)
        .select_from(t.mailbox)
        .join(t.user, t.user.c.id == t.mailbox.c.user_id)
        .join(t.connection, t.connection.c.mailbox_id == t.mailbox.c.id)
        .where(t.connection.c.superseded_at.is_(None))
    )


def fields(r: Record) -> dict[str, Any]:
    """Read the fields of a StoredMailbox from a row with these columns."""
    known = {column.key: r[column.key] for column in COLUMNS}
    return {
        **known,
        "user_state": UserState(r["user_state"]),
        "is_default": bool(r["is_default"]),
        "state": ConnectionState(r["state"]),
    }


_QUERY = with_connections(*COLUMNS)


def _read(row: Row[Any]) -> StoredMailbox:
    return StoredMailbox(**fields(row._mapping))


# Built once, because every claim runs it: building a statement costs ten times as much as running it.
_BY_ID = _QUERY.where(t.mailbox.c.id == bindparam("b_id"))
_COUNTED_SINCE = select(func.count()).where(t.message.c.claimed_at >= bindparam("b_start"), t.is_counted)
_SENT_SINCE = Ready(_COUNTED_SINCE.where(t.message.c.mailbox_id == bindparam("b_mailbox")))
_SENT_THROUGH_SLOT = Ready(_COUNTED_SINCE.where(t.message.c.slot_id == bindparam("b_slot")))
_NTH_LATEST = (
    select(t.message.c.claimed_at)
    .where(
        t.message.c.mailbox_id == bindparam("b_mailbox"),
        t.message.c.claimed_at > bindparam("b_since"),
        t.is_counted,
    )
    .order_by(t.message.c.claimed_at.desc())
    .offset(bindparam("b_offset"))
    .limit(1)
)
_GAP = Ready(select(t.connection.c.gap_seconds).where(t.connection.c.id == bindparam("b_connection")))
_MAIN_SIGNATURE = Ready(
    select(t.signature.c.body).where(
        t.signature.c.connection_id == bindparam("b_connection"), t.signature.c.is_main
    )
)


def by_id(connection: Connection, mailbox_id: int) -> StoredMailbox:
    return _read(connection.execute(_BY_ID, {"b_id": mailbox_id}).one())


def by_address(connection: Connection, address: str) -> StoredMailbox | None:
    row = connection.execute(_QUERY.where(t.mailbox.c.address == address)).one_or_none()
    return None if row is None else _read(row)


def listing(
    connection: Connection, *, removed: bool = False, user_id: int | None = None
) -> list[StoredMailbox]:
    """List present mailboxes, or removed ones, in the order of their first connection.

    Of all users, or of one user.
    """
    there = t.mailbox.c.removed_at.is_not(None) if removed else t.mailbox.c.removed_at.is_(None)
    query = _QUERY.where(there).order_by(t.mailbox.c.id)
    if user_id is not None:
        query = query.where(t.mailbox.c.user_id == user_id)
    return [_read(row) for row in connection.execute(query)]


def on_slot(connection: Connection, slot_id: int) -> StoredMailbox | None:
    """The mailbox that sends for a slot's single-sender campaigns (C5): the last one connected in it."""
    query = _QUERY.where(t.connection.c.slot_id == slot_id, t.mailbox.c.removed_at.is_(None))
    row = connection.execute(query.order_by(t.connection.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _read(row)


def lock_present(connection: Connection, mailbox_id: int) -> bool:
    """Whether a mailbox was not removed; until the transaction ends, neither that nor the state of its
    connection changes."""
    query = (
        select(t.mailbox.c.id)
        .join(t.connection, t.connection.c.mailbox_id == t.mailbox.c.id)
        .where(
            t.mailbox.c.id == mailbox_id,
            t.mailbox.c.removed_at.is_(None),
            t.connection.c.superseded_at.is_(None),
        )
    )
    # The connection first, as a reconnect and a removal lock them.
    return (
        connection.execute(query.with_for_update(read=True, of=[t.connection, t.mailbox])).first() is not None
    )


def resting(connection: Connection, now: datetime) -> dict[int | None, tuple[datetime | None, str | None]]:
    """Since when the mailboxes that are paused or on hold are paused, and why they are on hold, by id."""
    c = t.mailbox.c
    is_on_hold = and_(c.hold_reason.is_not(None), or_(c.hold_until.is_(None), c.hold_until > now))
    query = select(c.id, c.paused_at, case((is_on_hold, c.hold_reason))).where(
        or_(c.paused_at.is_not(None), is_on_hold)
    )
    return {mailbox_id: (paused_at, reason) for mailbox_id, paused_at, reason in connection.execute(query)}


def sent_since(connection: Connection, mailbox_id: int, start: datetime) -> int:
    """Count the messages that the daily limit counts: sent, being sent, and held (they may have left)."""
    return int(_SENT_SINCE.value(connection, b_mailbox=mailbox_id, b_start=start))


def sent_since_each(
    connection: Connection, starts: Mapping[int, datetime], kind: MessageKind | None = None
) -> dict[int, int]:
    """Like `sent_since` for many mailboxes, each with the start of its own day; zeros are missing."""
    found = _counted_since(connection, t.message.c.mailbox_id, list(starts.items()), kind)
    return {mailbox_id: count for (mailbox_id, _), count in found.items()}


def sent_through_slots_since(
    connection: Connection, starts: Sequence[tuple[int, datetime]]
) -> dict[tuple[int, datetime], int]:
    """Like `sent_through_slot_since` for many slots and starts; zeros are missing."""
    return _counted_since(connection, t.message.c.slot_id, starts)


def _counted_since(
    connection: Connection,
    counted_by: ColumnElement[int],
    starts: Sequence[tuple[int, datetime]],
    kind: MessageKind | None = None,
) -> dict[tuple[int, datetime], int]:
    wanted = t.is_counted if kind is None else and_(t.is_counted, t.message.c.kind == kind)
    m = t.message.c
    days = values(column("id", counted_by.type), column("start", m.claimed_at.type), name="days")
    found: dict[tuple[int, datetime], int] = {}
    for some in portions(starts):
        # Joined, so that each day is looked up in the index.
        day = days.data([*some]).cte("day")
        query = (
            select(day.c.id, day.c.start, func.count())
            .join(t.message, and_(counted_by == day.c.id, m.claimed_at >= day.c.start))
            .where(wanted)
            .group_by(day.c.id, day.c.start)
        )
        found |= {(row[0], row[1]): row[2] for row in connection.execute(query)}
    return found


def last_sent_each(connection: Connection, mailbox_ids: Sequence[int]) -> dict[int, datetime]:
    """When each mailbox last handed a message over; those that never did are missing."""
    m = t.message.c
    # A look into the index for each: MAX over a group would read all its messages.
    last = (
        select(func.max(m.claimed_at))
        .where(m.mailbox_id == t.mailbox.c.id, t.is_counted)
        .correlate(t.mailbox)
        .scalar_subquery()
    )
    rows = rows_with(connection, select(t.mailbox.c.id, last.label("last")), t.mailbox.c.id, mailbox_ids)
    return {row.id: row.last for row in rows if row.last is not None}


def sent_through_slot_since(connection: Connection, slot_id: int, start: datetime) -> int:
    return int(_SENT_THROUGH_SLOT.value(connection, b_slot=slot_id, b_start=start))


def nth_latest_send(connection: Connection, mailbox_id: int, n: int, since: datetime) -> datetime | None:
    """The instant of the n-th latest counted message after `since`; None if there were fewer."""
    known = {"b_mailbox": mailbox_id, "b_since": since, "b_offset": n - 1}
    found = connection.execute(_NTH_LATEST, known).scalar_one_or_none()
    return found if isinstance(found, datetime) else None


def nth_latest_sends(
    connection: Connection, mailbox_ids: Sequence[int], n: int, since: datetime
) -> dict[int, datetime]:
    """Like `nth_latest_send` for many mailboxes; those with fewer are missing."""
    m = t.message.c
    nth = (
        select(m.claimed_at)
        .where(m.mailbox_id == t.mailbox.c.id, m.claimed_at > since, t.is_counted)
        .order_by(m.claimed_at.desc())
        .offset(n - 1)
        .limit(1)
        .correlate(t.mailbox)
        .scalar_subquery()
    )
    rows = rows_with(connection, select(t.mailbox.c.id, nth.label("nth")), t.mailbox.c.id, mailbox_ids)
    return {row.id: row.nth for row in rows if row.nth is not None}


def change(connection: Connection, mailbox_id: int, **values: object) -> None:
    """Set columns of the mailbox itself (its address's history, holds and habits)."""
    connection.execute(update(t.mailbox).where(t.mailbox.c.id == mailbox_id).values(**values))


def change_connection(connection: Connection, connection_id: int, **values: object) -> None:
    """Set columns of a connection (settings, servers, secret)."""
    connection.execute(update(t.connection).where(t.connection.c.id == connection_id).values(**values))


def others_reached_since(connection: Connection, smtp_host: str, since: datetime) -> bool:
    """Whether any other server was reached since then; if not, this machine may be offline."""
    query = (
        select(t.connection.c.id)
        .join(t.folder, t.folder.c.mailbox_id == t.connection.c.mailbox_id)
        .where(
            t.connection.c.superseded_at.is_(None),
            t.connection.c.smtp_host != smtp_host,
            t.connection.c.trouble_since.is_(None),
            t.folder.c.read_at >= since,
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None


def missing_the_server_of(connection: Connection, mailbox_id: int) -> list[StoredMailbox]:
    """The other connected mailboxes that did not reach the SMTP server of this one at their last try.

    Those that another process is just changing are left out; the rows are locked until the transaction ends.
    """
    c, own = t.connection.c, t.connection.alias().c
    same = select(own.smtp_host, own.smtp_port).where(
        own.mailbox_id == mailbox_id, own.superseded_at.is_(None)
    )
    query = (
        select(c.mailbox_id)
        .where(
            c.mailbox_id != mailbox_id,
            c.superseded_at.is_(None),
            c.state == ConnectionState.CONNECTED,
            c.trouble_since.is_not(None),
            tuple_(c.smtp_host, c.smtp_port).in_(same),
        )
        .with_for_update(skip_locked=True)
    )
    return [by_id(connection, number) for number in connection.execute(query).scalars()]


def not_tested_since(connection: Connection, instant: datetime, now: datetime) -> list[int]:
    """The mailboxes whose connection was not tested since then, except those held by a limit.

    It may be a limit of logins, which each test would prolong.
    """
    c, m = t.connection.c, t.mailbox.c
    query = (
        select(c.mailbox_id)
        .join(t.mailbox, m.id == c.mailbox_id)
        .where(
            or_(m.hold_class.is_(None), m.hold_class != ReplyClass.LIMIT, m.hold_until <= now),
            c.superseded_at.is_(None),
            c.state != ConnectionState.DISCONNECTED,
            c.last_test_at.is_(None) | (c.last_test_at <= instant),
        )
        .order_by(c.mailbox_id)
    )
    return [int(mailbox_id) for mailbox_id in connection.execute(query).scalars()]


def gap_of(connection: Connection, connection_id: int) -> timedelta:
    """The present gap between two messages."""
    own = _GAP.value(connection, b_connection=connection_id)
    return DEFAULT_GAP if own is None else timedelta(seconds=own)


def main_signature(connection: Connection, connection_id: int) -> str | None:
    found = _MAIN_SIGNATURE.value(connection, b_connection=connection_id)
    return None if found is None else str(found)


def end_hold(connection: Connection, mailbox_id: int) -> None:
    change(connection, mailbox_id, hold_class=None, hold_reason=None, hold_until=None)
