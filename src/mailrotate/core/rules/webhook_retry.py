"""What an endpoint's answer means, and when a delivery is tried again (C10)."""

from datetime import datetime, timedelta
from enum import Enum, auto

from mailrotate.core.values.clock import next_whole_second
from mailrotate.core.values.webhook import WebhookAnswer

_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=6)
_GIVE_UP_AFTER = timedelta(days=3)
# The pause has reached its longest after so many doublings.
_MOST_DOUBLINGS = 10


class Outcome(Enum):
    """What became of one post."""

    DELIVERED = auto()
    # This one was refused; others may be taken.
    REFUSED = auto()
    # 410 Gone: the endpoint wants nothing more.
    GONE = auto()


def judge(answer: WebhookAnswer) -> Outcome:
    """Judge an answer by its status. A redirect is a refusal: the secret is for the given address only."""
    if 200 <= answer.status < 300:
        return Outcome.DELIVERED
    return Outcome.GONE if answer.status == 410 else Outcome.REFUSED


def next_try(failure_count: int, now: datetime) -> datetime:
    """Return when to try again after so many failures in a row, the last at `now` (whole seconds)."""
    pause = min(_FIRST_PAUSE * 2 ** min(failure_count - 1, _MOST_DOUBLINGS), _LONGEST_PAUSE)
    return next_whole_second(now + pause)


def give_up_since(now: datetime) -> datetime:
    """Return the instant: a delivery that failed then or earlier, and again at `now`, is given up."""
    return now - _GIVE_UP_AFTER
