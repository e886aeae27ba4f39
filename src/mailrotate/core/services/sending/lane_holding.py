"""Hold a mailbox's lane for the length of one command."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import recovery, settling
from mailrotate.core.store import mailboxes
from mailrotate.core.store.sending import lanes, liveness
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.values.errors import Busy
from mailrotate.core.values.hint import Command, Hint


@contextmanager
def holding_lane(context: Context, mailbox_id: int, now: datetime) -> Iterator[Lane]:
    """Hold the mailbox's lane until the block ends; settle first what dead runners left in any lane.

    While a living process has the lane, wait for its message in flight if the command has patience. Raises
    Busy (`lane.busy`) otherwise.
    """
    living = liveness.register(context.store, "command", now, platform.node())
    try:
        with context.store.writing() as connection:
            lane = settling.take_lane(connection, mailbox_id, living.id, now)
        if lane is None:
            recovery.recover(context, now)
            lane = _awaited(context, mailbox_id, living.id, now)
        yield lane
    finally:
        living.end(now)


def _awaited(context: Context, mailbox_id: int, runner_id: int, now: datetime) -> Lane:
    """Take the lane once its owner has left it. Raises Busy if the command has no patience."""
    try:
        while True:
            with context.store.writing() as connection:
                lane = settling.take_lane(connection, mailbox_id, runner_id, now)
                if lane is not None:
                    return lane
                address = mailboxes.by_id(connection, mailbox_id).address
                if context.patience is not None:
                    # In each round, because a runner that takes the lane meanwhile clears the request.
                    lanes.ask_for(connection, mailbox_id, now)
            if context.patience is None:
                raise Busy(
                    "lane.busy",
                    f"another process is using {address} right now; nothing was changed",
                    # A runner stays in a lane from message to message; a resting mailbox it leaves.
                    Hint(
                        "run the command again; if it stays busy, first:",
                        Command("mailbox", "pause", address),
                    ),
                )
            context.patience(address)
            recovery.recover(context, now)
    except KeyboardInterrupt:
        with context.store.writing() as connection:
            lanes.ask_for(connection, mailbox_id, None)
        raise
