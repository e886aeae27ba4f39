"""A2: when a purchased slot renews."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules.renewal import month_later


def test_a2_the_31st_is_clamped_and_not_skipped() -> None:
    days = [date(2027, 1, 31)]
    for _ in range(3):
        days.append(month_later(days[-1], 31))
    assert days[1:] == [date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30)]


def test_a2_december_is_followed_by_january() -> None:
    assert month_later(date(2026, 12, 25), 25) == date(2027, 1, 25)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a2_a_slot_renews_once_in_each_month(bought: date) -> None:
    renewed = month_later(bought, bought.day)
    assert (renewed.year * 12 + renewed.month) - (bought.year * 12 + bought.month) == 1
    assert renewed.day <= bought.day
