"""Instants as scripts see them, in UTC and whole, and the rounding of what is permitted, never early."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.values.clock import monotonic_seconds, next_whole_second, rfc3339, system_clock

WHOLE = datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)
instants = st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(("microseconds", "seconds"), [(0, 0), (1, 1), (500_000, 1), (999_999, 1)])
def test_f5_an_instant_is_rounded_up_to_the_second(microseconds: int, seconds: int) -> None:
    rounded = next_whole_second(WHOLE + timedelta(microseconds=microseconds))
    assert rounded == WHOLE + timedelta(seconds=seconds)


@given(instants)
def test_f5_a_rounded_instant_is_never_early_and_less_than_a_second_late(instant: datetime) -> None:
    rounded = next_whole_second(instant)
    assert timedelta(0) <= rounded - instant < timedelta(seconds=1)
    assert next_whole_second(rounded) == rounded


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (WHOLE, "2026-11-24T23:59:59Z"),
        (WHOLE + timedelta(microseconds=1), "2026-11-24T23:59:59.000001Z"),
        (WHOLE + timedelta(milliseconds=250), "2026-11-24T23:59:59.250000Z"),
        (datetime(2026, 11, 25, 1, 0, tzinfo=timezone(timedelta(hours=2))), "2026-11-24T23:00:00Z"),
    ],
)
def test_an_instant_is_written_in_utc(instant: datetime, text: str) -> None:
    assert rfc3339(instant) == text


@given(instants)
def test_a_written_instant_is_read_back(instant: datetime) -> None:
    assert datetime.fromisoformat(rfc3339(instant)) == instant


def test_the_clock_is_aware_and_in_utc() -> None:
    assert system_clock().utcoffset() == timedelta(0)
    assert monotonic_seconds() <= monotonic_seconds()
