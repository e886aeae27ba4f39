"""Which step comes next for a recipient, and when it is due (B8, D1, D3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mailrotate.core.values.states import Priority

FIRST = 1


class Step(Protocol):
    """A step of a campaign; positions count from 1."""

    @property
    def position(self) -> int: ...

    @property
    def delay(self) -> timedelta: ...


@dataclass(frozen=True)
class Place:
    """The step that a recipient waits for, and when it is due; None if the sequence is over."""

    step: int
    due_at: datetime | None


def first_due_at(steps: Sequence[Step], joined_at: datetime) -> datetime:
    """When the first step of a recipient who joins is due."""
    return joined_at + steps[0].delay


def after_sent(steps: Sequence[Step], sent: int, sent_at: datetime) -> Place:
    """The place after a step that was sent: its delay counts from when that message really left (D1)."""
    following = _following(steps, sent)
    if following is None:
        return Place(sent + 1, None)
    return Place(following.position, sent_at + following.delay)


def taken_on(
    steps: Sequence[Step], waits_for: int, last_sent: tuple[int, datetime] | None, now: datetime
) -> Place:
    """The place of a recipient that continues after a time without a sender: never earlier than now (B8).

    `last_sent` may be later than what `waits_for` says: a held message may have proved to be sent since.
    """
    had = max(waits_for - 1, 0 if last_sent is None else last_sent[0])
    following = _following(steps, had)
    if following is None:
        return Place(had + 1, None)
    due_at = now if last_sent is None else last_sent[1] + following.delay
    return Place(following.position, max(due_at, now))


def _following(steps: Sequence[Step], position: int) -> Step | None:
    return next((step for step in steps if step.position > position), None)


def due_again(due_at: datetime, released_at: datetime | None) -> datetime:
    """When the step of a planned message is due if it is planned again.

    What the operator has released stays so: from then on it is not late (H4).
    """
    return due_at if released_at is None else max(due_at, released_at)


def shifts(before: Sequence[Step], delays: Sequence[timedelta]) -> Iterator[tuple[int, timedelta]]:
    """The steps whose delay an edit changes, by position, and by how much their recipients move."""
    for step, delay in zip(before, delays, strict=False):
        if delay != step.delay:
            yield step.position, delay - step.delay


def is_follow_up(step: int) -> bool:
    """Whether the step answers an earlier one."""
    return step > FIRST


def priority_of(step: int) -> Priority:
    """Follow-ups go before first messages (E4)."""
    return Priority.FOLLOW_UP if is_follow_up(step) else Priority.FIRST
