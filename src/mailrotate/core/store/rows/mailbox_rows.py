"""Mailboxes: their connections with all settings, who holds an address, and what is read and sent through."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Text, false
from sqlmodel import Field, SQLModel

from mailrotate.core.store.column_types import ID
from mailrotate.core.store.rows.declaring import LASTING_IDS, blob, one_of, only_while, own_id, refers
from mailrotate.core.values import states

# The conditions of the partial indexes; `tables` has them again as expressions for queries.
_CURRENT_REQUEST = "state <> 'denied' AND ended_at IS NULL"


class Mailbox(SQLModel, table=True):
    """An address: its history, counts and habits. Never deleted; `removed_at` says it is gone."""

    __table_args__ = (LASTING_IDS,)
    id: int = own_id()
    address: str = Field(unique=True)
    user_id: int = refers("user.id")
    created_at: datetime
    removed_at: datetime | None = None
    paused_at: datetime | None = None
    hold_until: datetime | None = None
    hold_class: str | None = None
    hold_reason: str | None = None
    # A person last ended a hold: refusals in a row are counted from then on (F4).
    released_at: datetime | None = None
    # After a change of time zone, the current day ends at the later midnight (B4).
    day_from: datetime | None = None
    day_until: datetime | None = None
    files_sent_copy: bool | None = None
    keeps_message_id: bool | None = None


class Connection(SQLModel, table=True):
    """A slot's link to a mailbox: settings, servers and secret. A reconnect renews the row; a disconnect
    followed by a connect makes a new one, which is why that starts from default settings (C4)."""

    __table_args__ = (
        one_of("state", states.ConnectionState),
        Index(
            "uq_connection_current_mailbox",
            "mailbox_id",
            unique=True,
            **only_while("superseded_at IS NULL"),
        ),
        Index(
            "uq_connection_current_slot",
            "slot_id",
            unique=True,
            **only_while("superseded_at IS NULL AND state <> 'disconnected'"),
        ),
        LASTING_IDS,
    )
    id: int = own_id()
    mailbox_id: int = refers("mailbox.id")
    slot_id: int = refers("slot.id")
    generation: int = 1
    state: str
    provider: str
    smtp_host: str
    smtp_port: int
    smtp_security: str
    imap_host: str
    imap_port: int
    imap_security: str
    username: str
    secret: bytes | None = blob()
    sender_name: str | None = None
    mailbox_name: str | None = None
    timezone: str | None = None
    daily_limit: int | None = None
    gap_seconds: int | None = None
    sent_copy: str = "auto"
    # The alias that From names; null for the mailbox's own address (B11).
    sends_as: str | None = None
    is_shared: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=false()))
    # JSON, null for none: the folders that are read beside the inbox; the contact-book link (B9).
    folders: str | None = None
    contact_book: str | None = None
    # The daily limit grows: by `ramp_step` a day from `ramp_start` on the day of `ramp_from` (B4).
    ramp_start: int | None = None
    ramp_step: int | None = None
    ramp_ceiling: int | None = None
    ramp_from: datetime | None = None
    connected_at: datetime
    failed_at: datetime | None = None
    disconnected_at: datetime | None = None
    superseded_at: datetime | None = None
    trouble_since: datetime | None = None
    last_test_at: datetime | None = None
    last_error_class: str | None = None
    last_error: str | None = None


class SeatAddress(SQLModel, table=True):
    """An address that some seat holds, a mailbox's own or an alias: in normalised form, on one seat (A9)."""

    __tablename__ = "seat_address"
    canonical: str = Field(primary_key=True)
    address: str
    mailbox_id: int = Field(sa_column=Column(ID, ForeignKey("mailbox.id"), nullable=False, index=True))


class Alias(SQLModel, table=True):
    """Another address that a mailbox may send as (B11)."""

    __table_args__ = (Index("uq_alias", "connection_id", "address", unique=True), LASTING_IDS)
    id: int = own_id()
    connection_id: int = refers("connection.id")
    address: str
    sender_name: str | None = None


class MailboxShare(SQLModel, table=True):
    """A user who may also read, write from and pick a shared mailbox (B6)."""

    __tablename__ = "mailbox_share"
    connection_id: int = refers("connection.id", primary_key=True)
    user_id: int = refers("user.id", primary_key=True)


class MailboxRequest(SQLModel, table=True):
    """A request for an address on a seat, and its decision (A7). `ended_at`: the address has left the
    seat, or the request was withdrawn."""

    __tablename__ = "mailbox_request"
    __table_args__ = (
        one_of("state", states.RequestState),
        Index("uq_mailbox_request_current", "canonical", unique=True, **only_while(_CURRENT_REQUEST)),
        LASTING_IDS,
    )
    id: int = own_id()
    address: str
    canonical: str
    user_id: int = refers("user.id")
    requested_by: int = refers("user.id")
    state: str
    # JSON: what was checked when it was requested, and again when it was decided.
    checks: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    requested_at: datetime
    decided_by: int | None = refers("user.id", nullable=True)
    decided_at: datetime | None = None
    reason: str | None = None
    ended_at: datetime | None = None


class Signature(SQLModel, table=True):
    __table_args__ = (
        Index("uq_signature_name", "connection_id", "name", unique=True),
        Index("uq_signature_main", "connection_id", unique=True, **only_while("is_main")),
        LASTING_IDS,
    )
    id: int = own_id()
    connection_id: int = refers("connection.id")
    name: str
    body: str
    is_main: bool = False


class Folder(SQLModel, table=True):
    """How far a mailbox's folder was read, and since when it could not be."""

    mailbox_id: int = refers("mailbox.id", primary_key=True)
    name: str = Field(primary_key=True)
    uid_validity: int | None = Field(default=None, sa_column=Column(BigInteger))
    last_uid: int | None = Field(default=None, sa_column=Column(BigInteger))
    read_at: datetime | None = None
    failing_since: datetime | None = None
    next_try_at: datetime | None = None
    last_error: str | None = None


class UnreadMail(SQLModel, table=True):
    """A mail that was not read, and why. It is asked for again until `given_up_at`."""

    __tablename__ = "unread_mail"
    mailbox_id: int = refers("mailbox.id", primary_key=True)
    folder: str = Field(primary_key=True)
    uid_validity: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    uid: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    reason: str
    tries: int
    first_at: datetime
    last_at: datetime
    given_up_at: datetime | None = None


class Runner(SQLModel, table=True):
    """A process that may send. Its life is a held lock, never a timestamp."""

    __table_args__ = (LASTING_IDS,)
    id: int = own_id()
    kind: str
    host: str
    pid: int
    started_at: datetime
    ended_at: datetime | None = None
    # The only work of its passes (None: all).
    only: str | None = None
    # When it is to end by itself.
    ends_at: datetime | None = None


class Lane(SQLModel, table=True):
    """One per mailbox, owned by the process that sends from, reads or tests it."""

    mailbox_id: int = refers("mailbox.id", primary_key=True)
    runner_id: int | None = refers("runner.id", nullable=True)
    token: int = 0
    next_send_at: datetime | None = None
    acted_at: datetime | None = None
    # When a command last asked for it, while another process had it.
    asked_at: datetime | None = None
    # Since when its work ends in an error of the program, and which one.
    broke_at: datetime | None = None
    broke_by: str | None = None
