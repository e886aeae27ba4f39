"""Read cursors of inboxes, and sent copies that are still to be filed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.ready import Record
from mailrotate.core.values.mail import FolderCursor


@dataclass(frozen=True)
class PendingCopy:
    message_id: int
    header_id: str
    attempts: int
    raw: bytes = field(repr=False)


@dataclass(frozen=True)
class InboxState:
    """When the INBOX was last read, and since when reading fails (None: it works)."""

    read_at: datetime | None
    failing_since: datetime | None
    error: str | None
    next_try_at: datetime | None


STATE = (
    t.folder.c.read_at,
    t.folder.c.failing_since,
    t.folder.c.last_error.label("inbox_error"),
    t.folder.c.next_try_at,
)


def state(r: Record) -> InboxState:
    """Read the state from a row with these columns."""
    return InboxState(*(r[column.key] for column in STATE))


@dataclass(frozen=True)
class StoredFolder:
    """When a folder was read, and what its server says while it cannot be."""

    name: str
    read_at: datetime | None
    error: str | None


def folders_of(connection: Connection, mailbox_id: int, names: Sequence[str]) -> list[StoredFolder]:
    """These folders in this order, including ones that were never read."""
    f = t.folder.c
    query = select(f.name, f.read_at, f.last_error).where(f.mailbox_id == mailbox_id, f.name.in_(names))
    found = {
        row.name: StoredFolder(row.name, row.read_at, row.last_error) for row in connection.execute(query)
    }
    return [found.get(name, StoredFolder(name, None, None)) for name in names]


def cursor_of(connection: Connection, mailbox_id: int, name: str) -> FolderCursor | None:
    """The cursor of a folder; None before its first reading."""
    row = connection.execute(
        select(t.folder.c.uid_validity, t.folder.c.last_uid).where(
            t.folder.c.mailbox_id == mailbox_id, t.folder.c.name == name
        )
    ).one_or_none()
    if row is None or row.uid_validity is None:
        return None
    return FolderCursor(row.uid_validity, row.last_uid)


def note_read(
    connection: Connection, mailbox_id: int, name: str, cursor: FolderCursor, now: datetime
) -> None:
    _note(
        connection,
        mailbox_id,
        name,
        uid_validity=cursor.uid_validity,
        last_uid=cursor.last_uid,
        read_at=now,
        failing_since=None,
        next_try_at=None,
        last_error=None,
    )


def note_failure(
    connection: Connection,
    mailbox_id: int,
    name: str,
    said: str,
    now: datetime,
    next_try_at: datetime | None = None,
) -> None:
    """Note that a folder cannot be read; the instant of the first failure stays."""
    since = connection.execute(
        select(t.folder.c.failing_since).where(t.folder.c.mailbox_id == mailbox_id, t.folder.c.name == name)
    ).scalar_one_or_none()
    _note(connection, mailbox_id, name, failing_since=since or now, next_try_at=next_try_at, last_error=said)


def forget_failure(connection: Connection, mailbox_id: int) -> None:
    """Forget a failure after a reconnect; the next reading decides again."""
    connection.execute(
        update(t.folder)
        .where(t.folder.c.mailbox_id == mailbox_id)
        .values(failing_since=None, next_try_at=None, last_error=None)
    )


def _note(connection: Connection, mailbox_id: int, name: str, **values: object) -> None:
    result = connection.execute(
        update(t.folder).where(t.folder.c.mailbox_id == mailbox_id, t.folder.c.name == name).values(**values)
    )
    if result.rowcount == 0:
        connection.execute(insert(t.folder).values(mailbox_id=mailbox_id, name=name, **values))


def keep_copy(connection: Connection, message_id: int, mailbox_id: int, raw: bytes, now: datetime) -> None:
    connection.execute(
        insert(t.sent_copy).values(message_id=message_id, mailbox_id=mailbox_id, raw=raw, next_try_at=now)
    )


def pending_copies(connection: Connection, mailbox_id: int, now: datetime, limit: int) -> list[PendingCopy]:
    query = (
        select(t.sent_copy.c.message_id, t.message.c.message_id, t.sent_copy.c.attempts, t.sent_copy.c.raw)
        .join(t.message, t.message.c.id == t.sent_copy.c.message_id)
        .where(t.sent_copy.c.mailbox_id == mailbox_id, t.sent_copy.c.next_try_at <= now)
        .order_by(t.sent_copy.c.message_id)
        .limit(limit)
    )
    return [PendingCopy(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def drop_copy(connection: Connection, message_id: int) -> None:
    """Delete a pending copy that was filed or given up."""
    connection.execute(delete(t.sent_copy).where(t.sent_copy.c.message_id == message_id))


def postpone_copies(connection: Connection, mailbox_id: int, said: str, until: datetime) -> None:
    connection.execute(
        update(t.sent_copy)
        .where(t.sent_copy.c.mailbox_id == mailbox_id)
        .values(attempts=t.sent_copy.c.attempts + 1, last_error=said, next_try_at=until)
    )
