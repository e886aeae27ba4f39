"""The workspace itself, who acts in it, and its key."""

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

# What the workspace's key is tried on, so that a wrong key is known before a mailbox is.
_KEY_CHECK_NAME = "workspace"
_KEY_CHECK_TEXT = b"mailrotate"


def make_workspace(store: Store, email: str, name: str, timezone: str, os_user: str, now: datetime) -> None:
    """The workspace, its plan, and its first user as admin (A6). Raises Refused when there is one."""
    with store.writing() as connection:
        if workspaces.find(connection) is not None:
            raise Refused(
                "workspace.exists", f"there is a workspace in {store.name} already", Command("status")
            )
        workspaces.create(connection, name, timezone, now)
        admin = workspaces.add_user(connection, USER["add"], email, name, Role.ADMIN, now)
        workspaces.change(connection, default_user_id=admin.id)
        actor = Actor(admin.id, os_user)
        events.record(connection, actor, "workspace.created", now, About(), timezone=timezone)


def default_email(store: Store, default_user_id: int | None) -> str | None:
    """The address of whoever acts where nobody is named."""
    with store.reading() as connection:
        user = None if default_user_id is None else workspaces.user_by_id(connection, default_user_id)
    return None if user is None else user.email


def acting_user(store: Store, email: str) -> int:
    """Raises NotFound (`user.none`) when nobody has this address here."""
    with store.reading() as connection:
        return naming.find_user(connection, email).id


def require_restorer(store: Store, actor: Actor) -> None:
    """Refused unless whoever acts may put a backup in the place of the database.

    Who may cannot be asked of a database that is damaged or empty: there, having its file is enough.
    """
    try:
        with store.reading() as connection:
            if workspaces.find(connection) is not None:
                seats.require_deed(connection, actor, Deed.SETTINGS)
    except StoreTrouble:
        return


def note_key(context: Context) -> None:
    """Remember what the key seals, so that another key is recognised as the wrong one."""
    check = seal_check(context.secrets)
    with context.store.writing() as connection:
        workspaces.change(connection, key_check=check)


def seal_check(secrets: SecretBox) -> bytes:
    """What only the key that sealed it opens again."""
    return secrets.seal(_KEY_CHECK_NAME, 0, _KEY_CHECK_TEXT)


def open_check(secrets: SecretBox, check: bytes) -> None:
    """Raises KeyTrouble when the key here is missing or did not seal `check`."""
    secrets.open(_KEY_CHECK_NAME, 0, check)


def prove_key(context: Context) -> None:
    """Raises KeyTrouble when the key here is missing or is not the workspace's (I1)."""
    with context.store.reading() as connection:
        workspace = workspaces.find(connection)
    if workspace is not None and workspace.key_check is not None:
        open_check(context.secrets, workspace.key_check)
