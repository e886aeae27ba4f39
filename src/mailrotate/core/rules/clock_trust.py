"""Decide whether to trust the clock (F6). A message that was sent too early cannot be taken back."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrotate.core.values.clock import Boot
from mailrotate.core.values.duration import format_duration

# How far a runner's clock may lag behind the latest instant in the database (`clock_tolerance`).
BEHIND = timedelta(seconds=60)
# How far it may be off PostgreSQL's, which all runners share (`database_clock_tolerance`).
OFF_DATABASE = timedelta(seconds=5)
# How far the wall clock may move against the time since boot, during one turn and from pass to pass
# (`clock_jump`). Time servers correct a clock by slewing both, or in a small step; a larger step means that
# the clock was set, or that a virtual machine was stopped for a while.
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
        lag = format_duration(latest_acted_at - now)
        return Distrust(
            "clock.behind", f"this machine's clock is {lag} behind the latest instant that was acted on"
        )
    if database_now is not None and abs(now - database_now) > off:
        distance = format_duration(abs(now - database_now))
        return Distrust("clock.off", f"this machine's clock is {distance} off the database server's")
    return None


def judge_pace(wall_moved: timedelta, boot_moved: timedelta, most: timedelta = JUMP) -> Distrust | None:
    """Compare how far the wall clock and the time since boot moved since the same moment."""
    return _judge_jump(wall_moved - boot_moved, most, "the clock jumped")


def judge_boot(known: Boot | None, present: Boot | None, most: timedelta = JUMP) -> Distrust | None:
    """Compare when the machine started, by the wall clock of the latest pass and by the present one.

    None if they agree, and if nothing can be known: after a restart, on another machine, or where the system
    does not name its starts.
    """
    if known is None or present is None or known.id != present.id:
        return None
    jump = present.began_at - known.began_at
    return _judge_jump(jump, most, "since the latest pass this machine's clock has jumped")


def _judge_jump(jump: timedelta, most: timedelta, words: str) -> Distrust | None:
    if abs(jump) <= most:
        return None
    way = "forward" if jump > timedelta() else "back"
    return Distrust("clock.jumped", f"{words} {format_duration(abs(jump))} {way}")
