"""Notices to users about their mailboxes."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from mailrotate.core.store.rows.declaring import LASTING_IDS, own_id, refers


class Notice(SQLModel, table=True):
    """One notice of one failure to one addressee; several of them may be one mail.

    `nth` is its name among those of the failure that began at `failed_at`: the unique index gives each once.
    """

    __table_args__ = (
        Index("uq_notice", "mailbox_id", "failed_at", "nth", "addressee", unique=True),
        Index("ix_notice_message", "message_id"),
        LASTING_IDS,
    )
    id: int = own_id()
    mailbox_id: int = refers("mailbox.id")
    failed_at: datetime
    nth: str
    # Empty if no mailbox could send it: a null would not count as equal in a unique index.
    addressee: str = Field(default="")
    message_id: int | None = refers("message.id", nullable=True)
    given_at: datetime
