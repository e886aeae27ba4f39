"""Webhook endpoints, and the queue of each: one row for an event and an endpoint that is told of it.

A row is written in the transaction that records the event, so that none is lost and none is told that was
rolled back.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from mailrotate.core.store import tables as t
from mailrotate.core.values.clock import rfc3339

_w = t.webhook.c
_d = t.webhook_delivery.c


@dataclass(frozen=True)
class StoredWebhook:
    """An endpoint with what is known of its present outage. The secrets are sealed."""

    id: int
    url: str
    events: tuple[str, ...]
    created_at: datetime
    generation: int
    secret: bytes
    former_secret: bytes | None
    former_until: datetime | None
    failing_since: datetime | None
    failure_count: int
    rests_until: datetime | None
    last_error: str | None
    delivered_at: datetime | None
    off_at: datetime | None


@dataclass(frozen=True)
class Delivery:
    """A waiting row."""

    id: int
    key: str
    body: str
    attempts: int
    first_failed_at: datetime | None


# --- endpoints


def insert_webhook(connection: Connection, url: str, events: Sequence[str], now: datetime) -> int:
    """Insert an endpoint; the caller then seals its secret, which is bound to the id."""
    row = {"url": url, "events": json.dumps(list(events)), "created_at": now}
    made = connection.execute(insert(t.webhook).values(row | {"generation": 1, "failure_count": 0}))
    return int((made.inserted_primary_key or (0,))[0])


def change(connection: Connection, webhook_id: int, **values: object) -> None:
    connection.execute(update(t.webhook).where(_w.id == webhook_id).values(**values))


def delete_webhook(connection: Connection, webhook_id: int) -> None:
    """Delete an endpoint with its queue."""
    connection.execute(delete(t.webhook_delivery).where(_d.webhook_id == webhook_id))
    connection.execute(delete(t.webhook).where(_w.id == webhook_id))


def listing(connection: Connection) -> list[StoredWebhook]:
    return [_read(row) for row in connection.execute(select(t.webhook).order_by(_w.id))]


def find(connection: Connection, webhook_id: int) -> StoredWebhook | None:
    row = connection.execute(select(t.webhook).where(_w.id == webhook_id)).one_or_none()
    return None if row is None else _read(row)


def _read(row: Row[Any]) -> StoredWebhook:
    known = {name: row._mapping[name] for name in StoredWebhook.__dataclass_fields__}
    return StoredWebhook(**known | {"events": tuple(json.loads(row.events))})


def take(connection: Connection, webhook_id: int, runner_id: int) -> bool:
    """Let this runner alone post to the endpoint; False if another one does."""
    is_free = or_(_w.runner_id.is_(None), _w.runner_id == runner_id)
    taking = update(t.webhook).where(_w.id == webhook_id, is_free).values(runner_id=runner_id)
    return connection.execute(taking).rowcount == 1


def release(connection: Connection, runner_id: int, webhook_id: int | None = None) -> None:
    """Release an endpoint that a runner posted to, or all of a dead runner."""
    freeing = update(t.webhook).where(_w.runner_id == runner_id)
    if webhook_id is not None:
        freeing = freeing.where(_w.id == webhook_id)
    connection.execute(freeing.values(runner_id=None))


def takers(connection: Connection) -> list[int]:
    """The runners that post to endpoints."""
    query = select(_w.runner_id).where(_w.runner_id.is_not(None)).distinct()
    return [int(runner_id) for runner_id in connection.execute(query).scalars()]


# --- the queue of an endpoint


def enqueue(connection: Connection, event: Mapping[str, Any], event_id: int) -> None:
    """Queue an event for each endpoint that is told of it; one that is off misses it.

    `event` is the row of the log, with its `data` as a mapping.
    """
    told = [hook for hook in listing(connection) if event["action"] in hook.events]
    if not told:
        return
    about = _about(connection, event)
    subject = f"b_{event['mailbox_id']}" if event["mailbox_id"] else f"c_{event['campaign_id']}"
    for hook in told:
        key = f"msg_{secrets.token_hex(16)}"
        row = {
            "webhook_id": hook.id,
            "event_id": event_id,
            "subject": subject,
            "key": key,
            "body": json.dumps({"id": key, "type": event["action"], "sequence": event_id, **about}),
            "queued_at": event["at"],
            "next_try_at": event["at"],
            "given_up_at": None if hook.off_at is None else event["at"],
            "attempts": 0,
        }
        connection.execute(insert(t.webhook_delivery).values(row))


def _about(connection: Connection, event: Mapping[str, Any]) -> dict[str, Any]:
    """What the body says of an event: its mailbox and campaign with their present states, and its data."""
    k, c = t.connection.c, t.campaign.c
    current = (
        select(t.mailbox.c.id, t.mailbox.c.address, k.state, k.failed_at)
        .join(t.connection, and_(k.mailbox_id == t.mailbox.c.id, k.superseded_at.is_(None)))
        .where(t.mailbox.c.id == event["mailbox_id"])
    )
    box = connection.execute(current).one_or_none()
    named = select(c.id, c.name, c.state).where(c.id == event["campaign_id"])
    campaign = connection.execute(named).one_or_none()
    data = dict(event["data"])
    failed_at = data.pop("failed_at", None)
    if failed_at is None and box is not None and box.failed_at is not None:
        failed_at = rfc3339(box.failed_at)
    return {
        "occurred_at": rfc3339(event["at"]),
        # The same for everything that is told of one failure, its end included.
        "failure": None if failed_at is None else f"b_{event['mailbox_id']}/{failed_at}",
        "mailbox": box and {"id": f"b_{box.id}", "address": box.address, "state": box.state},
        "campaign": campaign and {"id": f"c_{campaign.id}", "name": campaign.name, "state": campaign.state},
        "data": data,
    }


def due(connection: Connection, now: datetime) -> list[int]:
    """The endpoints that something may be posted to now."""
    waits = exists().where(_d.webhook_id == _w.id, t.is_undelivered, _d.next_try_at <= now)
    is_rested = or_(_w.rests_until.is_(None), _w.rests_until <= now)
    query = select(_w.id).where(_w.off_at.is_(None), is_rested, waits).order_by(_w.id)
    return [int(webhook_id) for webhook_id in connection.execute(query).scalars()]


def next_due(connection: Connection, webhook_id: int, now: datetime) -> Delivery | None:
    """The earliest delivery that may be posted now, and overtakes no waiting one of its subject."""
    first = select(func.min(_d.id)).where(_d.webhook_id == webhook_id, t.is_undelivered).group_by(_d.subject)
    query = (
        select(_d.id, _d.key, _d.body, _d.attempts, _d.first_failed_at)
        .where(_d.id.in_(first), _d.next_try_at <= now)
        .order_by(_d.id)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Delivery(*row)


def change_waiting(connection: Connection, delivery_id: int, **values: object) -> None:
    """Change a delivery unless another process settled it."""
    connection.execute(
        update(t.webhook_delivery).where(_d.id == delivery_id, t.is_undelivered).values(**values)
    )


def begin_outage(connection: Connection, webhook_id: int, now: datetime) -> None:
    """Count an outage as a failure of everything that waits for the endpoint."""
    untried = (_d.webhook_id == webhook_id, t.is_undelivered, _d.first_failed_at.is_(None))
    connection.execute(update(t.webhook_delivery).where(*untried).values(first_failed_at=now))


def end_outage(connection: Connection, webhook_id: int, now: datetime) -> None:
    """Let everything that waits for the endpoint be tried at once, as if for the first time."""
    waiting = (_d.webhook_id == webhook_id, t.is_undelivered)
    fresh = {"first_failed_at": None, "attempts": 0, "next_try_at": now}
    connection.execute(update(t.webhook_delivery).where(*waiting).values(fresh))


def give_up(
    connection: Connection,
    webhook_id: int,
    now: datetime,
    *,
    failing_since: datetime | None = None,
    delivery_id: int | None = None,
) -> int:
    """Give up what waits for an endpoint; return how many.

    Only what first failed at or before `failing_since`, and only one delivery, where they are given.
    """
    chosen = [_d.webhook_id == webhook_id, t.is_undelivered]
    if failing_since is not None:
        chosen.append(_d.first_failed_at <= failing_since)
    if delivery_id is not None:
        chosen.append(_d.id == delivery_id)
    return connection.execute(update(t.webhook_delivery).where(*chosen).values(given_up_at=now)).rowcount


@dataclass(frozen=True)
class Again:
    """Which deliveries to repeat: all that match each value that is not None.

    Without `key` and `since`, those that were given up.
    """

    webhook_id: int | None = None
    key: str | None = None
    since: datetime | None = None


def queue_again(connection: Connection, wanted: Again, now: datetime) -> int:
    """Queue deliveries again that are settled; return how many. Their keys and bodies stay."""
    matches: list[ColumnElement[bool]] = [~t.is_undelivered]
    if wanted.webhook_id is not None:
        matches.append(_d.webhook_id == wanted.webhook_id)
    if wanted.key is not None:
        matches.append(_d.key == wanted.key)
    if wanted.since is not None:
        matches.append(_d.queued_at >= wanted.since)
    if wanted.key is None and wanted.since is None:
        matches.append(_d.given_up_at.is_not(None))
    fresh = {"delivered_at": None, "given_up_at": None, "first_failed_at": None, "attempts": 0}
    repeating = update(t.webhook_delivery).where(*matches).values(**fresh, next_try_at=now)
    return connection.execute(repeating).rowcount


@dataclass(frozen=True)
class Queue:
    """How many deliveries wait for an endpoint, and how many were given up."""

    waiting: int = 0
    given_up: int = 0


def queues(connection: Connection) -> dict[int, Queue]:
    """The queue of each endpoint that has one."""
    waiting = func.sum(case((_d.given_up_at.is_(None), 1), else_=0))
    query = (
        select(_d.webhook_id, waiting, func.count(_d.given_up_at))
        .where(_d.delivered_at.is_(None))
        .group_by(_d.webhook_id)
    )
    return {row[0]: Queue(int(row[1]), int(row[2])) for row in connection.execute(query)}


# --- secrets


class SealedHookSecret(NamedTuple):
    """A sealed signing secret, the column that has it, and the generation that it is bound to."""

    webhook_id: int
    column: str
    generation: int
    secret: bytes


def sealed_secrets(connection: Connection) -> Iterator[SealedHookSecret]:
    """All signing secrets, including those that a rotation has replaced."""
    for hook in listing(connection):
        yield SealedHookSecret(hook.id, "secret", hook.generation, hook.secret)
        if hook.former_secret is not None:
            yield SealedHookSecret(hook.id, "former_secret", hook.generation - 1, hook.former_secret)
