"""The refusals that a mailbox met in a row, and the recipients that each of them ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, exists, func, select

from mailrotate.core.store import removals
from mailrotate.core.store import tables as t
from mailrotate.core.values.address import domain_of
from mailrotate.core.values.states import CampaignState, MessageState, RecipientState, ReplyClass

# While the fate of a message is open, the same step might be sent a second time.
_UNCLEAR = (MessageState.SENDING, MessageState.HELD)


@dataclass(frozen=True)
class Refusal:
    """A message whose recipient the server called unknown."""

    message_id: int
    to_address: str
    settled_at: datetime


@dataclass(frozen=True)
class Ended:
    """A recipient that a refusal ended, and how far it had come."""

    id: int
    campaign_id: int
    campaign_sender_id: int | None
    joined_at: datetime
    next_step: int
    last_sent: tuple[int, datetime] | None


def in_a_row(connection: Connection, mailbox_id: int, since: datetime | None = None) -> list[Refusal]:
    """The refusals since the mailbox's last accepted message, and since that instant; oldest first."""
    m = t.message.c
    query = (
        select(m.id, m.to_address, m.settled_at)
        .where(
            m.mailbox_id == mailbox_id,
            m.state == MessageState.ERROR,
            m.error_class == ReplyClass.HARD,
        )
        .order_by(m.settled_at, m.id)
    )
    for start in (_last_accepted_at(connection, mailbox_id), since):
        if start is not None:
            query = query.where(m.settled_at > start)
    return [Refusal(*row) for row in connection.execute(query)]


def _last_accepted_at(connection: Connection, mailbox_id: int) -> datetime | None:
    m = t.message.c
    query = (
        select(m.sent_at)
        .where(m.mailbox_id == mailbox_id, t.is_counted, m.state == MessageState.SENT)
        .order_by(m.claimed_at.desc())
        .limit(1)
    )
    found = connection.execute(query).scalar_one_or_none()
    return found if isinstance(found, datetime) else None


def ended_by(connection: Connection, refusal: Refusal, reason: str) -> Sequence[Ended]:
    """The recipients that ended with a refusal for `reason`, in every campaign that can still go on.

    Not those who have answered since, nor those who may have another message on its way. The rows are locked.
    """
    r, m, e, c = t.recipient.c, t.message.c, t.event.c, t.campaign.c
    sent = and_(m.recipient_id == r.id, t.is_living_step, m.sent_at.is_not(None))
    has_answered = exists().where(e.recipient_id == r.id, e.action == "reply.received", e.at >= r.ended_at)
    query = (
        select(
            r.id,
            r.campaign_id,
            r.campaign_sender_id,
            r.enrolled_at,
            c.started_at,
            r.next_step,
            select(func.max(m.step_position)).where(sent).correlate(t.recipient).scalar_subquery(),
            select(func.max(m.sent_at)).where(sent).correlate(t.recipient).scalar_subquery(),
        )
        .join(t.contact, t.contact.c.id == r.contact_id)
        .join(t.campaign, c.id == r.campaign_id)
        .where(
            t.contact.c.domain == domain_of(refusal.to_address),
            t.contact.c.address == refusal.to_address,
            r.state.in_((RecipientState.BOUNCED, RecipientState.UNSUBSCRIBED)),
            r.reason == reason,
            r.ended_at == refusal.settled_at,
            c.state != CampaignState.FINISHED,
            ~removals.has_living(*_UNCLEAR),
            ~has_answered,
        )
        .order_by(r.id)
        .with_for_update(of=t.recipient)
    )
    return [
        Ended(
            id=row[0],
            campaign_id=row[1],
            campaign_sender_id=row[2],
            joined_at=max(row[3], row[4] or row[3]),
            next_step=row[5],
            last_sent=None if row[6] is None else (row[6], row[7]),
        )
        for row in connection.execute(query)
    ]
