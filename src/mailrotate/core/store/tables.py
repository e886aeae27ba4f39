"""Every table, as SQLModel rows. `docs/glossary.md` says what each of them is.

Tables are rows, not the domain: they validate nothing, and no row leaves the store. States are text with a
CHECK, because an enum column would store the names of the members instead of their values. Instants are
aware UTC (`UTCDateTime` of SQLModel): fixed-width text on SQLite, `timestamptz` on PostgreSQL.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    and_,
    false,
    literal_column,
    text,
)
from sqlmodel import Field, SQLModel

from mailrotate.core.values import states

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite makes only a plain INTEGER PRIMARY KEY the row's own id.
_ID = BigInteger().with_variant(Integer(), "sqlite")


def _id() -> Any:
    return Field(default=None, sa_column=Column(_ID, primary_key=True, autoincrement=True))


def _refers(target: str, *, nullable: bool = False, primary_key: bool = False) -> Any:
    return Field(
        default=None,
        sa_column=Column(
            _ID, ForeignKey(target), nullable=nullable and not primary_key, primary_key=primary_key
        ),
    )


def _blob(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(LargeBinary, nullable=nullable))


def _one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _while(condition: str) -> dict[str, Any]:
    # Revisions say it for PostgreSQL too. Here that would import its dialect in every command, and these
    # declarations make no table: they are what queries are written with.
    return {"sqlite_where": text(condition)}


# The conditions of the partial indexes. A query uses such an index only when it repeats its condition
# literally: see the expressions at the end of this page.
_AWAITS_FIRST = "next_at IS NOT NULL AND next_step = 1"
_AWAITS_FOLLOW_UP = "next_at IS NOT NULL AND next_step > 1"
_WAITING = "state = 'scheduled' AND overdue_at IS NULL"
_COUNTED = "state IN ('sending', 'sent', 'held')"
_ATTENTION = "state IN ('error', 'held')"
_CURRENT_REQUEST = "state <> 'denied' AND ended_at IS NULL"
_LIVING_STEP = "state <> 'cancelled' AND kind = 'campaign'"

# Ids are never used twice, also after the newest row was deleted: they are what people and the log name.
_LASTING_IDS = {"sqlite_autoincrement": True}


class Workspace(SQLModel, table=True):
    """One row: who this database is, and how far its runners have come."""

    id: int = _id()
    identity: str
    name: str
    timezone: str
    default_user_id: int | None = Field(default=None)
    key_check: bytes | None = _blob()
    last_pass_at: datetime | None = None
    created_at: datetime


class Setting(SQLModel, table=True):
    key: str = Field(primary_key=True)
    value: str


class Absence(SQLModel, table=True):
    """A time in which no runner ran, longer than the lateness that waits for a word (H4)."""

    __table_args__ = (_LASTING_IDS,)
    id: int = _id()
    from_at: datetime
    until_at: datetime


class User(SQLModel, table=True):
    __table_args__ = (_one_of("role", states.Role), _one_of("state", states.UserState), _LASTING_IDS)
    id: int = _id()
    email: str = Field(unique=True)
    name: str
    role: str
    state: str = "active"
    default_mailbox_id: int | None = Field(default=None)
    created_at: datetime
    # Campaigns and the log name whoever has left; the address comes back with its row.
    removed_at: datetime | None = None


class Plan(SQLModel, table=True):
    """One row: what the workspace allows (A1: data, not code)."""

    id: int = _id()
    slots_per_user: int
    daily_cap: int
    shared_mailboxes: bool
    role_addresses: bool
    approval_required: bool
    sync_every_seconds: int


class Slot(SQLModel, table=True):
    __table_args__ = (_one_of("kind", states.SlotKind), _LASTING_IDS)
    id: int = _id()
    user_id: int | None = _refers("user.id", nullable=True)
    kind: str
    # When it was bought, or came with the plan; a purchased one renews monthly from that day.
    created_at: datetime
    # Connections, campaigns and messages name a slot that is gone.
    removed_at: datetime | None = None


class Mailbox(SQLModel, table=True):
    """An address: its history, counts and habits. Never deleted; `removed_at` says it is gone."""

    __table_args__ = (_LASTING_IDS,)
    id: int = _id()
    address: str = Field(unique=True)
    user_id: int = _refers("user.id")
    created_at: datetime
    removed_at: datetime | None = None
    paused_at: datetime | None = None
    hold_until: datetime | None = None
    hold_class: str | None = None
    hold_reason: str | None = None
    # After a change of time zone the running day ends at the later midnight (B4).
    day_from: datetime | None = None
    day_until: datetime | None = None
    files_sent_copy: bool | None = None
    keeps_message_id: bool | None = None


class Connection(SQLModel, table=True):
    """A slot's link to a mailbox: settings, servers and secret. A reconnect renews the row; a disconnect
    followed by a connect makes a new one, which is why that starts from default settings (C4)."""

    __table_args__ = (
        _one_of("state", states.ConnectionState),
        Index(
            "uq_connection_current_mailbox",
            "mailbox_id",
            unique=True,
            **_while("superseded_at IS NULL"),
        ),
        Index(
            "uq_connection_current_slot",
            "slot_id",
            unique=True,
            **_while("superseded_at IS NULL AND state <> 'disconnected'"),
        ),
        _LASTING_IDS,
    )
    id: int = _id()
    mailbox_id: int = _refers("mailbox.id")
    slot_id: int = _refers("slot.id")
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
    secret: bytes | None = _blob()
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
    mailbox_id: int = Field(sa_column=Column(_ID, ForeignKey("mailbox.id"), nullable=False, index=True))


class Alias(SQLModel, table=True):
    """Another address that a mailbox may send as (B11)."""

    __table_args__ = (Index("uq_alias", "connection_id", "address", unique=True), _LASTING_IDS)
    id: int = _id()
    connection_id: int = _refers("connection.id")
    address: str
    sender_name: str | None = None


class MailboxShare(SQLModel, table=True):
    """A user who may also read, write from and pick a shared mailbox (B6)."""

    __tablename__ = "mailbox_share"
    connection_id: int = _refers("connection.id", primary_key=True)
    user_id: int = _refers("user.id", primary_key=True)


class MailboxRequest(SQLModel, table=True):
    """The wish for an address on a seat, and what became of it (A7). `ended_at`: the address has left the
    seat, or the wish was withdrawn, and the approval with it."""

    __tablename__ = "mailbox_request"
    __table_args__ = (
        _one_of("state", states.RequestState),
        Index("uq_mailbox_request_current", "canonical", unique=True, **_while(_CURRENT_REQUEST)),
        _LASTING_IDS,
    )
    id: int = _id()
    address: str
    canonical: str
    user_id: int = _refers("user.id")
    requested_by: int = _refers("user.id")
    state: str
    # JSON: what was checked when it was requested, and again when it was decided.
    checks: str = Field(default="[]", sa_column=Column(Text, nullable=False))
    requested_at: datetime
    decided_by: int | None = _refers("user.id", nullable=True)
    decided_at: datetime | None = None
    reason: str | None = None
    ended_at: datetime | None = None


class Signature(SQLModel, table=True):
    __table_args__ = (
        Index("uq_signature_name", "connection_id", "name", unique=True),
        Index("uq_signature_main", "connection_id", unique=True, **_while("is_main")),
        _LASTING_IDS,
    )
    id: int = _id()
    connection_id: int = _refers("connection.id")
    name: str
    body: str
    is_main: bool = False


class Folder(SQLModel, table=True):
    """How far a mailbox's folder was read, and since when it could not be."""

    mailbox_id: int = _refers("mailbox.id", primary_key=True)
    name: str = Field(primary_key=True)
    uid_validity: int | None = Field(default=None, sa_column=Column(BigInteger))
    last_uid: int | None = Field(default=None, sa_column=Column(BigInteger))
    read_at: datetime | None = None
    failing_since: datetime | None = None
    next_try_at: datetime | None = None
    last_error: str | None = None


class Runner(SQLModel, table=True):
    """A process that may send. Its life is a held lock, never a timestamp."""

    __table_args__ = (_LASTING_IDS,)
    id: int = _id()
    kind: str
    host: str
    pid: int
    started_at: datetime
    ended_at: datetime | None = None


class Lane(SQLModel, table=True):
    """One per mailbox: whoever sends from, reads or tests it owns this row meanwhile."""

    mailbox_id: int = _refers("mailbox.id", primary_key=True)
    runner_id: int | None = _refers("runner.id", nullable=True)
    token: int = 0
    next_send_at: datetime | None = None
    acted_at: datetime | None = None


class Campaign(SQLModel, table=True):
    __table_args__ = (_one_of("state", states.CampaignState), _LASTING_IDS)
    id: int = _id()
    name: str = Field(unique=True)
    owner_id: int = _refers("user.id")
    team: bool = False
    state: str = "draft"
    rotation: str | None = None
    version: int = 1
    # The able senders that the counts of `campaign_sender.assigned_count` were made among (E1).
    spread_over: str = ""
    created_at: datetime
    started_at: datetime | None = None
    resumed_at: datetime | None = None
    finished_at: datetime | None = None


class CampaignPause(SQLModel, table=True):
    """One reason why a campaign is paused; it runs when there is none."""

    __tablename__ = "campaign_pause"
    __table_args__ = (
        Index("uq_campaign_pause", "campaign_id", "reason", "mailbox_id", unique=True),
        _LASTING_IDS,
    )
    id: int = _id()
    campaign_id: int = _refers("campaign.id")
    reason: str
    # 0 where the reason is no mailbox's: a null would not count as equal in a unique index.
    mailbox_id: int = 0
    paused_at: datetime


class CampaignVersion(SQLModel, table=True):
    __tablename__ = "campaign_version"
    __table_args__ = (Index("uq_campaign_version", "campaign_id", "n", unique=True), _LASTING_IDS)
    id: int = _id()
    campaign_id: int = _refers("campaign.id")
    n: int
    window: str
    timezone: str | None = None
    holidays: str = "null"
    on_auto_reply: str = "wait"
    created_at: datetime
    created_by: int | None = _refers("user.id", nullable=True)


class Step(SQLModel, table=True):
    """A step's lasting identity; its words are in `step_version`."""

    __table_args__ = (Index("uq_step", "campaign_id", "position", unique=True), _LASTING_IDS)
    id: int = _id()
    campaign_id: int = _refers("campaign.id")
    position: int


class StepVersion(SQLModel, table=True):
    __tablename__ = "step_version"
    __table_args__ = (Index("uq_step_version", "step_id", "version", unique=True), _LASTING_IDS)
    id: int = _id()
    step_id: int = _refers("step.id")
    version: int
    delay_seconds: int = Field(sa_column=Column(BigInteger, nullable=False))
    subject: str | None = None
    body: str = Field(sa_column=Column(Text, nullable=False))
    sender_mailbox_id: int | None = _refers("mailbox.id", nullable=True)


class Attachment(SQLModel, table=True):
    __table_args__ = (_LASTING_IDS,)
    id: int = _id()
    step_version_id: int = Field(
        sa_column=Column(_ID, ForeignKey("step_version.id"), nullable=False, index=True)
    )
    position: int
    filename: str
    content_type: str
    data: bytes = _blob(nullable=False)


class CampaignSender(SQLModel, table=True):
    """Who sends: a slot for a campaign with one sender (C5), a mailbox for a rotation."""

    __tablename__ = "campaign_sender"
    __table_args__ = (
        CheckConstraint("(slot_id IS NULL) <> (mailbox_id IS NULL)", name="slot_or_mailbox"),
        Index("ix_campaign_sender_campaign", "campaign_id"),
        Index("ix_campaign_sender_mailbox", "mailbox_id"),
        Index("ix_campaign_sender_slot", "slot_id"),
        _LASTING_IDS,
    )
    id: int = _id()
    campaign_id: int = _refers("campaign.id")
    slot_id: int | None = _refers("slot.id", nullable=True)
    mailbox_id: int | None = _refers("mailbox.id", nullable=True)
    position: int
    generation: int = 1
    joined_at: datetime
    left_at: datetime | None = None
    assigned_count: int = 0
    # When this sender last sent for this campaign: campaigns take turns within a mailbox (E4).
    turn_at: datetime | None = None


class Contact(SQLModel, table=True):
    __table_args__ = (
        # By the domain first: so it also finds a suppressed domain's people, and an import that goes by
        # domain and address only ever appends to it.
        Index("uq_contact", "domain", "address", unique=True),
        _LASTING_IDS,
    )
    id: int = _id()
    address: str | None = None
    # Of the address. Both go when the contact is erased.
    domain: str | None = None
    fields: str = "{}"
    owner_id: int | None = _refers("user.id", nullable=True)
    created_at: datetime
    erased_at: datetime | None = None


class ContactTag(SQLModel, table=True):
    __tablename__ = "contact_tag"
    __table_args__ = (Index("ix_contact_tag_tag", "tag", "contact_id"),)
    contact_id: int = _refers("contact.id", primary_key=True)
    tag: str = Field(primary_key=True)


class Timeline(SQLModel, table=True):
    """A mail from or to a contact that a linked mailbox has seen (B9). Its words go with an erasure."""

    __table_args__ = (
        Index("uq_timeline", "contact_id", "mailbox_id", "header_id", unique=True),
        Index("ix_timeline_contact", "contact_id", "at"),
        _LASTING_IDS,
    )
    id: int = _id()
    contact_id: int = _refers("contact.id")
    mailbox_id: int = _refers("mailbox.id")
    at: datetime
    direction: str
    header_id: str
    subject: str | None = None


class Recipient(SQLModel, table=True):
    """One contact in one campaign. `next_at` is set while the next step waits to be planned: null before
    the start, while a message of theirs is in the outbox, and after the end."""

    __table_args__ = (
        _one_of("state", states.RecipientState),
        # In this order a suppressed contact is found in all campaigns by the same index.
        Index("uq_recipient", "contact_id", "campaign_id", unique=True),
        # Two, because each is read in the order of `next_at`: a few follow-ups must not be looked for
        # among a million people who wait for their first message.
        Index("ix_recipient_first", "campaign_sender_id", "next_at", "id", **_while(_AWAITS_FIRST)),
        Index("ix_recipient_follow_up", "campaign_sender_id", "next_at", "id", **_while(_AWAITS_FOLLOW_UP)),
        Index("ix_recipient_campaign", "campaign_id", "state"),
        _LASTING_IDS,
    )
    id: int = _id()
    campaign_id: int = _refers("campaign.id")
    contact_id: int = _refers("contact.id")
    state: str = "queued"
    reason: str | None = None
    campaign_sender_id: int | None = _refers("campaign_sender.id", nullable=True)
    assigned_reason: str | None = None
    fields: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    timezone: str | None = None
    next_step: int = 1
    next_at: datetime | None = None
    added_by: int | None = _refers("user.id", nullable=True)
    enrolled_at: datetime
    ended_at: datetime | None = None


class Message(SQLModel, table=True):
    """The outbox: one row for each message that is to be sent, was sent, or failed."""

    __table_args__ = (
        _one_of("state", states.MessageState),
        _one_of("kind", states.MessageKind),
        # The wall behind "never sent twice": one living message for a recipient's step.
        Index("uq_message_step", "recipient_id", "step_position", unique=True, **_while(_LIVING_STEP)),
        Index(
            "ix_message_lane",
            "mailbox_id",
            "priority",
            "campaign_id",
            "ready_at",
            "id",
            **_while(_WAITING),
        ),
        Index("ix_message_ready", "mailbox_id", "ready_at", **_while(_WAITING)),
        Index("ix_message_counted", "mailbox_id", "claimed_at", **_while(_COUNTED)),
        Index("ix_message_slot_counted", "slot_id", "claimed_at", **_while(_COUNTED)),
        Index("ix_message_in_flight", "runner_id", **_while("state = 'sending'")),
        Index("ix_message_attention", "state", "mailbox_id", **_while(_ATTENTION)),
        Index("ix_message_campaign", "campaign_id", "state"),
        _LASTING_IDS,
    )
    id: int = _id()
    kind: str
    state: str
    priority: str
    mailbox_id: int = _refers("mailbox.id")
    slot_id: int | None = _refers("slot.id", nullable=True)
    campaign_id: int | None = _refers("campaign.id", nullable=True)
    campaign_sender_id: int | None = _refers("campaign_sender.id", nullable=True)
    recipient_id: int | None = _refers("recipient.id", nullable=True)
    step_id: int | None = _refers("step.id", nullable=True)
    step_position: int | None = None
    to_address: str
    from_address: str
    # The local part of the Message-ID; it is also what an unsubscribe mail names.
    token: str = Field(unique=True)
    message_id: str
    fields: str | None = None
    subject: str | None = None
    in_reply_to: str | None = None
    cited_ids: str = ""
    # Promised for, and not to be tried before: a delay, a retry or a window moves the second alone.
    due_at: datetime
    ready_at: datetime
    overdue_at: datetime | None = None
    planned_at: datetime
    released_at: datetime | None = None
    runner_id: int | None = _refers("runner.id", nullable=True)
    claim_token: str | None = None
    claimed_at: datetime | None = None
    marked_at: datetime | None = None
    sent_at: datetime | None = None
    settled_at: datetime | None = None
    content_hash: str | None = None
    attempts: int = 0
    first_failed_at: datetime | None = None
    error_class: str | None = None
    error_phase: str | None = None
    error_code: int | None = None
    error_enhanced: str | None = None
    error_text: str | None = None
    error_hint: str | None = None


class SentCopy(SQLModel, table=True):
    """A copy that is still to be filed in the sender's own mailbox. Filing it never sends again."""

    __tablename__ = "sent_copy"
    __table_args__ = (Index("ix_sent_copy_due", "mailbox_id", "next_try_at"),)
    message_id: int = _refers("message.id", primary_key=True)
    mailbox_id: int = _refers("mailbox.id")
    raw: bytes = _blob(nullable=False)
    attempts: int = 0
    next_try_at: datetime
    last_error: str | None = None


class Deadline(SQLModel, table=True):
    """The end of one mailbox's grace or failure in one campaign."""

    __table_args__ = (_LASTING_IDS,)
    id: int = _id()
    mailbox_id: int = _refers("mailbox.id")
    campaign_id: int = _refers("campaign.id")
    kind: str
    started_at: datetime
    ends_at: datetime
    ended_at: datetime | None = None


class Suppression(SQLModel, table=True):
    """An address or domain that is never written to again. Erased, its hash alone remains."""

    __table_args__ = (_one_of("kind", states.SuppressionKind), _LASTING_IDS)
    id: int = _id()
    kind: str
    value: str | None = Field(default=None, unique=True)
    hash: str = Field(unique=True)
    reason: str
    source: str
    added_by: int | None = _refers("user.id", nullable=True)
    added_at: datetime


class Stopped(SQLModel, table=True):
    """The tombstone of a stopped recipient: it outlives removal, re-import and erasure (C9)."""

    campaign_id: int = _refers("campaign.id", primary_key=True)
    address_hash: str = Field(primary_key=True)
    stopped_at: datetime


class Event(SQLModel, table=True):
    """The append-only log. People are named by id only, so that the log and an erasure live together."""

    __table_args__ = (_LASTING_IDS,)
    id: int = _id()
    at: datetime
    action: str
    actor_id: int | None = _refers("user.id", nullable=True)
    os_user: str | None = None
    mailbox_id: int | None = Field(default=None, sa_column=Column(_ID, index=True))
    campaign_id: int | None = Field(default=None, sa_column=Column(_ID, index=True))
    recipient_id: int | None = Field(default=None, sa_column=Column(_ID))
    message_id: int | None = Field(default=None, sa_column=Column(_ID))
    data: str = Field(default="{}", sa_column=Column(Text, nullable=False))


METADATA: MetaData = SQLModel.metadata

# The same tables for SQLAlchemy Core: the hot path and mass changes work on these.
workspace = METADATA.tables["workspace"]
setting = METADATA.tables["setting"]
absence = METADATA.tables["absence"]
user = METADATA.tables["user"]
plan = METADATA.tables["plan"]
slot = METADATA.tables["slot"]
mailbox = METADATA.tables["mailbox"]
connection = METADATA.tables["connection"]
seat_address = METADATA.tables["seat_address"]
alias = METADATA.tables["alias"]
mailbox_share = METADATA.tables["mailbox_share"]
mailbox_request = METADATA.tables["mailbox_request"]
signature = METADATA.tables["signature"]
folder = METADATA.tables["folder"]
runner = METADATA.tables["runner"]
lane = METADATA.tables["lane"]
campaign = METADATA.tables["campaign"]
campaign_pause = METADATA.tables["campaign_pause"]
campaign_version = METADATA.tables["campaign_version"]
campaign_sender = METADATA.tables["campaign_sender"]
step = METADATA.tables["step"]
step_version = METADATA.tables["step_version"]
attachment = METADATA.tables["attachment"]
contact = METADATA.tables["contact"]
contact_tag = METADATA.tables["contact_tag"]
timeline = METADATA.tables["timeline"]
recipient = METADATA.tables["recipient"]
message = METADATA.tables["message"]
sent_copy = METADATA.tables["sent_copy"]
deadline = METADATA.tables["deadline"]
suppression = METADATA.tables["suppression"]
stopped = METADATA.tables["stopped"]
event = METADATA.tables["event"]


def literal(value: str | int) -> ColumnElement[Any]:
    """A value of ours written into the statement itself, where a parameter would hide a partial index."""
    return literal_column(f"'{value}'" if isinstance(value, str) else str(value))


# The conditions of the partial indexes again, as expressions for queries.
awaits_first = and_(recipient.c.next_at.is_not(None), recipient.c.next_step == literal(1))
awaits_follow_up = and_(recipient.c.next_at.is_not(None), recipient.c.next_step > literal(1))
is_waiting = and_(
    message.c.state == literal(states.MessageState.SCHEDULED.value), message.c.overdue_at.is_(None)
)
is_counted = message.c.state.in_([literal(state.value) for state in states.COUNTED_MESSAGES])
is_in_flight = message.c.state == literal(states.MessageState.SENDING.value)
wants_attention = message.c.state.in_([literal("error"), literal("held")])
is_living_step = and_(
    message.c.state != literal(states.MessageState.CANCELLED.value),
    message.c.kind == literal(states.MessageKind.CAMPAIGN.value),
)
is_current_request = and_(
    mailbox_request.c.state != literal(states.RequestState.DENIED.value), mailbox_request.c.ended_at.is_(None)
)
