"""How long a mailbox that is away may come back to a rotation without loss (C8, C10, C11, C12)."""

from datetime import datetime, timedelta


def has_passed(ends_at: datetime, now: datetime) -> bool:
    """Whether a deadline has passed; the instant itself counts, even if no runner was running."""
    return now >= ends_at


def failure_began_at(failed_at: datetime, joined_at: datetime, started_at: datetime) -> datetime:
    """When a failure's days began in one campaign: not before the campaign ran with this sender (C10)."""
    return max(failed_at, joined_at, started_at)


def extended(ends_at: datetime, by: timedelta) -> datetime:
    """A running deadline's new end. Elapsed time is added, also across a change of clocks (C12)."""
    return ends_at + by
