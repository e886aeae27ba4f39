"""The runners of this workspace."""

from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.services.context import Context
from mailrotate.core.store.sending import liveness


@dataclass(frozen=True)
class RunnerEntry:
    """A registered process that has not ended properly; `alive` tells whether it holds its life lock.

    `only` is the single kind of work that it does; None for all.
    """

    id: int
    kind: str
    host: str
    pid: int
    started_at: datetime
    only: str | None
    alive: bool

    @property
    def sends(self) -> bool:
        """Whether it sends campaigns; a command only sends its own message."""
        return self.kind != "command" and self.only in (None, "send")


def listing(context: Context) -> list[RunnerEntry]:
    """List the registered runners; a dead one stays until the next pass has settled what it left."""
    with context.store.reading() as connection:
        found = liveness.living_runners(connection)
    return [RunnerEntry(*entry, liveness.is_alive(context.store, entry[0])) for entry in found]


def any_sends(context: Context) -> bool:
    """Whether a living runner sends campaigns."""
    return any(runner.alive and runner.sends for runner in listing(context))
