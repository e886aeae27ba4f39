"""The workspace with its users, plan, slots and settings."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from mailrotate.core.store.rows.declaring import LASTING_IDS, blob, one_of, own_id, refers
from mailrotate.core.values import states


class Workspace(SQLModel, table=True):
    """One row: the workspace's identity, and the progress of its runners."""

    id: int = own_id()
    identity: str
    name: str
    timezone: str
    default_user_id: int | None = Field(default=None)
    key_check: bytes | None = blob()
    last_pass_at: datetime | None = None
    # Of the passes that send, not those with `--only sync`, for example.
    last_sending_pass_at: datetime | None = None
    # Of the machine that made the latest pass: its start, and when that was by its wall clock (F6).
    boot_id: str | None = None
    booted_at: datetime | None = None
    created_at: datetime


class Setting(SQLModel, table=True):
    key: str = Field(primary_key=True)
    value: str


class Absence(SQLModel, table=True):
    """A time without a runner, longer than the allowed lateness (H4)."""

    __table_args__ = (LASTING_IDS,)
    id: int = own_id()
    from_at: datetime
    until_at: datetime


class SendMark(SQLModel, table=True):
    """One row: the latest mark before a final dot, by which an old or copied database is recognised (F3)."""

    __tablename__ = "send_mark"
    id: int = own_id()
    number: int
    home: str | None = None
    pass_id: str | None = None
    # While it is set, nothing is sent: mail that was sent since then is to be compared.
    compare_since: datetime | None = None


class User(SQLModel, table=True):
    __table_args__ = (one_of("role", states.Role), one_of("state", states.UserState), LASTING_IDS)
    id: int = own_id()
    email: str = Field(unique=True)
    name: str
    role: str
    state: str
    default_mailbox_id: int | None = Field(default=None)
    created_at: datetime
    # Campaigns and the log still name a removed user; the same address added again gets this row.
    removed_at: datetime | None = None


class Plan(SQLModel, table=True):
    """One row: what the workspace allows (A1: data, not code)."""

    id: int = own_id()
    slots_per_user: int
    daily_cap: int
    shared_mailboxes: bool
    role_addresses: bool
    approval_required: bool
    sync_every_seconds: int


class Slot(SQLModel, table=True):
    __table_args__ = (one_of("kind", states.SlotKind), LASTING_IDS)
    id: int = own_id()
    user_id: int | None = refers("user.id", nullable=True)
    kind: str
    # When it was bought, or came with the plan; a purchased one renews monthly from that day.
    created_at: datetime
    # Connections, campaigns and messages name a slot that is gone.
    removed_at: datetime | None = None
