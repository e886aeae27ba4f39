"""Post queued events to their endpoints: at least once, in order for each endpoint and mailbox (C10).

No transaction is open while an endpoint is waited for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.webhook_retry import Outcome, give_up_since, judge, next_try
from mailrotate.core.rules.webhook_signature import signed_headers
from mailrotate.core.services.context import Context, webhook_secret_name
from mailrotate.core.store import events, webhooks
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.webhooks import Delivery, StoredWebhook
from mailrotate.core.values.clock import Clock, monotonic_seconds
from mailrotate.core.values.webhook import WebhookAnswer, WebhookTrouble

# The bounds of one turn; the next pass goes on.
_MOST_POSTS = 500
_LONGEST_SECONDS = 30.0
# An endpoint that refuses so many in a row refuses everything.
_MOST_REFUSALS = 5


@dataclass(frozen=True)
class Answered:
    """The result of one post, and the endpoint's words when it was not taken."""

    outcome: Outcome | None
    said: str | None


def due(context: Context, now: datetime) -> list[int]:
    """List the endpoints that have something to be told of."""
    with context.store.reading() as connection:
        return webhooks.due(connection, now)


def post_due(
    context: Context, runner_id: int, webhook_id: int, clock: Clock, stopping: Callable[[], bool]
) -> int:
    """Post what is due to one endpoint, unless another runner does; return how many it took.

    Raises KeyTrouble, StoreTrouble, Busy. What was taken and could not be recorded is posted again.
    """
    with context.store.writing() as connection:
        if not webhooks.take(connection, webhook_id, runner_id):
            return 0
    try:
        return _post_all(context, webhook_id, clock, stopping)
    finally:
        with context.store.writing() as connection:
            webhooks.release(connection, runner_id, webhook_id)


def _post_all(context: Context, webhook_id: int, clock: Clock, stopping: Callable[[], bool]) -> int:
    began = monotonic_seconds()
    taken = refused = 0
    for _ in range(_MOST_POSTS):
        if stopping() or monotonic_seconds() - began > _LONGEST_SECONDS:
            break
        with context.store.reading() as connection:
            hook = webhooks.find(connection, webhook_id)
            delivery = webhooks.next_due(connection, webhook_id, clock())
        if hook is None or delivery is None:
            break
        answered = post(context, hook, delivery.key, delivery.body, clock())
        refused = 0 if answered.outcome is Outcome.DELIVERED else refused + 1
        is_outage = answered.outcome is None or refused >= _MOST_REFUSALS
        with context.store.writing() as connection:
            _record(connection, hook, delivery, answered, is_outage, clock())
        if answered.outcome is Outcome.DELIVERED:
            taken += 1
        elif is_outage or answered.outcome is Outcome.GONE:
            break
    return taken


def post(context: Context, hook: StoredWebhook, key: str, body: str, now: datetime) -> Answered:
    """Sign and post one body. Raises KeyTrouble."""
    raw = body.encode()
    headers = signed_headers(_secrets_of(context, hook, now), key, raw, now)
    try:
        answer = context.webhooks().post(hook.url, headers, raw)
    except WebhookTrouble as trouble:
        return Answered(None, str(trouble))
    return Answered(judge(answer), _words(answer))


def _secrets_of(context: Context, hook: StoredWebhook, now: datetime) -> list[bytes]:
    """The secrets that sign: for some time after a rotation also the former one."""
    name = webhook_secret_name(hook.id)
    secrets = [context.secrets.open(name, hook.generation, hook.secret)]
    if hook.former_secret is not None and hook.former_until is not None and now < hook.former_until:
        secrets.append(context.secrets.open(name, hook.generation - 1, hook.former_secret))
    return secrets


def _words(answer: WebhookAnswer) -> str:
    if 300 <= answer.status < 400:
        return f"{answer.status}: it redirects; only the given address is posted to"
    return f"{answer.status}: {answer.text}" if answer.text else str(answer.status)


def _record(
    connection: Connection,
    hook: StoredWebhook,
    delivery: Delivery,
    answered: Answered,
    is_outage: bool,
    now: datetime,
) -> None:
    if answered.outcome is Outcome.DELIVERED:
        webhooks.change_waiting(
            connection, delivery.id, delivered_at=now, attempts=delivery.attempts + 1, last_error=None
        )
        note_working(connection, hook, now)
    elif answered.outcome is Outcome.GONE:
        webhooks.change(connection, hook.id, off_at=now, last_error=answered.said)
        _tell_given_up(connection, hook, webhooks.give_up(connection, hook.id, now), now)
        _log(connection, hook, "webhook.off", now, reply=answered.said)
    else:
        _try_later(connection, hook, delivery, answered, is_outage, now)


def _try_later(
    connection: Connection,
    hook: StoredWebhook,
    delivery: Delivery,
    answered: Answered,
    is_outage: bool,
    now: datetime,
) -> None:
    """Let the delivery wait, and in an outage the whole endpoint; give up what was tried for long enough."""
    attempts = delivery.attempts + 1
    webhooks.change_waiting(
        connection,
        delivery.id,
        attempts=attempts,
        first_failed_at=delivery.first_failed_at or now,
        next_try_at=next_try(attempts, now),
        last_error=answered.said,
    )
    if hook.failing_since is None:
        # Told once: the end of the outage clears it.
        webhooks.change(connection, hook.id, failing_since=now)
        _log(connection, hook, "webhook.failing", now, reply=answered.said)
    if is_outage:
        count = hook.failure_count + 1
        rests_until = next_try(count, now)
        webhooks.change(connection, hook.id, failure_count=count, rests_until=rests_until)
        webhooks.begin_outage(connection, hook.id, now)
    webhooks.change(connection, hook.id, last_error=answered.said)
    given_up = webhooks.give_up(
        connection,
        hook.id,
        now,
        failing_since=give_up_since(now),
        delivery_id=None if is_outage else delivery.id,
    )
    _tell_given_up(connection, hook, given_up, now)


def note_working(connection: Connection, hook: StoredWebhook, now: datetime) -> None:
    """End the endpoint's outage, because it took something."""
    fresh = {"failing_since": None, "failure_count": 0, "rests_until": None, "last_error": None}
    webhooks.change(connection, hook.id, delivered_at=now, off_at=None, **fresh)
    if hook.failure_count:
        webhooks.end_outage(connection, hook.id, now)
    if hook.failing_since is not None or hook.off_at is not None:
        _log(connection, hook, "webhook.works", now)


def _tell_given_up(connection: Connection, hook: StoredWebhook, count: int, now: datetime) -> None:
    if count:
        _log(connection, hook, "webhook.given_up", now, deliveries=count)


def _log(connection: Connection, hook: StoredWebhook, action: str, now: datetime, **data: object) -> None:
    events.record(connection, RUNNER, action, now, About(), webhook=f"w_{hook.id}", **data)
