"""Which address is on which seat: each in its normalised form, once (A9)."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from mailrotate.core.store import tables as t
from mailrotate.core.values.address import canonical_address


def holder_of(connection: Connection, address: str) -> int | None:
    """The mailbox that has this address, or another spelling of it, as its own or as an alias."""
    a = t.seat_address.c
    query = select(a.mailbox_id).where(a.canonical == canonical_address(address))
    return connection.execute(query).scalar_one_or_none()


def held_among(connection: Connection, addresses: Sequence[str]) -> set[str]:
    """Those of these addresses, a few hundred at most, that are on any seat."""
    wanted = {address: canonical_address(address) for address in addresses}
    if not wanted:
        return set()
    a = t.seat_address.c
    held = set(connection.execute(select(a.canonical).where(a.canonical.in_(set(wanted.values())))).scalars())
    return {address for address, canonical in wanted.items() if canonical in held}


def hold(connection: Connection, address: str, mailbox_id: int) -> None:
    """The caller has asked `holder_of` in the same transaction."""
    connection.execute(
        insert(t.seat_address).values(
            canonical=canonical_address(address), address=address, mailbox_id=mailbox_id
        )
    )


def release(connection: Connection, address: str) -> None:
    a = t.seat_address.c
    connection.execute(delete(t.seat_address).where(a.canonical == canonical_address(address)))


def release_all(connection: Connection, mailbox_id: int) -> None:
    """The mailbox's own address and its aliases are free for any seat."""
    connection.execute(delete(t.seat_address).where(t.seat_address.c.mailbox_id == mailbox_id))
