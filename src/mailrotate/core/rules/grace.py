"""Decide when a deadline has passed (C11)."""

from datetime import datetime


def has_passed(ends_at: datetime, now: datetime) -> bool:
    """Whether a deadline has passed; the instant itself counts, even if no runner was running."""
    return now >= ends_at
