"""Every table that queries use, and the conditions of the partial indexes."""

from typing import Any

from sqlalchemy import ColumnElement, and_, literal_column

from mailrotate.core.store.tables.columns import *  # noqa: F403  each table, under its own name
from mailrotate.core.store.tables.columns import mailbox_request, message, recipient, webhook_delivery
from mailrotate.core.values import states


def literal(value: str | int) -> ColumnElement[Any]:
    """A value of ours written into the statement itself, where a parameter would hide a partial index."""
    return literal_column(f"'{value}'" if isinstance(value, str) else str(value))


# The conditions of the partial indexes, as expressions: a query uses such an index only when it repeats its
# condition literally.
awaits_first = and_(recipient.c.next_at.is_not(None), recipient.c.next_step == literal(1))
awaits_follow_up = and_(recipient.c.next_at.is_not(None), recipient.c.next_step > literal(1))
is_scheduled = message.c.state == literal(states.MessageState.SCHEDULED.value)
is_waiting = and_(is_scheduled, message.c.overdue_at.is_(None))
is_counted = message.c.state.in_([literal(state.value) for state in states.COUNTED_MESSAGES])
is_in_flight = message.c.state == literal(states.MessageState.SENDING.value)
wants_attention = message.c.state.in_([literal("error"), literal("held")])
is_living_step = and_(
    message.c.state != literal(states.MessageState.CANCELLED.value),
    message.c.kind == literal(states.MessageKind.CAMPAIGN.value),
)
has_replied = recipient.c.state == literal(states.RecipientState.REPLIED.value)
is_open = recipient.c.state.in_([literal(state.value) for state in states.OPEN_RECIPIENTS])
is_undelivered = and_(webhook_delivery.c.delivered_at.is_(None), webhook_delivery.c.given_up_at.is_(None))
is_current_request = and_(
    mailbox_request.c.state != literal(states.RequestState.DENIED.value), mailbox_request.c.ended_at.is_(None)
)
