"""Messages, pending sent copies, and the event log."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from mailrotate.core.store.column_types import ID
from mailrotate.core.store.rows.declaring import LASTING_IDS, blob, one_of, only_while, own_id, refers
from mailrotate.core.values import states

# The conditions of the partial indexes; `tables` has them again as expressions for queries.
_WAITING = "state = 'scheduled' AND overdue_at IS NULL"
_COUNTED = "state IN ('sending', 'sent', 'held')"
_ATTENTION = "state IN ('error', 'held')"
_LIVING_STEP = "state <> 'cancelled' AND kind = 'campaign'"


class Message(SQLModel, table=True):
    """The outbox: one row for each message that is to be sent, was sent, or failed."""

    __table_args__ = (
        one_of("state", states.MessageState),
        one_of("kind", states.MessageKind),
        # Guarantees "never sent twice" in the database: one living message for each step of a recipient.
        Index("uq_message_step", "recipient_id", "step_position", unique=True, **only_while(_LIVING_STEP)),
        Index(
            "ix_message_lane",
            "mailbox_id",
            "priority",
            "campaign_id",
            "ready_at",
            "id",
            **only_while(_WAITING),
        ),
        Index("ix_message_ready", "mailbox_id", "ready_at", **only_while(_WAITING)),
        Index("ix_message_counted", "mailbox_id", "claimed_at", **only_while(_COUNTED)),
        Index("ix_message_slot_counted", "slot_id", "claimed_at", **only_while(_COUNTED)),
        Index("ix_message_in_flight", "runner_id", **only_while("state = 'sending'")),
        Index("ix_message_attention", "state", "mailbox_id", **only_while(_ATTENTION)),
        Index("uq_message_unsubscribe_token", "unsubscribe_token", unique=True),
        Index("ix_message_campaign", "campaign_id", "state", "kind", "campaign_sender_id", "step_position"),
        LASTING_IDS,
    )
    id: int = own_id()
    kind: str
    state: str
    priority: str
    mailbox_id: int = refers("mailbox.id")
    slot_id: int | None = refers("slot.id", nullable=True)
    campaign_id: int | None = refers("campaign.id", nullable=True)
    campaign_sender_id: int | None = refers("campaign_sender.id", nullable=True)
    recipient_id: int | None = refers("recipient.id", nullable=True)
    step_id: int | None = refers("step.id", nullable=True)
    step_position: int | None = None
    to_address: str
    from_address: str
    # The local part of the Message-ID, by which replies are recognised.
    token: str = Field(unique=True)
    # What an unsubscribe mail names. The Message-ID is no secret: readers quote it. Null for messages from
    # before the two were told apart, where the token does both.
    unsubscribe_token: str | None = None
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
    runner_id: int | None = refers("runner.id", nullable=True)
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
    message_id: int = refers("message.id", primary_key=True)
    mailbox_id: int = refers("mailbox.id")
    raw: bytes = blob(nullable=False)
    attempts: int = 0
    next_try_at: datetime
    last_error: str | None = None


class Event(SQLModel, table=True):
    """The append-only log. People are named by id only, so that the log and an erasure live together."""

    __table_args__ = (Index("ix_event_action", "action", "id"), LASTING_IDS)
    id: int = own_id()
    at: datetime
    action: str
    actor_id: int | None = refers("user.id", nullable=True)
    os_user: str | None = None
    mailbox_id: int | None = Field(default=None, sa_column=Column(ID, index=True))
    campaign_id: int | None = Field(default=None, sa_column=Column(ID, index=True))
    recipient_id: int | None = Field(default=None, sa_column=Column(ID))
    message_id: int | None = Field(default=None, sa_column=Column(ID))
    data: str = Field(default="{}", sa_column=Column(Text, nullable=False))
