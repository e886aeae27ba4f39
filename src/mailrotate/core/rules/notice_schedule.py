"""Decide which notice of a failed mailbox is due, and who receives it (C10)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

DAYS = (0, 1, 3, 6, 8)
_ONE_DAY = timedelta(days=1)
# A mailbox that fails again so soon was announced already.
_CONTINUES_WITHIN = timedelta(hours=24)
RECOVERY = "recovery"
BOUNCED = "bounced"


@dataclass(frozen=True)
class Failure:
    """One failure, from the verdict on; `ends` are its deadlines' ends by their ids, `given` its notices."""

    failed_at: datetime
    ends: Mapping[int, datetime]
    is_continued: bool
    given: Collection[str]


@dataclass(frozen=True)
class Notice:
    """One notice: its name among those of its failure, and when it is due.

    `is_last`: the next one reports that recipients were stopped.
    """

    nth: str
    due_at: datetime
    is_end: bool = False
    is_last: bool = False


def continues(failed_at: datetime, recovered_at: datetime, was_announced: bool) -> bool:
    """Whether a failure continues an earlier one that was announced."""
    return was_announced and failed_at - recovered_at < _CONTINUES_WITHIN


def schedule(failure: Failure) -> list[Notice]:
    """List all notices of a failure, in the order of their instants.

    The days before the first deadline's end, that end, and of each deadline that ends later the day before
    and the end. Deadlines with the same end share theirs. Without a deadline nothing ends.
    """
    ends = {
        end: min(one for one in failure.ends if failure.ends[one] == end) for end in failure.ends.values()
    }
    first = min(ends, default=None)
    found = [
        Notice(str(day), failure.failed_at + day * _ONE_DAY)
        for day in DAYS
        if not (day == 0 and failure.is_continued)
        and (first is None or failure.failed_at + day * _ONE_DAY < first)
    ]
    found += [
        Notice(f"before {one}", end - _ONE_DAY)
        for end, one in ends.items()
        # The first notice says it where the failure is not a day old by then.
        if end != first and end - _ONE_DAY > failure.failed_at
    ]
    found += [Notice(f"end {one}", end, is_end=True) for end, one in ends.items()]
    ordered = sorted(found, key=lambda notice: (notice.due_at, notice.is_end))
    followed = zip(ordered, [*ordered[1:], None], strict=True)
    return [
        Notice(
            notice.nth, notice.due_at, notice.is_end, not notice.is_end and after is not None and after.is_end
        )
        for notice, after in followed
    ]


def due(failure: Failure, now: datetime) -> Notice | None:
    """Return the notice to give at `now`: after a gap only the latest, and each once."""
    passed = [notice for notice in schedule(failure) if notice.due_at <= now]
    if not passed or passed[-1].nth in failure.given:
        return None
    return passed[-1]


def addressees(
    own: str | None, admins: Sequence[str], is_broken: Callable[[str], bool], carrier: str | None
) -> list[str]:
    """Return who is told by mail: the user, else the admins, else the mailbox that sends the notice.

    `own` is the user's own address, None while they are locked. Without a mailbox that can send, nobody is.
    """
    if carrier is None:
        return []
    if own is not None and not is_broken(own):
        return [own]
    return [admin for admin in admins if not is_broken(admin)] or [carrier]
