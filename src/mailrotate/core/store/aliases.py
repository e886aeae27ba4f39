"""The other addresses that a mailbox may send as (B11)."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from mailrotate.core.store import tables as t


@dataclass(frozen=True)
class StoredAlias:
    """An alias; without a `sender_name` the mailbox's is used."""

    id: int
    address: str
    sender_name: str | None


def of_connection(connection: Connection, connection_id: int) -> list[StoredAlias]:
    a = t.alias.c
    query = select(a.id, a.address, a.sender_name).where(a.connection_id == connection_id).order_by(a.id)
    return [StoredAlias(row.id, row.address, row.sender_name) for row in connection.execute(query)]


def find(connection: Connection, connection_id: int, address: str) -> StoredAlias | None:
    a = t.alias.c
    row = connection.execute(
        select(a.id, a.address, a.sender_name).where(a.connection_id == connection_id, a.address == address)
    ).one_or_none()
    return None if row is None else StoredAlias(row.id, row.address, row.sender_name)


def insert_alias(connection: Connection, connection_id: int, address: str, sender_name: str | None) -> None:
    connection.execute(
        insert(t.alias).values(connection_id=connection_id, address=address, sender_name=sender_name)
    )


def delete_alias(connection: Connection, alias_id: int) -> None:
    connection.execute(delete(t.alias).where(t.alias.c.id == alias_id))
