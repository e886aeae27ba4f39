"""A2: when a purchased slot renews, and whose subscription a removed slot ends."""

from calendar import monthrange
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules.renewal import Term, next_renewal, subscription_ended_by

DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


def test_a2_the_31st_is_clamped_and_is_the_31st_again_after_a_short_month() -> None:
    bought = date(2027, 1, 31)
    shown = [next_renewal(bought, today) for today in (bought, date(2027, 2, 28), date(2027, 3, 31))]
    assert shown == [date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30)]
    assert next_renewal(bought, date(2028, 2, 1)) == date(2028, 2, 29)


def test_a2_december_is_followed_by_january() -> None:
    assert next_renewal(date(2026, 12, 25), date(2026, 12, 25)) == date(2027, 1, 25)
    assert next_renewal(date(2026, 12, 25), date(2030, 12, 26)) == date(2031, 1, 25)


def test_a2_nothing_renews_in_the_month_in_which_it_was_bought() -> None:
    """Also for a clock that was put back since."""
    assert next_renewal(date(2026, 12, 25), date(2026, 11, 1)) == date(2027, 1, 25)


@given(DAYS, st.integers(0, 40_000))
def test_a2_the_next_renewal_is_after_today_within_a_month_and_on_the_day_of_buying(
    bought: date, days: int
) -> None:
    today = bought + timedelta(days=days)
    renewal = next_renewal(bought, today)
    assert today < renewal <= today + timedelta(days=31)
    assert renewal.day == min(bought.day, monthrange(renewal.year, renewal.month)[1])


@given(DAYS, st.integers(1, 200))
def test_a2_a_slot_renews_once_in_each_month_for_years(bought: date, count: int) -> None:
    renewal = bought
    for n in range(1, count + 1):
        renewal = next_renewal(bought, renewal)
        assert (renewal.year - bought.year) * 12 + renewal.month - bought.month == n


SOON, LATE = date(2026, 12, 5), date(2026, 12, 20)
INCLUDED, BOUGHT, RENEWS_SOON = Term(1, None), Term(3, LATE), Term(4, SOON)


def test_a2_above_the_plan_the_removed_slots_own_subscription_ends() -> None:
    held = [INCLUDED, Term(2, None), BOUGHT, RENEWS_SOON]
    assert subscription_ended_by(BOUGHT, held, 2) == BOUGHT


def test_a2_for_an_included_slot_the_subscription_that_renews_soonest_ends() -> None:
    held = [INCLUDED, Term(2, None), BOUGHT, RENEWS_SOON]
    assert subscription_ended_by(INCLUDED, held, 2) == RENEWS_SOON


def test_a2_at_or_below_the_plans_number_nothing_is_cancelled() -> None:
    assert subscription_ended_by(INCLUDED, [INCLUDED, BOUGHT], 2) is None
    assert subscription_ended_by(BOUGHT, [INCLUDED, BOUGHT], 2) is None
    assert subscription_ended_by(BOUGHT, [BOUGHT], 2) is None


def test_a2_where_nothing_was_bought_nothing_is_cancelled() -> None:
    assert subscription_ended_by(INCLUDED, [INCLUDED, Term(2, None)], 1) is None


@given(
    st.lists(st.one_of(st.none(), DAYS), min_size=1, max_size=6),
    st.integers(0, 6),
    st.data(),
)
def test_a2_at_most_one_subscription_ends_and_it_is_a_paid_one_of_the_same_user(
    renewals: list[date | None], included: int, data: st.DataObject
) -> None:
    held = [Term(n, renews_on) for n, renews_on in enumerate(renewals)]
    removed = data.draw(st.sampled_from(held))
    ended = subscription_ended_by(removed, held, included)
    assert ended is None or (ended in held and ended.renews_on is not None)
    if removed.renews_on is not None:
        assert (ended == removed) == (len(held) > included)
