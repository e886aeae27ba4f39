"""Recovery of the messages and lanes that dead processes left behind (F3)."""

from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import settling
from mailrotate.core.store.sending import claims, lanes, liveness


@dataclass(frozen=True)
class Recovered:
    """What dead runners left: how many messages were put back, and how many are of unknown fate."""

    returned: int = 0
    held: int = 0


def recover(context: Context, now: datetime) -> Recovered:
    """Settle the messages and free the lanes of runners whose life lock is free (F3)."""
    with context.store.reading() as connection:
        suspects = sorted(
            {
                *lanes.owners(connection),
                *claims.in_flight_runners(connection),
                *(entry[0] for entry in liveness.living_runners(connection)),
            }
        )
    returned = held = 0
    for runner_id in liveness.dead_runners(context.store, suspects):
        with context.store.writing() as connection:
            put_back, unknown = settling.recover_orphans(connection, runner_id, now)
            liveness.note_end(connection, runner_id, now)
        returned += put_back
        held += unknown
    return Recovered(returned, held)
