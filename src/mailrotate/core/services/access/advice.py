"""The next command, said so that it works: to who may run it, else with whom to ask for it (A6)."""

from collections.abc import Sequence
from shlex import quote

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.store import workspaces
from mailrotate.core.store.events import Actor
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.states import UserState

# More need not be known to find one who has time.
_MOST_NAMED = 3


def way(connection: Connection, actor: Actor, deed: Deed, command: str, *, seat_id: int | None = None) -> str:
    """`command` if whoever acts may do the deed, or it is on their own seat; else whom to ask for it."""
    acting = None if actor.user_id is None else workspaces.user_by_id(connection, actor.user_id)
    if (
        acting is not None
        and _is_active(acting)
        and roles.may_on_seat(acting.role, acting.id == seat_id, deed)
    ):
        return command
    able = who_may(connection, deed)
    if not able:
        return command
    theirs = command.replace("mailrotate", f"mailrotate --as {quote(able[0].email)}", 1)
    return f"let {_named(able)} do it: {theirs}"


def instead(connection: Connection, deed: Deed) -> str:
    """Who may do the deed, for the same command to be typed by them."""
    able = who_may(connection, deed)
    return f"let {_named(able)} do it: add --as {quote(able[0].email)}" if able else "add --as EMAIL"


def _named(able: Sequence[StoredUser]) -> str:
    return " or ".join(user.email for user in able[:_MOST_NAMED])


def who_may(connection: Connection, deed: Deed) -> list[StoredUser]:
    """Whoever can, in the order in which they were added; nobody only where rows were changed by hand."""
    return [user for user in workspaces.users(connection) if _is_active(user) and roles.may(user.role, deed)]


def _is_active(user: StoredUser) -> bool:
    return user.state is UserState.ACTIVE and not user.is_removed
