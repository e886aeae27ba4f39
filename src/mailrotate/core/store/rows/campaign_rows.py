"""Campaigns: their versions, steps and senders, why one is paused, and which periods run in it."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Text
from sqlmodel import Field, SQLModel

from mailrotate.core.store.column_types import ID
from mailrotate.core.store.rows.declaring import LASTING_IDS, blob, one_of, only_while, own_id, refers
from mailrotate.core.values import states

# The condition of the partial indexes of `deadline`.
_RUNNING = "ended_at IS NULL"


class Campaign(SQLModel, table=True):
    __table_args__ = (one_of("state", states.CampaignState), LASTING_IDS)
    id: int = own_id()
    name: str = Field(unique=True)
    owner_id: int = refers("user.id")
    team: bool = False
    state: str
    rotation: str | None = None
    version: int = 1
    created_at: datetime
    started_at: datetime | None = None
    resumed_at: datetime | None = None
    finished_at: datetime | None = None


class CampaignPause(SQLModel, table=True):
    """One reason why a campaign is paused; it runs when there is none."""

    __tablename__ = "campaign_pause"
    __table_args__ = (
        Index("uq_campaign_pause", "campaign_id", "reason", "mailbox_id", unique=True),
        LASTING_IDS,
    )
    id: int = own_id()
    campaign_id: int = refers("campaign.id")
    reason: str
    # 0 where the reason is no mailbox's: a null would not count as equal in a unique index.
    mailbox_id: int = 0
    paused_at: datetime


class CampaignVersion(SQLModel, table=True):
    __tablename__ = "campaign_version"
    __table_args__ = (Index("uq_campaign_version", "campaign_id", "n", unique=True), LASTING_IDS)
    id: int = own_id()
    campaign_id: int = refers("campaign.id")
    n: int
    window: str
    timezone: str | None = None
    holidays: str = "null"
    on_auto_reply: str = "wait"
    created_at: datetime
    created_by: int | None = refers("user.id", nullable=True)


class Step(SQLModel, table=True):
    """A step's lasting identity; its words are in `step_version`."""

    __table_args__ = (Index("uq_step", "campaign_id", "position", unique=True), LASTING_IDS)
    id: int = own_id()
    campaign_id: int = refers("campaign.id")
    position: int


class StepVersion(SQLModel, table=True):
    __tablename__ = "step_version"
    __table_args__ = (Index("uq_step_version", "step_id", "version", unique=True), LASTING_IDS)
    id: int = own_id()
    step_id: int = refers("step.id")
    version: int
    delay_seconds: int = Field(sa_column=Column(BigInteger, nullable=False))
    subject: str | None = None
    body: str = Field(sa_column=Column(Text, nullable=False))
    sender_mailbox_id: int | None = refers("mailbox.id", nullable=True)


class Attachment(SQLModel, table=True):
    __table_args__ = (LASTING_IDS,)
    id: int = own_id()
    step_version_id: int = Field(
        sa_column=Column(ID, ForeignKey("step_version.id"), nullable=False, index=True)
    )
    position: int
    filename: str
    content_type: str
    data: bytes = blob(nullable=False)


class CampaignSender(SQLModel, table=True):
    """Who sends: a slot for a campaign with one sender (C5), a mailbox for a rotation."""

    __tablename__ = "campaign_sender"
    __table_args__ = (
        CheckConstraint("(slot_id IS NULL) <> (mailbox_id IS NULL)", name="slot_or_mailbox"),
        Index("ix_campaign_sender_campaign", "campaign_id"),
        Index("ix_campaign_sender_mailbox", "mailbox_id"),
        Index("ix_campaign_sender_slot", "slot_id"),
        LASTING_IDS,
    )
    id: int = own_id()
    campaign_id: int = refers("campaign.id")
    slot_id: int | None = refers("slot.id", nullable=True)
    mailbox_id: int | None = refers("mailbox.id", nullable=True)
    position: int
    generation: int = 1
    joined_at: datetime
    left_at: datetime | None = None
    left_reason: str | None = None
    assigned_count: int = 0
    # The given weight of a weighted rotation; without one the daily limit counts (E2).
    weight: int | None = None
    # The weight at the rotation's last assignment; null if the sender could not take part in it (E1).
    counted_weight: int | None = None
    # When this sender last sent for this campaign: campaigns take turns within a mailbox (E4).
    turn_at: datetime | None = None
    # What was due before this instant is parked until `outbox release` (H4).
    parked_before: datetime | None = None


class Assignment(SQLModel, table=True):
    """One decision of a rotation in words, for all recipients who got their sender by it."""

    __table_args__ = (LASTING_IDS,)
    id: int = own_id()
    campaign_id: int = refers("campaign.id")
    words: str
    made_at: datetime


class Deadline(SQLModel, table=True):
    """Until when a mailbox that is away may come back to a rotation without loss (C8, C10)."""

    __table_args__ = (
        one_of("kind", states.DeadlineKind),
        Index("uq_deadline_running", "mailbox_id", "campaign_id", unique=True, **only_while(_RUNNING)),
        Index("ix_deadline_ends", "ends_at", "id", **only_while(_RUNNING)),
        Index("ix_deadline_campaign", "campaign_id"),
        LASTING_IDS,
    )
    id: int = own_id()
    mailbox_id: int = refers("mailbox.id")
    campaign_id: int = refers("campaign.id")
    kind: str
    started_at: datetime
    ends_at: datetime
    ended_at: datetime | None = None
    # The event of `rules.transitions.DEADLINE` that ended it, and what a settlement did.
    ended_by: str | None = None
    stopped_count: int | None = None
    reassigned_count: int | None = None
