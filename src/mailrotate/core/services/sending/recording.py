"""Record what a server answered, however long the database cannot be written (F3).

Until then the lane sends nothing. That is said at once: to the host of the turn, which has a screen or a log
file, and to other processes by a lock, because a full disk keeps a note from being written.
"""

import time
from collections.abc import Callable
from datetime import datetime

from mailrotate.core.services.context import Context
from mailrotate.core.services.sending.settling import Settled
from mailrotate.core.store import events
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.sending import liveness
from mailrotate.core.values.clock import Clock
from mailrotate.core.values.errors import Busy, StoreTrouble

# Seconds between two tries.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


def recorded(
    context: Context,
    about: About,
    settle: Callable[[datetime], Settled],
    clock: Clock,
    tell: Callable[[Exception], None],
) -> Settled:
    """Settle a message, and try again for as long as the database cannot be written."""
    try:
        return settle(clock())
    except (StoreTrouble, Busy) as trouble:
        waits_since, reason = clock(), trouble.message
        tell(_waiting(about, trouble))
    settled = _settled_at_last(context, settle, clock)
    try:
        with context.store.writing() as connection:
            now = clock()
            waited = f"{(now - waits_since).total_seconds():.0f} s"
            events.record(connection, RUNNER, "message.recorded", now, about, reason=reason, waited=waited)
    except (StoreTrouble, Busy) as trouble:
        # The answer itself is recorded; only this line of the log is missing.
        tell(trouble)
    return settled


def _settled_at_last(context: Context, settle: Callable[[datetime], Settled], clock: Clock) -> Settled:
    pause = _FIRST_PAUSE
    with liveness.signalling_stuck(context.store) as signal_stuck:
        while True:
            signal_stuck()
            # Not a wait of the pace's: a host that is asked to stop waits for this too.
            time.sleep(pause)
            try:
                return settle(clock())
            except (StoreTrouble, Busy):
                pause = min(pause * 2, _LONGEST_PAUSE)


def _waiting(about: About, trouble: StoreTrouble | Busy) -> StoreTrouble:
    return StoreTrouble(
        trouble.code,
        f"{trouble.message}; what the server answered for m_{about.message_id} waits to be recorded, "
        "and its mailbox sends nothing until then",
        trouble.hint,
    )
