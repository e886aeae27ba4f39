"""Recovery of the messages, lanes and webhooks that dead processes left behind (F3)."""

from datetime import datetime

from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import settling
from mailrotate.core.store import webhooks, workspaces
from mailrotate.core.store.sending import claims, lanes, liveness


def recover(context: Context, now: datetime) -> int:
    """Settle the messages and free the lanes of runners whose life lock is free (F3).

    Returns how many messages are held, because it is unknown whether they left.
    """
    with context.store.reading() as connection:
        workspace = workspaces.find(connection)
        suspects = sorted(
            {
                *lanes.owners(connection),
                *webhooks.takers(connection),
                *claims.in_flight_runners(connection),
                *(entry[0] for entry in liveness.living_runners(connection)),
            }
        )
    # A pass that does not send may find it dead long after.
    last_pass_at = None if workspace is None else workspace.last_sending_pass_at
    held = 0
    for runner_id in liveness.dead_runners(context.store, suspects):
        with context.store.writing() as connection:
            held += settling.recover_orphans(connection, runner_id, now)
            webhooks.release(connection, runner_id)
            liveness.note_end(connection, runner_id, last_pass_at or now)
    return held
