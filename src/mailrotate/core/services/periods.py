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
        "how long a server may be unreachable before its mailbox fails",
    ),
    "offline_patience": Period(
        timedelta(hours=24),
        timedelta(),
        timedelta(days=7),
        "how long no server at all may be reachable before the mailboxes fail",
    ),
    "lateness": Period(
        timedelta(days=7),
        timedelta(minutes=1),
        timedelta(weeks=520),
        "how late a message may be because no runner ran; later ones wait for `outbox release`",
    ),
    "grace": Period(
        timedelta(hours=1),
        timedelta(minutes=1),
        timedelta(days=7),
        "how long a disconnected mailbox may return to its rotations without loss",
    ),
    "failure": Period(
        timedelta(days=9),
        timedelta(hours=1),
        timedelta(days=90),
        "how long a failed mailbox stays a sender of its rotations",
    ),
    "test_every": Period(
        timedelta(minutes=15),
        timedelta(minutes=1),
        timedelta(days=7),
        "how often the logins of mailboxes are tested",
    ),
    "clock_tolerance": Period(
        clock_trust.BEHIND,
        timedelta(),
        timedelta(days=1),
        "how far a clock may be behind the last pass; beyond that nothing is sent",
    ),
    "database_clock_tolerance": Period(
        clock_trust.OFF_DATABASE,
        timedelta(seconds=1),
        timedelta(days=1),
        "how far a clock may differ from PostgreSQL's; beyond that nothing is sent",
        may_be_off=True,
    ),
    "clock_jump": Period(
        clock_trust.JUMP,
        timedelta(seconds=1),
        timedelta(days=1),
        "how far a clock may jump between passes or while a mailbox sends; beyond that nothing is sent",
        may_be_off=True,
    ),
}


def period(connection: Connection, key: str) -> timedelta:
    """The duration in force."""
    value = workspaces.settings(connection).get(key)
    if value == OFF:
        return timedelta.max
    return PERIODS[key].default if value is None else parse_duration(value)
