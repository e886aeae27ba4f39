"""Mailboxes for sending: everything that gates and messages need, in one row."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam

from mailrotate.core.store import connections, mailboxes, settings
from mailrotate.core.store import tables as t
from mailrotate.core.store.connections import Health
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.portions import rows_with
from mailrotate.core.store.ready import Ready, Record
from mailrotate.core.store.sending import inboxes
from mailrotate.core.store.sending.inboxes import InboxState
from mailrotate.core.store.settings import StoredSettings
from mailrotate.core.values.mail import INBOX


@dataclass(frozen=True)
class SendingMailbox(StoredMailbox):
    """A mailbox with its settings, health, inbox, lane, and what is known about its server."""

    settings: StoredSettings
    health: Health
    inbox: InboxState
    next_send_at: datetime | None
    files_sent_copy: bool | None
    # Changes whenever a process takes the lane.
    lane_token: int = field(compare=False)


_COLUMNS = (
    *mailboxes.COLUMNS,
    *settings.COLUMNS,
    *connections.HEALTH,
    *inboxes.STATE,
    t.lane.c.next_send_at,
    t.lane.c.token.label("lane_token"),
    t.mailbox.c.files_sent_copy,
)
_QUERY = (
    settings.joined(mailboxes.with_connections(*dict.fromkeys(_COLUMNS)))
    .join(t.lane, t.lane.c.mailbox_id == t.mailbox.c.id)
    .outerjoin(t.folder, and_(t.folder.c.mailbox_id == t.mailbox.c.id, t.folder.c.name == INBOX))
)
_BY_ID = Ready(_QUERY.where(t.mailbox.c.id == bindparam("b_id")))


def _read(r: Record) -> SendingMailbox:
    return SendingMailbox(
        **mailboxes.fields(r),
        settings=settings.read(r),
        health=connections.health(r),
        inbox=inboxes.state(r),
        next_send_at=r["next_send_at"],
        files_sent_copy=r["files_sent_copy"],
        lane_token=r["lane_token"],
    )


def by_id(connection: Connection, mailbox_id: int) -> SendingMailbox:
    row = _BY_ID.first(connection, b_id=mailbox_id)
    assert row is not None
    return _read(row)


def by_ids(connection: Connection, mailbox_ids: Sequence[int]) -> list[SendingMailbox]:
    return [_read(r._mapping) for r in rows_with(connection, _QUERY, t.mailbox.c.id, mailbox_ids)]


def listing(connection: Connection, *, removed: bool = False) -> list[SendingMailbox]:
    """List present mailboxes, or removed ones, in the order of their first connection."""
    there = t.mailbox.c.removed_at.is_not(None) if removed else t.mailbox.c.removed_at.is_(None)
    return [_read(r) for r in connection.execute(_QUERY.where(there).order_by(t.mailbox.c.id)).mappings()]
