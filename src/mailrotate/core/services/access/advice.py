"""Hints that name only commands which the acting user may run, or the users who may (A6)."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.store import workspaces
from mailrotate.core.store.events import Actor
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.hint import AnyHint, Ask, Command
from mailrotate.core.values.states import UserState

if TYPE_CHECKING:
    from mailrotate.core.rules.decision import Verdict


def way(
    connection: Connection, actor: Actor, deed: Deed, command: Command, *, seat_id: int | None = None
) -> Command | Ask:
    """Build the hint: the next command if the acting user may run it, otherwise whom to ask.

    With a seat: its user may run it, too.
    """
    return _way(who_may(connection, deed, seat_id), actor, command)


def remedy(connection: Connection, actor: Actor, verdict: "Verdict | None") -> AnyHint | None:
    """The command that opens a closed gate, or the users to ask; None if only time opens it, or nothing."""
    return remedies(connection, actor, [verdict])[0]


def remedies(
    connection: Connection, actor: Actor, verdicts: "Sequence[Verdict | None]"
) -> list[AnyHint | None]:
    """The remedy of each verdict; the users are looked up once."""
    users = functools.cache(lambda: workspaces.users(connection))
    found: list[AnyHint | None] = []
    for verdict in verdicts:
        if verdict is None or verdict.gate.deed is None or not isinstance(verdict.remedy, Command):
            found.append(None if verdict is None else verdict.remedy)
        else:
            found.append(_way(_able(users(), verdict.gate.deed), actor, verdict.remedy))
    return found


def _way(able: list[StoredUser], actor: Actor, command: Command) -> Command | Ask:
    if not able or any(user.id == actor.user_id for user in able):
        return command
    return _ask(able, command)


def instead(connection: Connection, deed: Deed, *, seat_id: int | None = None) -> Ask | None:
    """Name the users who may run the refused command."""
    able = who_may(connection, deed, seat_id)
    return _ask(able) if able else None


def who_may(connection: Connection, deed: Deed, seat_id: int | None = None) -> list[StoredUser]:
    """List the active users who may do the deed, the seat's user first, then in the order they were added.

    Empty only where rows were changed by hand.
    """
    return _able(workspaces.users(connection), deed, seat_id)


def _able(users: Sequence[StoredUser], deed: Deed, seat_id: int | None = None) -> list[StoredUser]:
    able = [
        user
        for user in users
        if user.state is UserState.ACTIVE
        and not user.is_removed
        and roles.may_on_seat(user.role, user.id == seat_id, deed)
    ]
    return sorted(able, key=lambda user: user.id != seat_id)


def _ask(able: list[StoredUser], command: Command | None = None) -> Ask:
    return Ask(tuple((user.email, user.role.value) for user in able), command)
