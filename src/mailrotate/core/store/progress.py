"""How far campaigns are: people by state and sender, messages by sender and step, of many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import rows_with
from mailrotate.core.values.states import MessageKind, MessageState, RecipientState


@dataclass(frozen=True)
class Progress:
    """People by state and by `campaign_sender`, and how many of them `failed` for the reason asked for;
    what was sent by `campaign_sender` and by the step's position."""

    people: Mapping[str, int]
    people_by_sender: Mapping[int, int]
    failed: int
    sent_by_sender: Mapping[int, int]
    sent_by_step: Mapping[int, int]


def of_campaigns(connection: Connection, campaign_ids: Sequence[int], failed_for: str) -> dict[int, Progress]:
    """By campaign, each of those named."""
    r, m = t.recipient.c, t.message.c
    sent = (m.state == MessageState.SENT, m.kind == MessageKind.CAMPAIGN)
    failed = (r.state == RecipientState.FAILED, r.reason == failed_for)
    people = _counted(connection, campaign_ids, r.campaign_id, r.state)
    by_sender = _counted(connection, campaign_ids, r.campaign_id, r.campaign_sender_id)
    gone = _counted(connection, campaign_ids, r.campaign_id, r.state, *failed)
    sent_by_sender = _counted(connection, campaign_ids, m.campaign_id, m.campaign_sender_id, *sent)
    sent_by_step = _counted(connection, campaign_ids, m.campaign_id, m.step_position, *sent)
    return {
        number: Progress(
            people.get(number, {}),
            by_sender.get(number, {}),
            sum(gone.get(number, {}).values()),
            sent_by_sender.get(number, {}),
            sent_by_step.get(number, {}),
        )
        for number in campaign_ids
    }


def people(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """By campaign, how many are in each state."""
    return _counted(connection, campaign_ids, t.recipient.c.campaign_id, t.recipient.c.state)


def overdue(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, int]:
    """By campaign, how many rows are parked until `outbox release` (H4)."""
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
    """By campaign and key how many rows there are; those without a key do not count."""
    found: dict[int, dict[Any, int]] = {}
    counted = (campaign.label("campaign"), key.label("key"), func.count().label("count_"))
    query = select(*counted).where(key.is_not(None), *where).group_by(campaign, key)
    for row in rows_with(connection, query, campaign, campaign_ids):
        found.setdefault(row.campaign, {})[row.key] = row.count_
    return found
