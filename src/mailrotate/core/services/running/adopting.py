"""Take over a database that was restored, copied or moved, and may not know all that left (F3).

`docs/decisions/send-mark.md` says how such a database is recognised.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import mark_guard
from mailrotate.core.services.sending import comparing, marking, recovery
from mailrotate.core.services.sending.comparing import Comparison
from mailrotate.core.store import backups, deadlines, dialects, events, instants, mailboxes, workspaces
from mailrotate.core.store.events import About
from mailrotate.core.store.sending import liveness, replaced_outbox, send_mark
from mailrotate.core.store.sending.replaced_outbox import Left
from mailrotate.core.values.errors import MailrotateError, StoreTrouble
from mailrotate.core.values.lineage import NO_PASS, OutsideMark

# A deadline that passed before the release ends so long after it.
_AFTER_RELEASE = timedelta(hours=1)


@dataclass(frozen=True)
class Standing:
    """Why the database may not send, None if it may; since when sent mail counts; whose it is."""

    reason: str | None
    since: datetime
    mailboxes: tuple[str, ...]


@dataclass(frozen=True)
class Adoption:
    """What was compared. `missing` counts the marks of which sent mail shows nothing."""

    released: bool
    since: datetime
    missing: int
    comparison: Comparison


def look(context: Context, now: datetime) -> Standing:
    """Say what `adopt` would do. Raises Refused unless the acting user may do it."""
    with context.store.reading() as connection:
        seats.require_deed(connection, context.actor, Deed.SETTINGS)
        try:
            mark_guard.check_mark(context, connection)
            reason = None
        except MailrotateError as refused:
            reason = refused.message
        known = tuple(box.address for box in mailboxes.listing(connection))
        return Standing(reason, _since(connection, now), known)


def adopt(context: Context, accept: bool, now: datetime) -> Adoption:
    """Hold the workspace, compare the sent mail of every mailbox, and release it if nothing is unknown.

    `accept` releases it in any case. If the process dies before that, the workspace stays held. Raises
    Refused, KeyTrouble, and Busy while a runner works.
    """
    with liveness.sole_host(context.store):
        with context.store.writing() as connection:
            seats.require_deed(connection, context.actor, Deed.SETTINGS)
            since = _since(connection, now)
            send_mark.hold(connection, since)
        recovery.recover(context, now)
        found = comparing.compare(context, since, now, _left(context, since))
        with context.store.reading() as connection:
            missing = _missing(context, connection)
        released = accept or not (missing or found.unread)
        if released:
            _release(context, found, missing, now)
    return Adoption(released, since, missing, found)


def _left(context: Context, since: datetime) -> list[Left]:
    """What the database knows that the last restore replaced."""
    with context.store.reading() as connection:
        replaced = backups.kept_aside(context.store, connection)
        workspace = workspaces.find(connection)
    assert workspace is not None
    return [] if replaced is None else replaced_outbox.sent_since(replaced, workspace.identity, since)


def _since(connection: Connection, now: datetime) -> datetime:
    """The latest instant that the database knows: all that is older is in it.

    A clock that was wrong says nothing of when the database was copied.
    """
    workspace = workspaces.find(connection)
    assert workspace is not None
    latest = send_mark.held_since(connection) or instants.latest_acted_at(connection)
    return workspace.created_at if latest is None or latest > now else latest


def _missing(context: Context, connection: Connection) -> int:
    outside = _outside(context)
    return max(0, outside.number - send_mark.read(connection).number)


def _outside(context: Context) -> OutsideMark:
    """This machine's mark; a new one where there is none, or one that cannot be read."""
    try:
        found = context.mark.read()
    except StoreTrouble:
        found = None
    return found or OutsideMark(secrets.token_hex(16), (), 0)


def _release(context: Context, found: Comparison, missing: int, now: datetime) -> None:
    """Make both halves of the mark agree, then let the workspace send."""
    pass_id = secrets.token_hex(16)
    # In the order of `marking.open_pass`.
    with context.store.writing_alone() as connection, context.mark.alone():
        database = send_mark.read(connection)
        server = dialects.server_identity(connection)
        outside = _outside(context)
        number = max(database.number, outside.number)
        passes = (database.pass_id or NO_PASS, pass_id)
        context.mark.write(OutsideMark(outside.instance, passes, number))
        send_mark.change(
            connection,
            number=number,
            home=server or outside.instance,
            pass_id=None if server else pass_id,
            compare_since=None,
        )
        # None was settled while the workspace waited; each mailbox gets an hour to come back (F3).
        soonest = now + _AFTER_RELEASE
        deadlines.put_off(connection, soonest, soonest)
        events.record(
            connection,
            context.actor,
            "database.adopted",
            now,
            About(),
            settled=len(found.settled),
            held=len(found.doubtful),
            missing=missing,
            unread=len(found.unread),
        )
    marking.forget_before(context, passes)
