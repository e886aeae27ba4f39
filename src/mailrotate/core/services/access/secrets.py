"""Seal credentials and signing secrets, and change the key that seals them (I1)."""

from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.ports import KeyPlace
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import accounts, seats
from mailrotate.core.services.context import Context, secret_name, webhook_secret_name
from mailrotate.core.store import connections, events, mailboxes, webhooks, workspaces
from mailrotate.core.store.events import About
from mailrotate.core.values.credential import Credential, pack
from mailrotate.core.values.errors import KeyTrouble
from mailrotate.core.values.hint import Command


def seal(
    context: Context, connection: Connection, connection_id: int, generation: int, credential: Credential
) -> bytes:
    """Seal in the caller's transaction, with the key that the workspace has when it commits.

    Raises KeyTrouble.
    """
    return seal_as(context, connection, secret_name(connection_id), generation, pack(credential))


def seal_as(context: Context, connection: Connection, name: str, generation: int, plain: bytes) -> bytes:
    """Seal any secret under its name, like `seal`. Raises KeyTrouble."""
    workspaces.lock(connection)
    # A rekey may have happened since: opening the check value makes the box load the new key.
    accounts.open_check(context.secrets, _check(connection))
    return context.secrets.seal(name, generation, plain)


def rekey(context: Context, place: KeyPlace, now: datetime) -> int:
    """Seal every secret again with a new key; return how many.

    If the process is killed at any instruction, the stored keys still open every row: the new key is stored
    beside the old ones before the one transaction that uses it, and the old keys are removed after its
    commit. Both halves hold the workspace's lock while they read and store the keys, so that two rekeys
    cannot lose each other's key. Raises KeyTrouble, Refused (`key.read_only`) without changing anything.
    """
    accounts.prove_key(context)
    with context.store.writing() as connection:
        workspaces.lock(connection)
        seats.require_deed(connection, context.actor, Deed.SETTINGS)
        box = place.add_key()
        accounts.open_check(box, _check(connection))
        count = 0
        for row in connections.sealed_secrets(connection):
            name = secret_name(row.connection_id)
            plain = box.open(name, row.generation, row.secret)
            sealed = box.seal(name, row.generation, plain)
            mailboxes.change_connection(connection, row.connection_id, secret=sealed)
            count += 1
        for hook in webhooks.sealed_secrets(connection):
            name = webhook_secret_name(hook.webhook_id)
            plain = box.open(name, hook.generation, hook.secret)
            sealed = box.seal(name, hook.generation, plain)
            webhooks.change(connection, hook.webhook_id, **{hook.column: sealed})
            count += 1
        workspaces.change(connection, key_check=accounts.seal_check(box))
        events.record(connection, context.actor, "workspace.rekeyed", now, About(), secrets=count)
    with context.store.writing() as connection:
        workspaces.lock(connection)
        place.drop_older_keys(_check(connection))
    return count


def _check(connection: Connection) -> bytes:
    workspace = workspaces.find(connection)
    if workspace is None or workspace.key_check is None:
        raise KeyTrouble(
            "key.missing", "the workspace has no key yet", Command("mailbox", "connect", "ADDRESS")
        )
    return workspace.key_check
