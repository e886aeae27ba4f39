"""Change and remove users, and find what belongs to them."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.states import CampaignState, Role, UserState


def emails(connection: Connection) -> dict[int, str]:
    """The address of each user, by id."""
    return {row.id: row.email for row in connection.execute(select(t.user.c.id, t.user.c.email))}


def change(connection: Connection, user_id: int, **values: object) -> None:
    connection.execute(update(t.user).where(t.user.c.id == user_id).values(**values))


def other_active_admins(connection: Connection, user_id: int) -> int:
    """Count the active admins without this user."""
    u = t.user.c
    query = select(func.count()).where(
        u.role == Role.ADMIN, u.state == UserState.ACTIVE, u.id != user_id, u.removed_at.is_(None)
    )
    return int(connection.execute(query).scalar_one())


def referring_to(table: Table, key: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether any row of any table refers to the row of `table` with this key."""
    columns = [
        column
        for other in t.METADATA.tables.values()
        for column in other.columns
        if column.info.get("refers_to") == f"{table.name}.id"
    ]
    return or_(*(exists().where(column == key) for column in columns))


def remove(connection: Connection, user_id: int, now: datetime) -> None:
    """Mark the user as removed and end their shares. The row stays for campaigns and the log."""
    share = t.mailbox_share.c
    connection.execute(delete(t.mailbox_share).where(share.user_id == user_id))
    change(connection, user_id, removed_at=now, default_mailbox_id=None)


def shared_count(connection: Connection, user_id: int) -> int:
    """Count the mailboxes that other users share with this user."""
    share, c = t.mailbox_share.c, t.connection.c
    query = (
        select(func.count())
        .select_from(t.mailbox_share)
        .join(t.connection, c.id == share.connection_id)
        .where(share.user_id == user_id, c.superseded_at.is_(None))
    )
    return int(connection.execute(query).scalar_one())


def owned_campaigns(connection: Connection, user_id: int) -> list[str]:
    """The user's unfinished campaigns."""
    c = t.campaign.c
    query = select(c.name).where(c.owner_id == user_id, c.state != CampaignState.FINISHED).order_by(c.id)
    return list(connection.execute(query).scalars())


def whose_own(connection: Connection, address: str) -> tuple[int, str] | None:
    """Id and address of the user whose own address this is, in any spelling."""
    u = t.user.c
    rows = connection.execute(select(u.id, u.email).where(u.removed_at.is_(None)).order_by(u.id))
    wanted = canonical_address(address)
    return next(((row.id, row.email) for row in rows if canonical_address(row.email) == wanted), None)
