"""The database's times: the latest instant acted on, and the server's clock (F6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Table, delete, func, select, text, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.dialects import is_sqlite
from mailrotate.core.values.clock import Boot


def latest_acted_at(connection: Connection) -> datetime | None:
    """The latest instant at which any lane or pass acted."""
    lane = connection.execute(select(func.max(t.lane.c.acted_at))).scalar_one()
    a_pass = connection.execute(select(t.workspace.c.last_pass_at)).scalar_one_or_none()
    return max((instant for instant in (lane, a_pass) if isinstance(instant, datetime)), default=None)


def database_now(connection: Connection) -> datetime | None:
    """The server's clock, only to compare ours with; None on SQLite."""
    if is_sqlite(connection):
        return None
    found = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found if isinstance(found, datetime) else None


def known_boot(connection: Connection) -> Boot | None:
    """The start of the machine that made the latest pass; None if it could not name it."""
    w = t.workspace.c
    row = connection.execute(select(w.boot_id, w.booted_at)).one_or_none()
    return None if row is None or row.boot_id is None else Boot(row.boot_id, row.booted_at)


def keep_boot(connection: Connection, boot: Boot | None) -> None:
    """Replace what `known_boot` finds."""
    values = {"boot_id": boot and boot.id, "booted_at": boot and boot.began_at}
    connection.execute(update(t.workspace).values(values))


@dataclass(frozen=True)
class Ahead:
    """What was written by a clock that was ahead of the present one."""

    latest_at: datetime | None
    messages: int
    absences: int


def ahead_of(connection: Connection, now: datetime) -> Ahead:
    """Count what lies after `now` and should not."""
    messages = select(func.count()).where(t.message.c.claimed_at > now, t.is_counted)
    absences = select(func.count()).where(t.absence.c.until_at > now)
    return Ahead(
        latest_acted_at(connection),
        int(connection.execute(messages).scalar_one()),
        int(connection.execute(absences).scalar_one()),
    )


def bring_back(connection: Connection, now: datetime) -> None:
    """Move every instant that a clock ahead has written, and that decides something, back to `now`.

    Follow-ups keep their delay: it counts from `now` instead of from the wrong instant. Holds keep their
    end, since a server may have named it. The log stays as it was written.
    """
    _bring_follow_ups_back(connection, now)
    m, f, box = t.message.c, t.folder.c, t.connection.c
    for column in (m.claimed_at, m.marked_at, m.sent_at, m.settled_at):
        _cap(connection, t.message, column, now)
    for table, column in (
        (t.lane, t.lane.c.acted_at),
        (t.lane, t.lane.c.next_send_at),
        (t.workspace, t.workspace.c.last_pass_at),
        (t.workspace, t.workspace.c.last_sending_pass_at),
        (t.folder, f.next_try_at),
        (t.folder, f.failing_since),
        (t.connection, box.trouble_since),
    ):
        _cap(connection, table, column, now)
    # Long ago enough that every inbox is read before anything is sent.
    _cap(connection, t.folder, f.read_at, now, back=timedelta(days=1))
    # Not tested and not late as far as the present clock knows.
    for table, column in ((t.connection, box.last_test_at), (t.message, m.overdue_at)):
        connection.execute(update(table).where(column > now).values({column: None}))
    connection.execute(delete(t.absence).where(t.absence.c.until_at > now))


def _cap(
    connection: Connection,
    table: Table,
    column: Column[datetime],
    now: datetime,
    back: timedelta = timedelta(),
) -> None:
    connection.execute(update(table).where(column > now).values({column: now - back}))


def _bring_follow_ups_back(connection: Connection, now: datetime) -> None:
    m, r = t.message.c, t.recipient.c
    sent = (
        select(m.recipient_id, func.max(m.sent_at).label("sent_at"))
        .where(m.sent_at > now, m.recipient_id.is_not(None))
        .group_by(m.recipient_id)
        .subquery()
    )
    people = select(r.id, r.next_at, sent.c.sent_at).join(sent, sent.c.recipient_id == r.id)
    for person in connection.execute(people.where(r.next_at.is_not(None))).all():
        due_at = person.next_at - (person.sent_at - now)
        connection.execute(update(t.recipient).where(r.id == person.id).values(next_at=due_at))
    planned = select(m.id, m.due_at, m.ready_at, sent.c.sent_at).join(
        sent, sent.c.recipient_id == m.recipient_id
    )
    for row in connection.execute(planned.where(t.is_scheduled)).all():
        back = row.sent_at - now
        values = {"due_at": row.due_at - back, "ready_at": row.ready_at - back}
        connection.execute(update(t.message).where(m.id == row.id).values(**values))
