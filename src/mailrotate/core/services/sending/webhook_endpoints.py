"""Add, list, test and remove webhook endpoints; change a secret, and repeat deliveries (C10)."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import Connection

from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.webhook_retry import Outcome
from mailrotate.core.rules.webhook_signature import SECRET_BYTES, secret_text
from mailrotate.core.rules.webhook_url import read_url
from mailrotate.core.services.access import seats
from mailrotate.core.services.access.secrets import seal_as
from mailrotate.core.services.context import Context, webhook_secret_name
from mailrotate.core.services.sending.webhook_health import Endpoint, all_endpoints
from mailrotate.core.services.sending.webhook_posting import note_working, post
from mailrotate.core.store import events, webhooks
from mailrotate.core.store.events import About
from mailrotate.core.store.webhooks import Again, Queue, StoredWebhook
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.errors import BadInput, NotFound, RemoteError
from mailrotate.core.values.hint import Command
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.webhook import OFFERED, TEST_EVENT

BOTH_SIGN_FOR = timedelta(hours=24)
EVERY_EVENT = "all"


@dataclass(frozen=True)
class WithSecret:
    """An endpoint whose secret is new: it is shown now and never again."""

    endpoint: Endpoint
    secret: Secret
    former_until: datetime | None = None


def add(context: Context, url: str, wanted: Sequence[str], now: datetime) -> WithSecret:
    """Add an endpoint. Raises BadInput (`webhook.url`, `webhook.event`), Refused, KeyTrouble."""
    read_url(url)
    told_of = _read_events(wanted)
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.WEBHOOKS)
        webhook_id = webhooks.insert_webhook(connection, url, told_of, now)
        secret, sealed = _new_secret(context, connection, webhook_id, 1)
        webhooks.change(connection, webhook_id, secret=sealed)
        hook = _find(connection, webhook_id)
        # Its path may be a secret of the receiver's.
        _log(context, connection, hook, "webhook.added", now, host=urlsplit(url).hostname, events=told_of)
    return WithSecret(Endpoint(hook, Queue()), secret)


def _read_events(wanted: Sequence[str]) -> list[str]:
    unknown = next((event for event in wanted if event not in OFFERED and event != EVERY_EVENT), None)
    if unknown is not None:
        offered = ", ".join(OFFERED)
        raise BadInput("webhook.event", f"'{unknown}' is not an event that webhooks are told of", offered)
    return [event for event in OFFERED if event in wanted or EVERY_EVENT in wanted]


def _new_secret(
    context: Context, connection: Connection, webhook_id: int, generation: int
) -> tuple[Secret, bytes]:
    secret = secrets.token_bytes(SECRET_BYTES)
    sealed = seal_as(context, connection, webhook_secret_name(webhook_id), generation, secret)
    return Secret(secret_text(secret)), sealed


def listing(context: Context) -> list[Endpoint]:
    """List the endpoints. Raises Refused."""
    with context.store.reading() as connection:
        seats.require_deed(connection, context.actor, Deed.WEBHOOKS)
        return all_endpoints(connection)


def remove(context: Context, webhook_id: int, now: datetime) -> Endpoint:
    """Remove an endpoint; what waits for it is dropped. Raises NotFound, Refused."""
    with context.store.writing() as connection:
        endpoint = _required(context, connection, webhook_id)
        webhooks.delete_webhook(connection, webhook_id)
        _log(context, connection, endpoint.hook, "webhook.removed", now, dropped=endpoint.queue.waiting)
    return endpoint


def test(context: Context, webhook_id: int, now: datetime) -> Endpoint:
    """Post a test event at once; if the endpoint takes it, its outage is over.

    Raises RemoteError (`webhook.refused`), NotFound, Refused, KeyTrouble.
    """
    with context.store.reading() as connection:
        endpoint = _required(context, connection, webhook_id)
    key = f"msg_{secrets.token_hex(16)}"
    body = json.dumps({"id": key, "type": TEST_EVENT, "occurred_at": rfc3339(now)})
    answered = post(context, endpoint.hook, key, body, now)
    if answered.outcome is not Outcome.DELIVERED:
        raise RemoteError("webhook.refused", f"w_{webhook_id} did not take the test: {answered.said}")
    with context.store.writing() as connection:
        note_working(connection, endpoint.hook, now)
        return _required(context, connection, webhook_id)


def rotate(context: Context, webhook_id: int, now: datetime) -> WithSecret:
    """Give an endpoint a new secret; for 24 hours the present one signs too.

    An older one, replaced less than 24 hours ago, no longer signs. Raises NotFound, Refused, KeyTrouble.
    """
    with context.store.writing() as connection:
        before = _required(context, connection, webhook_id).hook
        generation = before.generation + 1
        secret, sealed = _new_secret(context, connection, webhook_id, generation)
        former_until = now + BOTH_SIGN_FOR
        webhooks.change(
            connection,
            webhook_id,
            generation=generation,
            secret=sealed,
            former_secret=before.secret,
            former_until=former_until,
        )
        _log(context, connection, before, "webhook.rotated", now)
        return WithSecret(_required(context, connection, webhook_id), secret, former_until)


def resend(context: Context, again: Again, now: datetime) -> int:
    """Queue settled deliveries again, with the same ids; return how many. Raises NotFound, Refused."""
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.WEBHOOKS)
        if again.webhook_id is not None:
            _find(connection, again.webhook_id)
        count = webhooks.queue_again(connection, again, now)
        if count:
            named = None if again.webhook_id is None else f"w_{again.webhook_id}"
            told = {"webhook": named, "deliveries": count}
            events.record(connection, context.actor, "webhook.resent", now, About(), **told)
    return count


def _required(context: Context, connection: Connection, webhook_id: int) -> Endpoint:
    seats.require_deed(connection, context.actor, Deed.WEBHOOKS)
    return Endpoint(_find(connection, webhook_id), webhooks.queues(connection).get(webhook_id, Queue()))


def _find(connection: Connection, webhook_id: int) -> StoredWebhook:
    hook = webhooks.find(connection, webhook_id)
    if hook is None:
        raise NotFound("webhook.none", f"there is no webhook w_{webhook_id}", Command("webhook", "list"))
    return hook


def _log(
    context: Context,
    connection: Connection,
    hook: StoredWebhook,
    action: str,
    now: datetime,
    **data: object,
) -> None:
    events.record(connection, context.actor, action, now, About(), webhook=f"w_{hook.id}", **data)
