"""The workspace settings that are durations: their defaults and bounds, and the value in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from mailrotate.core.rules import clock_trust
from mailrotate.core.store import workspaces
from mailrotate.core.values.duration import parse_duration


@dataclass(frozen=True)
class Period:
    """A setting that is a duration, and the bounds within which it makes sense."""

    default: timedelta
    least: timedelta
    most: timedelta
    about: str
    may_be_off: bool = False


# In place of a duration: the longest of all.
OFF = "off"


PERIODS: Mapping[str, Period] = {
    "network_patience": Period(
        timedelta(minutes=30),
        timedelta(),
        timedelta(days=7),
        "how long a server may be out of reach before its mailbox counts as failed",
    ),
    "lateness": Period(
        timedelta(days=7),
        timedelta(minutes=1),
        timedelta(weeks=520),
        "how late the absence of a runner may make a message before it waits for `outbox release`",
    ),
    "grace": Period(
        timedelta(hours=1),
        timedelta(minutes=1),
        timedelta(days=7),
        "how long a disconnected mailbox may come back to a rotation without loss",
    ),
    "failure": Period(
        timedelta(days=9),
        timedelta(hours=1),
        timedelta(days=90),
        "how long a failed mailbox stays a sender of a rotation",
    ),
    "test_every": Period(
        timedelta(minutes=15), timedelta(minutes=1), timedelta(days=7), "how often connections are tested"
    ),
    "clock_tolerance": Period(
        clock_trust.BEHIND,
        timedelta(),
        timedelta(days=1),
        "how far a clock may lag behind what was last acted on before its runner sends nothing",
    ),
    "database_clock_tolerance": Period(
        clock_trust.OFF_DATABASE,
        timedelta(seconds=1),
        timedelta(days=1),
        "how far a clock may be off PostgreSQL's before its runner sends nothing, or off",
        may_be_off=True,
    ),
    "clock_jump": Period(
        clock_trust.JUMP,
        timedelta(seconds=1),
        timedelta(days=1),
        "how far a clock may jump from pass to pass or while a mailbox sends before nothing is sent, or off",
        may_be_off=True,
    ),
}


def period(connection: Connection, key: str) -> timedelta:
    """The duration in force."""
    value = workspaces.settings(connection).get(key)
    if value == OFF:
        return timedelta.max
    return PERIODS[key].default if value is None else parse_duration(value)
