"""The workspace itself, the acting user, and the workspace key."""

from datetime import datetime

from mailrotate.core.ports import SecretBox
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.transitions import USER
from mailrotate.core.services.access import naming, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import events, workspaces
from mailrotate.core.store.engine import Store
from mailrotate.core.store.events import About, Actor
from mailrotate.core.values.errors import Refused, StoreTrouble
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import Role
from mailrotate.core.values.user_name import read_user_name

# The check value of the workspace key: a wrong key is noticed before any mailbox is touched.
_KEY_CHECK_NAME = "workspace"
_KEY_CHECK_TEXT = b"mailrotate"


def make_workspace(store: Store, email: str, name: str, timezone: str, os_user: str, now: datetime) -> None:
    """Make the workspace, its plan, and its first user as admin (A6).

    Raises BadInput (`user.name`), Refused (`workspace.exists`).
    """
    name = read_user_name(name)
    with store.writing() as connection:
        if workspaces.find(connection) is not None:
            raise Refused("workspace.exists", f"{store.name} already has a workspace", Command("status"))
        workspaces.create(connection, name, timezone, now)
        admin = workspaces.add_user(connection, USER["add"], email, name, Role.ADMIN, now)
        workspaces.change(connection, default_user_id=admin.id)
        actor = Actor(admin.id, os_user)
        events.record(connection, actor, "workspace.created", now, About(), timezone=timezone)


def default_email(store: Store, default_user_id: int | None) -> str | None:
    """The address of the workspace's default user."""
    with store.reading() as connection:
        user = None if default_user_id is None else workspaces.user_by_id(connection, default_user_id)
    return None if user is None else user.email


def acting_user(store: Store, email: str) -> int:
    """Find the acting user. Raises NotFound (`user.none`) and, for a locked one (A10), Refused."""
    with store.reading() as connection:
        return seats.require_active(connection, Actor(naming.find_user(connection, email).id, None)).id


def require_restorer(store: Store, actor: Actor) -> None:
    """Refuse a restore unless the acting user is an admin.

    A damaged or empty database cannot be asked; then access to its file is enough.
    """
    try:
        with store.reading() as connection:
            if workspaces.find(connection) is not None:
                seats.require_deed(connection, actor, Deed.SETTINGS)
    except StoreTrouble:
        return


def note_key(context: Context) -> None:
    """Store a check value, so that a wrong key is recognised."""
    check = seal_check(context.secrets)
    with context.store.writing() as connection:
        workspaces.change(connection, key_check=check)


def start_key(context: Context, now: datetime) -> None:
    """Make the key that is here now the workspace's, in place of a lost one. Raises Refused."""
    check = seal_check(context.secrets)
    with context.store.writing() as connection:
        seats.require_deed(connection, context.actor, Deed.SETTINGS)
        workspaces.change(connection, key_check=check)
        events.record(connection, context.actor, "workspace.key_started", now, About())


def seal_check(secrets: SecretBox) -> bytes:
    """Seal a check value, which only the same key opens."""
    return secrets.seal(_KEY_CHECK_NAME, 0, _KEY_CHECK_TEXT)


def open_check(secrets: SecretBox, check: bytes) -> None:
    """Open a check value. Raises KeyTrouble if the key is missing or did not seal `check`."""
    secrets.open(_KEY_CHECK_NAME, 0, check)


def prove_key(context: Context) -> None:
    """Check the key. Raises KeyTrouble if it is missing or not the workspace's (I1)."""
    with context.store.reading() as connection:
        workspace = workspaces.find(connection)
    if workspace is not None and workspace.key_check is not None:
        open_check(context.secrets, workspace.key_check)
