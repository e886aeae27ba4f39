"""Begin a pass in both halves of the mark before each final dot (F3): see `docs/decisions/send-mark.md`."""

import secrets
from dataclasses import replace

from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import mark_guard
from mailrotate.core.store import dialects
from mailrotate.core.store.sending import send_mark
from mailrotate.core.values.lineage import NO_PASS, OutsideMark


def begin_pass(context: Context) -> None:
    """Check both halves; the first mark of the pass then opens it. Raises Refused, StoreTrouble."""
    with context.store.reading() as connection:
        mark_guard.check_mark(context, connection)
        database = send_mark.read(connection)
        is_shared = dialects.server_identity(connection) is not None
    context.mark.pass_is_open = False
    if is_shared and database.number:
        # What other machines sent: an older dump is then recognised also where nothing was sent from.
        with context.mark.alone():
            outside = context.mark.read() or OutsideMark(_new_id(), (), 0)
            if outside.number < database.number:
                context.mark.write(replace(outside, number=database.number))


def open_pass(context: Context) -> None:
    """Write the number of a new pass to both places, once for each pass. Raises Refused, StoreTrouble, Busy.

    Killed anywhere, the outside half knows the number that the database has.
    """
    if context.mark.pass_is_open:
        return
    # Whoever writes both halves has the database first: a group notes its marks while it has the turn.
    with context.store.writing_alone() as connection, context.mark.alone():
        if _is_open(context):
            # Opened by another lane, while this one waited.
            return
        mark_guard.check_mark(context, connection, is_alone=True)
        database = send_mark.read(connection)
        server = dialects.server_identity(connection)
        outside = context.mark.read() or OutsideMark(_new_id(), (), 0)
        pass_id = _new_id()
        passes = (database.pass_id or NO_PASS, pass_id)
        context.mark.write(replace(outside, passes=passes, number=database.number))
        send_mark.begin_pass(connection, server or outside.instance, None if server else pass_id)
    forget_before(context, passes)
    context.mark.pass_is_open = True


def _is_open(context: Context) -> bool:
    return context.mark.pass_is_open


def forget_before(context: Context, passes: tuple[str, str]) -> None:
    """Leave only the new one of two passes in the outside half, once the database knows it."""
    with context.mark.alone():
        outside = context.mark.read()
        # Another process may have begun the next pass meanwhile.
        if outside is not None and outside.passes == passes:
            context.mark.write(replace(outside, passes=passes[1:]))


def _new_id() -> str:
    return secrets.token_hex(16)
