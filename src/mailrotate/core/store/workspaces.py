"""The workspace's own rows: itself, its settings, plan, users and slots."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from mailrotate.core.store import moves
from mailrotate.core.store import tables as t
from mailrotate.core.store.ready import Ready
from mailrotate.core.values.states import Role, SlotKind, UserState
from mailrotate.core.values.transition import Transition


@dataclass(frozen=True)
class StoredWorkspace:
    identity: str
    name: str
    timezone: str
    default_user_id: int | None
    key_check: bytes | None
    last_pass_at: datetime | None
    last_sending_pass_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class StoredUser:
    id: int
    email: str
    name: str
    role: Role
    state: UserState
    default_mailbox_id: int | None
    is_removed: bool = False


# A1, B4, B10: the plan of a new workspace.
_DEFAULT_PLAN = {
    "id": 1,
    "slots_per_user": 2,
    "daily_cap": 500,
    "shared_mailboxes": False,
    "role_addresses": False,
    "approval_required": False,
    "sync_every_seconds": 300,
}


def lock(connection: Connection) -> None:
    """Lock the workspace's settings, plan and slots until the transaction ends."""
    connection.execute(select(t.workspace.c.id).where(t.workspace.c.id == 1).with_for_update())


def find(connection: Connection) -> StoredWorkspace | None:
    row = connection.execute(select(t.workspace).where(t.workspace.c.id == 1)).one_or_none()
    if row is None:
        return None
    return StoredWorkspace(
        row.identity,
        row.name,
        row.timezone,
        row.default_user_id,
        row.key_check,
        row.last_pass_at,
        row.last_sending_pass_at,
        row.created_at,
    )


def create(connection: Connection, name: str, timezone: str, now: datetime) -> None:
    connection.execute(
        insert(t.workspace).values(
            id=1, identity=uuid.uuid4().hex, name=name, timezone=timezone, created_at=now
        )
    )
    connection.execute(insert(t.plan).values(**_DEFAULT_PLAN))


def change(connection: Connection, **values: object) -> None:
    connection.execute(update(t.workspace).where(t.workspace.c.id == 1).values(**values))


_SETTINGS = Ready(select(t.setting.c.key, t.setting.c.value))
_ABSENCES = Ready(select(t.absence.c.from_at, t.absence.c.until_at).order_by(t.absence.c.id))


def settings(connection: Connection) -> Mapping[str, str]:
    """The settings that have been set."""
    return {row["key"]: row["value"] for row in _SETTINGS.rows(connection)}


def set_setting(connection: Connection, key: str, value: str) -> None:
    if connection.execute(update(t.setting).where(t.setting.c.key == key).values(value=value)).rowcount == 0:
        connection.execute(insert(t.setting).values(key=key, value=value))


def add_user(
    connection: Connection, transition: Transition, email: str, name: str, role: Role, now: datetime
) -> StoredUser:
    """Add a user with the slots of the plan (A1); a removed user comes back under the same id."""
    known = {"name": name, "role": role}
    former = connection.execute(select(t.user.c.id).where(t.user.c.email == email)).scalar_one_or_none()
    if former is not None:
        user_id = int(former)
        moves.move(connection, transition, user_id, removed_at=None, **known)
    else:
        new = {"email": email, "created_at": now, **known, **moves.born(transition)}
        inserted = connection.execute(insert(t.user).values(**new))
        user_id = int((inserted.inserted_primary_key or (0,))[0])
    slots = connection.execute(select(t.plan.c.slots_per_user)).scalar_one()
    for _ in range(slots):
        connection.execute(insert(t.slot).values(user_id=user_id, kind=SlotKind.INCLUDED, created_at=now))
    return StoredUser(user_id, email, name, role, UserState(transition.target), None)


def user_by_email(connection: Connection, email: str) -> StoredUser | None:
    """Find a user who was not removed."""
    return _user(connection, t.user.c.email == email, t.user.c.removed_at.is_(None))


def user_by_id(connection: Connection, user_id: int) -> StoredUser | None:
    """Find a user, including removed ones (`is_removed`)."""
    return _user(connection, t.user.c.id == user_id)


def users(connection: Connection) -> list[StoredUser]:
    """All users who were not removed, in the order of adding."""
    query = select(t.user).where(t.user.c.removed_at.is_(None)).order_by(t.user.c.id)
    return [_read_user(row) for row in connection.execute(query)]


def _user(connection: Connection, *where: ColumnElement[bool]) -> StoredUser | None:
    row = connection.execute(select(t.user).where(*where)).one_or_none()
    return None if row is None else _read_user(row)


def _read_user(row: Row[Any]) -> StoredUser:
    return StoredUser(
        row.id,
        row.email,
        row.name,
        Role(row.role),
        UserState(row.state),
        row.default_mailbox_id,
        row.removed_at is not None,
    )


def set_default_mailbox(connection: Connection, user_id: int, mailbox_id: int | None) -> None:
    connection.execute(update(t.user).where(t.user.c.id == user_id).values(default_mailbox_id=mailbox_id))


def slots_of(connection: Connection, user_id: int) -> list[int]:
    current = (t.slot.c.user_id == user_id, t.slot.c.removed_at.is_(None))
    query = select(t.slot.c.id).where(*current).order_by(t.slot.c.id)
    return [int(slot_id) for slot_id in connection.execute(query).scalars()]


def absences(connection: Connection) -> list[tuple[datetime, datetime]]:
    """Periods without a runner that were longer than the allowed lateness (H4)."""
    return [(row["from_at"], row["until_at"]) for row in _ABSENCES.rows(connection)]


def note_absence(connection: Connection, from_at: datetime, until_at: datetime) -> None:
    connection.execute(insert(t.absence).values(from_at=from_at, until_at=until_at))


def daily_cap(connection: Connection | None) -> int:
    """The plan's daily cap (B4); without a workspace, that of a new one."""
    if connection is None:
        return int(_DEFAULT_PLAN["daily_cap"])
    return int(connection.execute(select(t.plan.c.daily_cap)).scalar_one())
