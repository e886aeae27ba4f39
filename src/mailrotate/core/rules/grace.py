"""When the time is over in which a mailbox may come back to a campaign without loss (C11)."""

from datetime import datetime


def has_passed(ends_at: datetime, now: datetime) -> bool:
    """A deadline counts from its own instant for whoever looks, whether or not anything ran."""
    return now >= ends_at
