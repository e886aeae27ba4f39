"""How a turn waits and stops, decided by its host."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mailrotate.core.values.clock import Clock


@dataclass(frozen=True)
class Pace:
    """How a turn waits and stops.

    `wait(seconds)` returns True when the turn should end at once; `stopping()` says so without waiting.
    `linger`: stay in the lane over a gap between two messages instead of leaving it. `trusted()` is false
    while the clock cannot be believed (F6): nothing irreversible is done then. `tell` says at once what
    the turn waits for without an end.
    """

    clock: Clock
    wait: Callable[[float], bool]
    stopping: Callable[[], bool]
    trusted: Callable[[], bool] = field(default=lambda: True)
    linger: bool = False
    tell: Callable[[Exception], None] = field(default=lambda _trouble: None)
