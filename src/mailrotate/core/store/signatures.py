"""The signatures of a connection: several, one of them the main one or none (B3)."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from mailrotate.core.store import tables as t


@dataclass(frozen=True)
class StoredSignature:
    """A signature; its body is Markdown."""

    id: int
    name: str
    body: str
    is_main: bool


def of_connection(connection: Connection, connection_id: int) -> list[StoredSignature]:
    s = t.signature.c
    query = select(s.id, s.name, s.body, s.is_main).where(s.connection_id == connection_id).order_by(s.id)
    return [StoredSignature(row.id, row.name, row.body, row.is_main) for row in connection.execute(query)]


def insert_signature(connection: Connection, connection_id: int, name: str, body: str) -> int:
    """Insert a signature, not as the main one."""
    made = connection.execute(insert(t.signature).values(connection_id=connection_id, name=name, body=body))
    return int((made.inserted_primary_key or (0,))[0])


def change(connection: Connection, signature_id: int, **values: object) -> None:
    connection.execute(update(t.signature).where(t.signature.c.id == signature_id).values(**values))


def make_main(connection: Connection, connection_id: int, signature_id: int | None) -> None:
    """Make this signature the main one, or (None) have none."""
    s = t.signature.c
    connection.execute(
        update(t.signature).where(s.connection_id == connection_id, s.is_main).values(is_main=False)
    )
    if signature_id is not None:
        change(connection, signature_id, is_main=True)


def delete_signature(connection: Connection, signature_id: int) -> None:
    connection.execute(delete(t.signature).where(t.signature.c.id == signature_id))


def former(connection: Connection, mailbox_id: int) -> list[StoredSignature]:
    """The signatures of the previous connection."""
    c = t.connection.c
    latest = (
        select(c.id)
        .where(c.mailbox_id == mailbox_id, c.superseded_at.is_not(None))
        .order_by(c.id.desc())
        .limit(1)
    )
    found = connection.execute(latest).scalar_one_or_none()
    return [] if found is None else of_connection(connection, found)
