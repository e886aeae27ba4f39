"""When a temporary answer is tried again (F4)."""

from datetime import UTC, datetime, timedelta

import pytest

from mailrotate.core.rules.retry import RetryPolicy, next_try

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
POLICY = RetryPolicy()


@pytest.mark.parametrize(
    ("attempts", "minutes"),
    [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 240), (8, 240), (11, 240)],
)
def test_f4_the_pause_doubles_from_five_minutes_to_four_hours(attempts: int, minutes: int) -> None:
    assert next_try(attempts, NOW, NOW, POLICY) == NOW + timedelta(minutes=minutes)


@pytest.mark.parametrize("attempts", [12, 13, 1_000_000])
def test_f4_the_twelfth_try_is_the_last(attempts: int) -> None:
    assert next_try(attempts, NOW, NOW, POLICY) is None


def test_f4_nothing_is_tried_later_than_three_days_after_the_first_failure() -> None:
    last = timedelta(days=3) - timedelta(minutes=10)
    assert next_try(2, NOW, NOW + last, POLICY) == NOW + timedelta(days=3)
    assert next_try(2, NOW, NOW + last + timedelta(seconds=1), POLICY) is None


def test_f4_a_retry_falls_on_a_whole_second_never_early() -> None:
    now = NOW + timedelta(microseconds=1)
    assert next_try(1, now, now, POLICY) == NOW + timedelta(minutes=5, seconds=1)


def test_f4_the_caps_are_the_policys() -> None:
    impatient = RetryPolicy(timedelta(seconds=10), timedelta(seconds=15), 3, timedelta(minutes=1))
    tries = [next_try(n, NOW, NOW, impatient) for n in (1, 2, 3)]
    assert tries == [NOW + timedelta(seconds=10), NOW + timedelta(seconds=15), None]
