"""Webhook endpoints, and the queue of each."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from mailrotate.core.store.column_types import ID
from mailrotate.core.store.rows.declaring import LASTING_IDS, blob, only_while, own_id, refers

# The condition of the partial index; `tables` has it again as an expression for queries.
_UNDELIVERED = "delivered_at IS NULL AND given_up_at IS NULL"


class Webhook(SQLModel, table=True):
    """An endpoint that is told of events."""

    __table_args__ = (LASTING_IDS,)
    id: int = own_id()
    url: str
    # JSON: the actions that it is told of.
    events: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime
    # The sealed signing secret. After a rotation the former one signs too, until `former_until`.
    generation: int = 1
    secret: bytes | None = blob()
    former_secret: bytes | None = blob()
    former_until: datetime | None = None
    # The process that is posting to it; its life is a held lock, as for a lane.
    runner_id: int | None = refers("runner.id", nullable=True)
    # An outage, until a delivery works: failures in a row, and not to be tried before.
    failing_since: datetime | None = None
    failure_count: int = 0
    rests_until: datetime | None = None
    last_error: str | None = None
    delivered_at: datetime | None = None
    # It answered 410 Gone: nothing is posted until a test works again.
    off_at: datetime | None = None


class WebhookDelivery(SQLModel, table=True):
    """One event on its way to one endpoint, until it is delivered or given up.

    Its key and body never change, however often it is posted.
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("ix_webhook_delivery_waiting", "webhook_id", "subject", "id", **only_while(_UNDELIVERED)),
        Index("ix_webhook_delivery_queued", "webhook_id", "queued_at"),
        LASTING_IDS,
    )
    id: int = own_id()
    webhook_id: int = refers("webhook.id")
    event_id: int = Field(sa_column=Column(ID, nullable=False))
    # Deliveries of one subject (a mailbox, or a campaign) keep their order.
    subject: str
    # The header `webhook-id`, by which a receiver recognises a repeat.
    key: str = Field(unique=True)
    body: str = Field(sa_column=Column(Text, nullable=False))
    queued_at: datetime
    attempts: int = 0
    first_failed_at: datetime | None = None
    next_try_at: datetime
    delivered_at: datetime | None = None
    given_up_at: datetime | None = None
    last_error: str | None = None
