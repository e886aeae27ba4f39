"""Messages in error because their mailbox was away."""

from sqlalchemy import ColumnElement, and_, or_, select

from mailrotate.core.store import tables as t
from mailrotate.core.values.reasons import NOT_CONNECTED
from mailrotate.core.values.states import Departure


def of_mailbox(mailbox_id: int) -> ColumnElement[bool]:
    """A condition: those of a mailbox, except in rotations that it left with its disconnect."""
    m, sender = t.message.c, t.campaign_sender.c
    away = select(sender.id).where(sender.left_reason == Departure.DISCONNECTED)
    return and_(
        m.mailbox_id == mailbox_id,
        m.error_class == NOT_CONNECTED,
        or_(m.campaign_sender_id.is_(None), m.campaign_sender_id.not_in(away)),
    )
