"""Hold a mailbox's lane for the length of one command."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import recovery, settling
from mailrotate.core.store import mailboxes
from mailrotate.core.store.sending import liveness
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.values.errors import Busy
from mailrotate.core.values.hint import Command, Hint


@contextmanager
def holding_lane(context: Context, mailbox_id: int, now: datetime) -> Iterator[Lane]:
    """Hold the mailbox's lane until the block ends; settle first what dead runners left in any lane.

    Raises Busy (`lane.busy`) while a living process has the lane.
    """
    living = liveness.register(context.store, "command", now, platform.node())
    try:
        with context.store.writing() as connection:
            lane = settling.take_lane(connection, mailbox_id, living.id, now)
        if lane is None:
            recovery.recover(context, now)
            with context.store.writing() as connection:
                lane = settling.take_lane(connection, mailbox_id, living.id, now)
                address = mailboxes.by_id(connection, mailbox_id).address
        if lane is None:
            raise Busy(
                "lane.busy",
                f"another process is using {address} right now; nothing was changed",
                # A runner stays in a lane from message to message; a resting mailbox it leaves.
                Hint("run the command again; if it stays busy, first:", Command("mailbox", "pause", address)),
            )
        yield lane
    finally:
        living.end(now)
