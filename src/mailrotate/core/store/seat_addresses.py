"""Which address is on which seat: each at most once, in canonical form (A9)."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from mailrotate.core.store import tables as t
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command


@dataclass(frozen=True)
class HeldAddress:
    """An address that a mailbox holds, itself or as an alias, spelled as it was given."""

    address: str
    mailbox_id: int


def holding(connection: Connection, address: str) -> HeldAddress | None:
    """Find the holder of this address or another spelling of it, as a mailbox or an alias."""
    a = t.seat_address.c
    row = connection.execute(
        select(a.address, a.mailbox_id).where(a.canonical == canonical_address(address))
    ).one_or_none()
    return None if row is None else HeldAddress(row.address, row.mailbox_id)


def listing(connection: Connection) -> list[HeldAddress]:
    """All addresses on all seats."""
    a = t.seat_address.c
    rows = connection.execute(select(a.address, a.mailbox_id).order_by(a.mailbox_id, a.address))
    return [HeldAddress(row.address, row.mailbox_id) for row in rows]


def held_among(connection: Connection, addresses: Sequence[str]) -> set[str]:
    """Which of these addresses (a few hundred at most) are on any seat."""
    wanted = {address: canonical_address(address) for address in addresses}
    if not wanted:
        return set()
    a = t.seat_address.c
    held = set(connection.execute(select(a.canonical).where(a.canonical.in_(set(wanted.values())))).scalars())
    return {address for address, canonical in wanted.items() if canonical in held}


def hold(connection: Connection, address: str, mailbox_id: int) -> None:
    """Hold an address. Raises Refused (`mailbox.elsewhere`) if another process took it after the check."""
    try:
        # In a savepoint: on PostgreSQL a failed statement aborts the whole transaction.
        with connection.begin_nested():
            connection.execute(
                insert(t.seat_address).values(
                    canonical=canonical_address(address), address=address, mailbox_id=mailbox_id
                )
            )
    except IntegrityError:
        raise Refused(
            "mailbox.elsewhere",
            f"another command has just taken {address}",
            Command("mailbox", "list"),
        ) from None


def release(connection: Connection, address: str) -> None:
    a = t.seat_address.c
    connection.execute(delete(t.seat_address).where(a.canonical == canonical_address(address)))


def release_all(connection: Connection, mailbox_id: int) -> None:
    """Release the mailbox's own address and its aliases."""
    connection.execute(delete(t.seat_address).where(t.seat_address.c.mailbox_id == mailbox_id))
