"""Every table: declared as SQLModel rows in the modules of this package, here for queries. `docs/glossary.md`
says what each of them is.

Tables are rows, not the domain: they validate nothing, and no row leaves the store. States are text with a
CHECK, because an enum column would store the names of the members instead of their values. Instants are
aware UTC (`UTCDateTime` of SQLModel): fixed-width text on SQLite, `timestamptz` on PostgreSQL.
"""

from typing import Any

from sqlalchemy import ColumnElement, MetaData, and_, literal_column
from sqlmodel import SQLModel

# Importing a module declares its tables.
from mailrotate.core.store.tables import (  # noqa: F401
    campaign_rows,
    mailbox_rows,
    notice_rows,
    outbox_rows,
    people_rows,
    user_rows,
    webhook_rows,
)
from mailrotate.core.values import states

METADATA: MetaData = SQLModel.metadata

# The same tables for SQLAlchemy Core: the hot path and mass changes work on these.
workspace = METADATA.tables["workspace"]
setting = METADATA.tables["setting"]
absence = METADATA.tables["absence"]
send_mark = METADATA.tables["send_mark"]
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
unread_mail = METADATA.tables["unread_mail"]
runner = METADATA.tables["runner"]
lane = METADATA.tables["lane"]
campaign = METADATA.tables["campaign"]
campaign_pause = METADATA.tables["campaign_pause"]
campaign_version = METADATA.tables["campaign_version"]
campaign_sender = METADATA.tables["campaign_sender"]
step = METADATA.tables["step"]
step_version = METADATA.tables["step_version"]
attachment = METADATA.tables["attachment"]
assignment = METADATA.tables["assignment"]
contact = METADATA.tables["contact"]
contact_tag = METADATA.tables["contact_tag"]
timeline = METADATA.tables["timeline"]
recipient = METADATA.tables["recipient"]
message = METADATA.tables["message"]
sent_copy = METADATA.tables["sent_copy"]
deadline = METADATA.tables["deadline"]
suppression = METADATA.tables["suppression"]
lifted_suppression = METADATA.tables["lifted_suppression"]
stopped = METADATA.tables["stopped"]
event = METADATA.tables["event"]
notice = METADATA.tables["notice"]
webhook = METADATA.tables["webhook"]
webhook_delivery = METADATA.tables["webhook_delivery"]


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
is_open = recipient.c.state.in_([literal(state.value) for state in states.OPEN_RECIPIENTS])
is_undelivered = and_(webhook_delivery.c.delivered_at.is_(None), webhook_delivery.c.given_up_at.is_(None))
is_current_request = and_(
    mailbox_request.c.state != literal(states.RequestState.DENIED.value), mailbox_request.c.ended_at.is_(None)
)
