"""The users that a mailbox is shared with (B6)."""

from sqlalchemy import Connection, delete, insert, select

from mailrotate.core.store import tables as t


def user_ids(connection: Connection, connection_id: int) -> frozenset[int]:
    """Ids of the users that the mailbox is shared with, without its own user."""
    share = t.mailbox_share.c
    query = select(share.user_id).where(share.connection_id == connection_id)
    return frozenset(connection.execute(query).scalars())


def add(connection: Connection, connection_id: int, user_id: int) -> None:
    connection.execute(insert(t.mailbox_share).values(connection_id=connection_id, user_id=user_id))


def remove(connection: Connection, connection_id: int, user_id: int) -> bool:
    """End a share; False if there was none."""
    share = t.mailbox_share.c
    gone = delete(t.mailbox_share).where(share.connection_id == connection_id, share.user_id == user_id)
    return connection.execute(gone).rowcount == 1


def remove_all(connection: Connection, connection_id: int) -> None:
    connection.execute(delete(t.mailbox_share).where(t.mailbox_share.c.connection_id == connection_id))
