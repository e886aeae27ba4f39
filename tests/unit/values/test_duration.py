"""Durations as people type them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.values.duration import format_duration, parse_duration
from mailrotate.core.values.errors import BadInput


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1h30m", timedelta(minutes=90)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(weeks=2)),
        (" 1H ", timedelta(hours=1)),
        ("0s", timedelta(0)),
        ("30m1h", timedelta(minutes=90)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "90", "h", "1.5h", "-1h", "1 h", "1y", "1h30", "9999999999s", "1h, 2m"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_duration(text)
    assert refused.value.code == "duration.invalid"
    assert "1h30m" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (90, "1m30s"), (3600, "1h"), (86_400 * 9, "1w2d"), (90_061, "1d1h1m1s")]
)
def test_durations_are_written_shortly(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.integers(0, 10**9))
def test_a_written_duration_is_read_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.text("0123456789wdhms .", max_size=12))
def test_a_duration_is_read_or_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except BadInput:
        return
    assert parse_duration(format_duration(duration)) == duration
