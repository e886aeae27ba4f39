"""Decide whether to trust the clock (F6). A message that was sent too early cannot be taken back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

# How far a runner's clock may lag behind the latest instant in the database (`clock_tolerance`).
BEHIND = timedelta(seconds=60)
# How far it may be off PostgreSQL's, which all runners share (`database_clock_tolerance`).
OFF_DATABASE = timedelta(seconds=5)
# How far the wall clock may move against the monotonic one during one turn (`clock_jump`). Time servers slew
# by 0.05 %; a larger step means that the clock was set, or that the machine slept or was migrated.
JUMP = timedelta(seconds=5)


@dataclass(frozen=True)
class Distrust:
    """Why the clock is not trusted."""

    code: str
    reason: str


def judge(
    now: datetime,
    *,
    latest_acted_at: datetime | None,
    database_now: datetime | None,
    behind: timedelta = BEHIND,
    off: timedelta = OFF_DATABASE,
) -> Distrust | None:
    """Compare the clock with the instants in the database; None if it can be trusted."""
    if latest_acted_at is not None and now < latest_acted_at - behind:
        lag = int((latest_acted_at - now).total_seconds())
        return Distrust(
            "clock.behind", f"this machine's clock is {lag} s behind the latest instant that was acted on"
        )
    if database_now is not None and abs(now - database_now) > off:
        seconds = int(abs(now - database_now).total_seconds())
        return Distrust("clock.off", f"this machine's clock is {seconds} s off the database server's")
    return None


def judge_pace(wall_moved: timedelta, monotonic_moved: timedelta, most: timedelta = JUMP) -> Distrust | None:
    """Compare how far the two clocks moved since the same moment."""
    jump = wall_moved - monotonic_moved
    if abs(jump) <= most:
        return None
    way = "forward" if jump > timedelta() else "back"
    return Distrust("clock.jumped", f"the clock jumped {int(abs(jump).total_seconds())} s {way}")
