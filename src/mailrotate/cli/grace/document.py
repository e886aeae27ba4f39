"""A running deadline as JSON."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.grace_extension import Running
    from mailrotate.core.store.deadlines import StoredDeadline


def row_of(running: "Running") -> dict[str, Any]:
    return {**deadline_of(running.deadline), "recipients": running.recipients}


def deadline_of(deadline: "StoredDeadline") -> dict[str, Any]:
    return {
        "mailbox": deadline.address,
        "campaign": deadline.campaign,
        "kind": str(deadline.kind),
        "started_at": deadline.started_at,
        "ends_at": deadline.ends_at,
    }


def left(ends_at: datetime, now: datetime) -> str:
    """The time until a deadline in its two largest units, rounded down, such as `8d 3h`."""
    seconds = max(0, int((ends_at - now).total_seconds()))
    for unit, size, next_unit, next_size in (("d", 86400, "h", 3600), ("h", 3600, "m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // next_size}{next_unit}"
    return f"{seconds // 60}m {seconds % 60}s"
