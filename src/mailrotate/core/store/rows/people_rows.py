"""Contacts, recipients and suppressions."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from mailrotate.core.store.column_types import ID
from mailrotate.core.store.rows.declaring import LASTING_IDS, one_of, only_while, own_id, refers
from mailrotate.core.values import states

# The conditions of the partial indexes; `tables` has them again as expressions for queries.
_AWAITS_FIRST = "next_at IS NOT NULL AND next_step = 1"
_AWAITS_FOLLOW_UP = "next_at IS NOT NULL AND next_step > 1"
_HAS_REPLIED = "state = 'replied'"


class Contact(SQLModel, table=True):
    __table_args__ = (
        # By the domain first: so it also finds a suppressed domain's people, and an import that goes by
        # domain and canonical address only ever appends to it. The address is in it, because two spellings
        # may have been contacts before they were compared.
        Index("uq_contact", "domain", "canonical", "address", unique=True),
        LASTING_IDS,
    )
    id: int = own_id()
    address: str | None = None
    # The form in which addresses are compared, and its domain. All three go when the contact is erased.
    canonical: str | None = None
    domain: str | None = None
    fields: str = "{}"
    owner_id: int | None = refers("user.id", nullable=True)
    created_at: datetime
    erased_at: datetime | None = None


class ContactTag(SQLModel, table=True):
    __tablename__ = "contact_tag"
    __table_args__ = (Index("ix_contact_tag_tag", "tag", "contact_id"),)
    contact_id: int = refers("contact.id", primary_key=True)
    tag: str = Field(primary_key=True)


class Timeline(SQLModel, table=True):
    """A mail from or to a contact that a linked mailbox has seen (B9). Its words go with an erasure."""

    __table_args__ = (
        Index("uq_timeline", "contact_id", "mailbox_id", "header_id", unique=True),
        Index("ix_timeline_contact", "contact_id", "at"),
        LASTING_IDS,
    )
    id: int = own_id()
    contact_id: int = refers("contact.id")
    mailbox_id: int = refers("mailbox.id")
    at: datetime
    direction: str
    header_id: str
    subject: str | None = None


class Recipient(SQLModel, table=True):
    """One contact in one campaign. `next_at` is set while the next step waits to be planned: null before
    the start, while a message of theirs is in the outbox, and after the end."""

    __table_args__ = (
        one_of("state", states.RecipientState),
        # In this order a suppressed contact is found in all campaigns by the same index.
        Index("uq_recipient", "contact_id", "campaign_id", unique=True),
        # Two, because each is read in the order of `next_at`: a few follow-ups must not be looked for
        # among a million people who wait for their first message.
        Index("ix_recipient_first", "campaign_sender_id", "next_at", "id", **only_while(_AWAITS_FIRST)),
        Index(
            "ix_recipient_follow_up", "campaign_sender_id", "next_at", "id", **only_while(_AWAITS_FOLLOW_UP)
        ),
        # Their ends put the ids of each state in order on PostgreSQL too.
        Index("ix_recipient_campaign", "campaign_id", "state", "id"),
        Index("ix_recipient_sender", "campaign_sender_id", "state", "id"),
        Index("ix_recipient_replied", "ended_at", **only_while(_HAS_REPLIED)),
        LASTING_IDS,
    )
    id: int = own_id()
    campaign_id: int = refers("campaign.id")
    contact_id: int = refers("contact.id")
    state: str
    reason: str | None = None
    # SHA-256 of the contact's canonical address: what a mark in `stopped` is compared with, also after an
    # erasure. A trigger cannot compute it.
    address_hash: str | None = None
    campaign_sender_id: int | None = refers("campaign_sender.id", nullable=True)
    assigned_reason: str | None = None
    # The decision that chose the sender; not unset when the recipient moves to another (`assigned_reason`).
    assignment_id: int | None = Field(default=None, sa_type=ID)
    fields: str = Field(default="{}", sa_column=Column(Text, nullable=False))
    timezone: str | None = None
    next_step: int = 1
    next_at: datetime | None = None
    added_by: int | None = refers("user.id", nullable=True)
    # The user for whom it was added; null if that is the user who added it.
    added_for: int | None = Field(default=None, sa_type=ID)
    enrolled_at: datetime
    ended_at: datetime | None = None


class Suppression(SQLModel, table=True):
    """An address or domain that is never written to again. Erased, its hash alone remains.

    `value` is as it was written, `canonical` the form in which it is compared, `hash` of that form.
    """

    __table_args__ = (
        one_of("kind", states.SuppressionKind),
        Index("ix_suppression_canonical", "kind", "canonical"),
        LASTING_IDS,
    )
    id: int = own_id()
    kind: str
    value: str | None = Field(default=None, unique=True)
    canonical: str | None = None
    hash: str = Field(unique=True)
    reason: str
    source: str
    added_by: int | None = refers("user.id", nullable=True)
    added_at: datetime


class LiftedSuppression(SQLModel, table=True):
    """When a suppression was last removed: mail from before that does not suppress again."""

    __tablename__ = "lifted_suppression"
    hash: str = Field(primary_key=True)
    lifted_at: datetime


class Stopped(SQLModel, table=True):
    """The tombstone of a stopped recipient: it outlives removal, re-import and erasure (C9)."""

    campaign_id: int = refers("campaign.id", primary_key=True)
    address_hash: str = Field(primary_key=True)
    stopped_at: datetime
