"""Which webhook endpoints there are, and which of them a user should look at (C10)."""

from dataclasses import dataclass

from sqlalchemy import Connection

from mailrotate.core.store import webhooks
from mailrotate.core.store.webhooks import Queue, StoredWebhook


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as it is shown: without its secrets."""

    hook: StoredWebhook
    queue: Queue

    @property
    def state(self) -> str:
        if self.hook.off_at is not None:
            return "off"
        return "working" if self.hook.failing_since is None else "failing"


def all_endpoints(connection: Connection) -> list[Endpoint]:
    queues = webhooks.queues(connection)
    return [Endpoint(hook, queues.get(hook.id, Queue())) for hook in webhooks.listing(connection)]


def in_trouble(connection: Connection) -> list[Endpoint]:
    return [one for one in all_endpoints(connection) if one.state != "working" or one.queue.given_up]
