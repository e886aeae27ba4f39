"""When a purchased slot renews, and which subscription a removed slot ends (A2)."""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

# A4: removing a slot earlier than this wastes a paid period.
RENEWAL_IS_NEAR = timedelta(days=3)


@dataclass(frozen=True)
class Term:
    """A slot and its next renewal; None if the plan includes it."""

    slot_id: int
    renews_on: date | None


def next_renewal(bought_on: date, today: date) -> date:
    """The first renewal after `today`: once a month, on the day of the month on which it was bought.

    Each is reckoned from that day, so the 31st becomes the last day of a shorter month and is the 31st again
    after it.
    """
    passed = (today.year - bought_on.year) * 12 + today.month - bought_on.month
    months = max(1, passed)
    renewal = _months_later(bought_on, months)
    return renewal if renewal > today else _months_later(bought_on, months + 1)


def _months_later(day: date, count: int) -> date:
    years, month = divmod(day.month - 1 + count, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def subscription_ended_by(removed: Term, held: Sequence[Term], included_count: int) -> Term | None:
    """Find the subscription that ends when a user with the slots `held` loses one of them.

    None while the user has no more than the plan includes. Else it is the removed slot's own, or, where that
    is an included one, that of the purchased slot which renews soonest and takes its place.
    """
    if len(held) <= included_count:
        return None
    if removed.renews_on is not None:
        return removed
    paid = [(term.renews_on, term.slot_id, term) for term in held if term.renews_on is not None]
    return min(paid)[2] if paid else None
