"""The messages and recipients that are first in many lanes, each question in one statement."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, column, select, values

from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import portions, rows_with
from mailrotate.core.store.sending import outbox
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.values.states import Priority

# Before every message.
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_m, _r = t.message.c, t.recipient.c


class Front(NamedTuple):
    """One campaign in one mailbox's lane."""

    mailbox_id: int
    campaign_id: int


def first_in_lanes(
    connection: Connection, mailbox_ids: Sequence[int], priority: Priority
) -> dict[int, Candidate]:
    """The first waiting message of one priority in each lane, by mailbox."""
    first = _first_message(priority).where(_m.mailbox_id == t.mailbox.c.id).correlate(t.mailbox)
    query = select(first.scalar_subquery().label("first"))
    found = _messages(connection, rows_with(connection, query, t.mailbox.c.id, mailbox_ids))
    return {message.mailbox_id: message for message in found}


def first_of_campaigns(
    connection: Connection, fronts: Mapping[Front, datetime | None], priority: Priority
) -> dict[Front, Candidate]:
    """The first waiting message of one priority of each front; with an instant, of those due from then on."""
    table = values(
        column("mailbox_id", _m.mailbox_id.type),
        column("campaign_id", _m.campaign_id.type),
        column("since", _m.due_at.type),
        name="fronts",
    )
    rows = [(*front, since or _EVER) for front, since in fronts.items()]
    found: list[Candidate] = []
    for some in portions(rows):
        front = table.data([*some]).cte("front")
        first = _first_message(priority).where(
            _m.mailbox_id == front.c.mailbox_id,
            _m.campaign_id == front.c.campaign_id,
            _m.due_at >= front.c.since,
        )
        query = select(first.correlate(front).scalar_subquery().label("first")).select_from(front)
        found += _messages(connection, connection.execute(query))
    return {Front(message.mailbox_id, message.campaign_id or 0): message for message in found}


def first_people(
    connection: Connection, senders: Mapping[int, datetime | None], *, follow_ups: bool
) -> dict[int, int]:
    """The first recipient of each sender that waits to be planned, by sender; with an instant, of those
    due from then on."""
    table = values(
        column("sender_id", _r.campaign_sender_id.type), column("since", _r.next_at.type), name="senders"
    )
    awaits: ColumnElement[bool] = t.awaits_follow_up if follow_ups else t.awaits_first
    found: dict[int, int] = {}
    for some in portions([(sender_id, since or _EVER) for sender_id, since in senders.items()]):
        sender = table.data([*some]).cte("sender")
        first = (
            select(_r.id)
            .where(_r.campaign_sender_id == sender.c.sender_id, _r.next_at >= sender.c.since, awaits)
            .order_by(_r.next_at, _r.id)
            .limit(1)
            .correlate(sender)
            .scalar_subquery()
        )
        query = select(sender.c.sender_id, first.label("first"))
        found |= {row.sender_id: row.first for row in connection.execute(query) if row.first is not None}
    return found


def _first_message(priority: Priority) -> Select[tuple[int]]:
    waiting = select(_m.id).where(_m.priority == priority, t.is_waiting)
    return waiting.order_by(_m.ready_at, _m.id).limit(1)


def _messages(connection: Connection, rows: Iterable[Any]) -> list[Candidate]:
    return list(outbox.by_ids(connection, [row.first for row in rows if row.first is not None]).values())
