"""The users that a mailbox is shared with (B6)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.services.access import naming, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import connections, events, shares, users, workspaces
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.own_settings import ShownSetting


def listing(context: Context, address: str) -> list[str]:
    """List the users that the mailbox is shared with. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
        return named(connection, box)


def named(connection: Connection, box: StoredMailbox) -> list[str]:
    """Return the addresses of the users that the mailbox is shared with."""
    shared_with = shares.user_ids(connection, box.connection_id)
    found = (workspaces.user_by_id(connection, user_id) for user_id in sorted(shared_with))
    return [user.email for user in found if user is not None]


def setting(connection: Connection, box: StoredMailbox) -> ShownSetting:
    """The users that a mailbox is shared with, as its settings show them."""
    shared_with = named(connection, box)
    return ShownSetting("shared_with", ", ".join(shared_with) or None, "own" if shared_with else "default")


def reset_commands(connection: Connection, former: StoredMailbox) -> dict[str, Command]:
    """Build the commands that share the new connection with the same users again (C4)."""
    return {
        f"share_{email}": Command("mailbox", "share", "add", former.address, email)
        for email in named(connection, former)
    }


def add(context: Context, address: str, email: str, now: datetime) -> bool:
    """Share a mailbox with a user; False if it already is.

    Raises NotFound, Refused (`mailbox.personal`, `share.own`).
    """
    with context.store.writing() as connection:
        workspaces.lock(connection)
        box, user = _find(connection, context.actor, address, email)
        if not box.is_shared:
            raise Refused(
                "mailbox.personal",
                f"{box.address} is personal; only a shared mailbox can be shared with a user",
                Command("mailbox", "set", box.address, "--access", "shared"),
            )
        if user.id == box.user_id:
            raise Refused(
                "share.own",
                f"{box.address} belongs to {user.email}, who can always use it",
                Command("mailbox", "show", box.address),
            )
        if user.id in shares.user_ids(connection, box.connection_id):
            return False
        shares.add(connection, box.connection_id, user.id)
        events.record(connection, context.actor, "mailbox.shared", now, About(box.id), user=user.id)
        return True


def campaigns_sent_by(context: Context, address: str, email: str) -> Sequence[str]:
    """List the user's unfinished campaigns that send from the mailbox. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        box, user = _find(connection, context.actor, address, email)
        return owned_by(connection, box, [user.id])


def owned_by(connection: Connection, box: StoredMailbox, user_ids: Sequence[int]) -> list[str]:
    """Map users to their unfinished campaigns that send from the mailbox."""
    owned = {name for user_id in user_ids for name in users.owned_campaigns(connection, user_id)}
    return [
        each.name for each in connections.hanging_on(connection, box.id, box.slot_id) if each.name in owned
    ]


def remove(context: Context, address: str, email: str, now: datetime) -> bool:
    """End a share; campaigns that already send from the mailbox continue. False if it was not shared."""
    with context.store.writing() as connection:
        workspaces.lock(connection)
        box, user = _find(connection, context.actor, address, email)
        if not shares.remove(connection, box.connection_id, user.id):
            return False
        events.record(connection, context.actor, "mailbox.unshared", now, About(box.id), user=user.id)
        return True


def _find(connection: Connection, actor: Actor, address: str, email: str) -> tuple[StoredMailbox, StoredUser]:
    return seats.find_mailbox(connection, actor, address), naming.find_user(connection, email)
