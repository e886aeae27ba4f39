"""When the time is over in which a mailbox may come back to a campaign without loss (C11)."""

from datetime import datetime


def has_passed(ends_at: datetime, now: datetime) -> bool:
    """A deadline is over from its own instant on, whether or not a runner was there."""
    return now >= ends_at
