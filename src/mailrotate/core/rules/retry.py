"""When a message is tried again after a temporary answer (F4)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrotate.core.values.clock import next_whole_second


@dataclass(frozen=True)
class RetryPolicy:
    """The pause doubles from the first to the longest; whichever cap comes first ends it."""

    first_pause: timedelta = timedelta(minutes=5)
    longest_pause: timedelta = timedelta(hours=4)
    tries_count: int = 12
    give_up_after: timedelta = timedelta(days=3)


def next_try(attempts: int, first_failed_at: datetime, now: datetime, policy: RetryPolicy) -> datetime | None:
    """When to try again (whole seconds) after `attempts` tries, the last at `now`; None is to give up."""
    if attempts >= policy.tries_count:
        return None
    pause = min(policy.first_pause * 2 ** (attempts - 1), policy.longest_pause)
    again = next_whole_second(now + pause)
    return None if again - first_failed_at > policy.give_up_after else again
