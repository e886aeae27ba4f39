"""The progress of many campaigns at once: recipients by state and sender, messages by sender and step."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import rows_with
from mailrotate.core.values.states import MessageKind, MessageState, RecipientState


@dataclass(frozen=True)
class Progress:
    """Recipients by state and by `campaign_sender`, how many `failed` for a given reason, and sent
    messages by `campaign_sender` and by the step's position."""

    people: Counter[str]
    people_by_sender: Counter[int]
    failed: int
    sent_by_sender: Counter[int]
    sent_by_step: Counter[int]


def of_campaigns(connection: Connection, campaign_ids: Sequence[int], failed_for: str) -> dict[int, Progress]:
    """The progress of each named campaign, by campaign."""
    r, m, sender = t.recipient.c, t.message.c, t.campaign_sender.c
    # Each of these is counted from an index alone, except the few that failed.
    found = {
        campaign_id: Progress(Counter(by_state), Counter(), 0, Counter(), Counter())
        for campaign_id, by_state in people(connection, campaign_ids).items()
    }
    of_senders = _counting(sender.campaign_id, sender.id).join(t.recipient, r.campaign_sender_id == sender.id)
    for row in rows_with(connection, of_senders, sender.campaign_id, campaign_ids):
        found[row.campaign_id].people_by_sender[row.id] = row.count_
    of_failed = _counting(r.campaign_id).where(r.state == RecipientState.FAILED, r.reason == failed_for)
    for row in rows_with(connection, of_failed, r.campaign_id, campaign_ids):
        found[row.campaign_id] = replace(found[row.campaign_id], failed=row.count_)
    of_sent = _counting(m.campaign_id, m.campaign_sender_id, m.step_position).where(
        m.state == MessageState.SENT, m.kind == MessageKind.CAMPAIGN
    )
    for row in rows_with(connection, of_sent, m.campaign_id, campaign_ids):
        found[row.campaign_id].sent_by_sender[row.campaign_sender_id] += row.count_
        found[row.campaign_id].sent_by_step[row.step_position] += row.count_
    return found


def _counting(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns, func.count().label("count_")).group_by(*columns)


def people(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Count recipients by state, for each campaign."""
    return _counted(connection, campaign_ids, t.recipient.c.campaign_id, t.recipient.c.state)


def sent(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, int]:
    """Count the sent messages of each campaign, without its test messages."""
    m = t.message.c
    to_recipients = (m.state == MessageState.SENT, m.kind == MessageKind.CAMPAIGN)
    found = _counted(connection, campaign_ids, m.campaign_id, m.state, *to_recipients)
    return {campaign_id: sum(counts.values()) for campaign_id, counts in found.items()}


def replied_since(connection: Connection, campaign_ids: Sequence[int], start: datetime) -> int:
    """Recipients that answered since then."""
    r, wanted = t.recipient.c, set(campaign_ids)
    # Not by campaign, for which SQLite would read the replies of all days.
    query = select(r.campaign_id).where(t.has_replied, r.ended_at >= start)
    return sum(campaign_id in wanted for campaign_id in connection.execute(query).scalars())


def overdue(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, int]:
    """Count messages that are parked until `outbox release` (H4), for each campaign."""
    m = t.message.c
    parked = (m.state == MessageState.SCHEDULED, m.overdue_at.is_not(None))
    found = _counted(connection, campaign_ids, m.campaign_id, m.state, *parked)
    return {campaign_id: sum(counts.values()) for campaign_id, counts in found.items()}


def _counted(
    connection: Connection,
    campaign_ids: Sequence[int],
    campaign: ColumnElement[Any],
    key: ColumnElement[Any],
    *where: ColumnElement[bool],
) -> dict[int, dict[Any, int]]:
    """Count rows by campaign and key, without rows that have no key."""
    found: dict[int, dict[Any, int]] = {number: {} for number in campaign_ids}
    counted = (campaign.label("campaign"), key.label("key"), func.count().label("count_"))
    query = select(*counted).where(key.is_not(None), *where).group_by(campaign, key)
    for row in rows_with(connection, query, campaign, campaign_ids):
        found[row.campaign][row.key] = row.count_
    return found
