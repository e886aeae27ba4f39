"""The mark guard: a database that may not know what was sent from it sends nothing (F3)."""

from sqlalchemy import Connection

from mailrotate.core.rules import suspicion
from mailrotate.core.rules.suspicion import Suspicion
from mailrotate.core.services.context import Context
from mailrotate.core.store import dialects
from mailrotate.core.store.sending import send_mark
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.errors import Refused, StoreTrouble
from mailrotate.core.values.hint import Command

ADOPT = Command("db", "adopt")


def suspect(context: Context, connection: Connection) -> Suspicion | None:
    """Compare the database with this machine's mark. Raises StoreTrouble (`mark.unreadable`)."""
    return suspicion.judge(
        send_mark.read(connection), context.mark.read(), dialects.server_identity(connection)
    )


def _suspect_again(context: Context, first: Suspicion) -> Suspicion | None:
    """Compare again while nobody can write the mark: a message may have been sent during the first look."""
    try:
        if context.mark.read() is None:
            return first
        with context.mark.alone():
            # The mark before the database, which knows every number that the mark holds.
            outside = context.mark.read()
            with context.store.reading() as connection:
                server = dialects.server_identity(connection)
                return suspicion.judge(send_mark.read(connection), outside, server)
    except StoreTrouble:
        # A user who may not write the mark gets the first answer.
        return first


def check_mark(context: Context, connection: Connection, *, is_alone: bool = False) -> None:
    """Raises Refused: `workspace.restored`, `workspace.behind`, `workspace.elsewhere`.

    `is_alone`: the caller keeps others from writing both halves; without it they may be sending meanwhile.
    """
    since = send_mark.held_since(connection)
    if since is not None:
        at = rfc3339(since.replace(microsecond=0))
        raise Refused("workspace.restored", f"what was sent since {at} is to be compared first", ADOPT)
    found = suspect(context, connection)
    if found is not None and not is_alone:
        found = _suspect_again(context, found)
    if found is not None:
        raise Refused(f"workspace.{found.strangeness}", f"{found.reason}; nothing is sent", ADOPT)
