"""Contacts' timelines: the mail that linked mailboxes have seen, each once (B9).

Each writer locks the contact, so that an entry cannot appear after an erasure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, insert, literal, or_, select

from mailrotate.core.store import dialects
from mailrotate.core.store import tables as t
from mailrotate.core.values.address import canonical_address, domain_of
from mailrotate.core.values.states import Direction


@dataclass(frozen=True)
class NewEntry:
    """A mail to be noted; `header_id` tells it from every other of its mailbox."""

    contact_id: int
    mailbox_id: int
    at: datetime
    direction: Direction
    header_id: str
    subject: str | None


@dataclass(frozen=True)
class TimelineEntry:
    id: int
    at: datetime
    direction: Direction
    mailbox: str
    header_id: str
    subject: str | None


_COLUMNS = ("contact_id", "mailbox_id", "at", "direction", "header_id", "subject")
_c = t.timeline.c
# Built once, because every settling in a linked mailbox runs it.
_NOTE_SENT = insert(t.timeline).from_select(
    _COLUMNS,
    dialects.but_not_twice(
        select(
            t.contact.c.id,
            t.message.c.mailbox_id,
            bindparam("b_at", type_=_c.at.type),
            literal(Direction.OUTGOING.value),
            t.message.c.message_id,
            t.message.c.subject,
        )
        .select_from(
            t.message.join(
                t.contact,
                (t.contact.c.domain == bindparam("b_domain"))
                & (t.contact.c.canonical == bindparam("b_canonical")),
            )
        )
        .where(t.message.c.id == bindparam("b_message"))
        .with_for_update(read=True, key_share=True, of=t.contact)
    ),
)
_NOTE = insert(t.timeline).from_select(
    _COLUMNS,
    dialects.but_not_twice(
        select(t.contact.c.id, *(bindparam(f"b_{name}", type_=_c[name].type) for name in _COLUMNS[1:]))
        .where(t.contact.c.id == bindparam("b_contact_id"), t.contact.c.erased_at.is_(None))
        .with_for_update(read=True, key_share=True, of=t.contact)
    ),
)


def note_sent(connection: Connection, message_id: int, to_address: str, at: datetime) -> None:
    """Put a message of the outbox on the timeline of the contact it went to, if there is one."""
    canonical = canonical_address(to_address)
    known = {"b_domain": domain_of(canonical), "b_canonical": canonical}
    connection.execute(_NOTE_SENT, {"b_message": message_id, "b_at": at, **known})


def note(connection: Connection, entries: Sequence[NewEntry]) -> None:
    """Put mail on the timelines of its contacts; what is there already stays as it is."""
    if entries:
        rows = [{f"b_{name}": getattr(entry, name) for name in _COLUMNS} for entry in entries]
        connection.execute(_NOTE, rows)


def instant_of(connection: Connection, contact_id: int, entry_id: int) -> datetime | None:
    """The instant of a timeline entry; None if the contact has no such entry."""
    query = select(_c.at).where(_c.id == entry_id, _c.contact_id == contact_id)
    return connection.execute(query).scalar_one_or_none()


def newest(
    connection: Connection, contact_id: int, limit: int, after: tuple[datetime, int] | None = None
) -> list[TimelineEntry]:
    """List entries, newest first; `after` is the instant and id of the last entry already shown."""
    query = (
        select(_c.id, _c.at, _c.direction, t.mailbox.c.address, _c.header_id, _c.subject)
        .join(t.mailbox, t.mailbox.c.id == _c.mailbox_id)
        .where(_c.contact_id == contact_id)
        .order_by(_c.at.desc(), _c.id.desc())
        .limit(limit)
    )
    if after is not None:
        at, entry_id = after
        query = query.where(or_(_c.at < at, and_(_c.at == at, _c.id < entry_id)))
    return [
        TimelineEntry(row.id, row.at, Direction(row.direction), row.address, row.header_id, row.subject)
        for row in connection.execute(query)
    ]
