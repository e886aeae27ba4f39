"""A mailbox's day, across zones and clock changes, and the gap between two messages (B4)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.core.rules.quota import (
    day_after_zone_change,
    day_of,
    gap_after,
    midnight_after,
    midnight_before,
    rest_until,
)
from mailrotate.core.values.own_settings import Ramp

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "America/Havana"]
zones = st.sampled_from(ZONES)
instants = st.datetimes(datetime(2024, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC))
tokens = st.uuids().map(lambda found: found.hex)
gaps = st.integers(0, 86_400_000).map(lambda n: timedelta(milliseconds=n))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "now", "start", "end"),
    [
        ("UTC", "2026-11-24 10:00", "2026-11-24 00:00", "2026-11-25 00:00"),
        ("UTC", "2026-11-24 00:00", "2026-11-24 00:00", "2026-11-25 00:00"),
        ("Europe/Berlin", "2026-11-24 23:30", "2026-11-24 23:00", "2026-11-25 23:00"),
        # 23 hours in March, 25 in October.
        ("Europe/Berlin", "2026-03-29 12:00", "2026-03-28 23:00", "2026-03-29 22:00"),
        ("Europe/Berlin", "2026-10-25 12:00", "2026-10-24 22:00", "2026-10-25 23:00"),
        ("Australia/Lord_Howe", "2026-04-04 20:00", "2026-04-04 13:00", "2026-04-05 13:30"),
        # There is no midnight on that day: it begins at 01:00.
        ("America/Havana", "2026-03-08 12:00", "2026-03-08 05:00", "2026-03-09 04:00"),
        ("America/Havana", "2026-03-08 04:59:59", "2026-03-07 05:00", "2026-03-08 05:00"),
        # Midnight comes twice: the day begins with the first.
        ("America/Havana", "2026-11-01 05:30", "2026-11-01 04:00", "2026-11-02 05:00"),
    ],
)
def test_b4_a_day_is_a_calendar_day_of_the_mailboxs_zone(zone: str, now: str, start: str, end: str) -> None:
    assert day_of(utc(now), zone, None, None) == (utc(start), utc(end))


@settings(max_examples=200)
@given(instants, zones)
def test_b4_days_follow_each_other_without_a_hole(now: datetime, zone: str) -> None:
    start, end = day_of(now, zone, None, None)
    assert start <= now < end
    assert midnight_before(now, zone) == start
    assert midnight_after(now, zone) == end
    assert day_of(start, zone, None, None) == (start, end)
    assert day_of(end, zone, None, None)[0] == end
    assert start.tzinfo is end.tzinfo is UTC
    assert day_of(now, zone, now, now + timedelta(days=2)) == (now, now + timedelta(days=2))
    assert day_of(end - timedelta(microseconds=1), zone, None, None) == (start, end)


@pytest.mark.parametrize(
    ("old", "new", "end"),
    [
        # Midnight in New York is later than in Berlin: the day waits for it.
        ("Europe/Berlin", "America/New_York", "2026-11-25 05:00"),
        # Midnight in Tokyo was before: the day still lasts until its own midnight.
        ("Europe/Berlin", "Asia/Tokyo", "2026-11-24 23:00"),
    ],
)
def test_b4_a_new_zone_lets_the_running_day_last_until_the_later_midnight(
    old: str, new: str, end: str
) -> None:
    now = utc("2026-11-24 10:00")
    day_from, day_until = day_after_zone_change(now, day_of(now, old, None, None), new)
    assert (day_from, day_until) == (utc("2026-11-23 23:00"), utc(end))
    assert day_of(now, new, day_from, day_until) == (day_from, day_until)
    following = day_of(day_until, new, day_from, day_until)
    assert following == (day_until, midnight_after(day_until, new))


def test_b4_what_was_before_the_change_is_not_seen_through_it() -> None:
    now, day_from, day_until = utc("2026-11-20 10:00"), utc("2026-11-23 23:00"), utc("2026-11-25 05:00")
    assert day_of(now, "UTC", day_from, day_until) == (utc("2026-11-20 00:00"), utc("2026-11-21 00:00"))


@settings(max_examples=200)
@given(instants, zones, st.lists(st.tuples(zones, st.integers(0, 30 * 3600)), max_size=5))
def test_b4_no_change_of_zone_gives_a_second_allowance(
    now: datetime, zone: str, changes: list[tuple[str, int]]
) -> None:
    """Whenever a day is over, so is a calendar day of each zone that it was in."""
    day_from: datetime | None = None
    day_until: datetime | None = None
    running = day_of(now, zone, None, None)
    for zone, seconds in changes:
        running = day_after_zone_change(now, running, zone)
        day_from, day_until = running
        assert day_of(now, zone, day_from, day_until) == running
        assert running[1] >= midnight_after(now, zone)
        now += timedelta(seconds=seconds)
        seen = day_of(now, zone, day_from, day_until)
        assert seen[0] <= now < seen[1]
        assert seen == running or seen[0] >= running[1]
        running = seen


@settings(max_examples=200)
@given(tokens, gaps)
def test_b4_the_gap_is_at_most_a_third_longer_and_always_the_same(token: str, gap: timedelta) -> None:
    rested = gap_after(token, gap)
    assert gap <= rested <= gap + gap / 3
    assert gap_after(token, gap) == rested


def test_b4_the_gap_is_the_same_in_every_version() -> None:
    """A lane that rests through an upgrade goes on at the second that `why` has named."""
    assert gap_after("t1", timedelta(seconds=60)) == timedelta(seconds=69, milliseconds=516)
    assert gap_after("t2", timedelta(seconds=60)) == timedelta(seconds=78, milliseconds=8)


@pytest.mark.parametrize(("milliseconds", "rests"), [(2, {2}), (3, {3, 4}), (6, {6, 7, 8})])
def test_b4_a_third_of_the_gap_is_counted_in_whole_milliseconds(milliseconds: int, rests: set[int]) -> None:
    millisecond = timedelta(milliseconds=1)
    gap = milliseconds * millisecond
    assert {gap_after(f"t{n}", gap) / millisecond for n in range(100)} == rests


def test_b4_the_gap_is_irregular() -> None:
    gap = timedelta(seconds=60)
    rests = sorted(gap_after(f"{n:032x}", gap) for n in range(200))
    assert len(set(rests)) > 150
    assert rests[0] < gap + timedelta(seconds=1)
    assert rests[-1] > gap + timedelta(seconds=19)


@settings(max_examples=100)
@given(instants, tokens, gaps.filter(bool))
def test_b4_a_lane_rests_until_a_whole_second(sent_at: datetime, token: str, gap: timedelta) -> None:
    until = rest_until(sent_at, token, gap)
    assert until is not None
    assert until.microsecond == 0
    assert timedelta(0) <= until - (sent_at + gap_after(token, gap)) < timedelta(seconds=1)


def test_b4_without_a_gap_a_lane_does_not_rest() -> None:
    assert rest_until(utc("2026-11-24 10:00"), "a" * 32, timedelta(0)) is None


RAMPS = st.builds(
    lambda start, step, more, from_at: Ramp(start, step, start + more, from_at),
    st.integers(1, 200),
    st.integers(1, 100),
    st.integers(0, 500),
    instants,
)


def test_b4_a_ramp_up_grows_by_its_step_each_calendar_day_up_to_its_ceiling() -> None:
    ramp = Ramp(20, 10, 45, datetime(2026, 10, 23, 22, tzinfo=UTC))  # the 24th in Berlin
    berlin = "Europe/Berlin"
    # Over the night on which clocks go back: a day of 25 hours is one day.
    days = [midnight_before(datetime(2026, 10, day, 12, tzinfo=UTC), berlin) for day in (24, 25, 26, 27, 28)]
    assert [ramp.day(day) for day in days] == [1, 2, 3, 4, 5]
    assert [ramp.limit(ramp.day(day)) for day in days] == [20, 30, 40, 45, 45]
    assert str(ramp) == "20,10,45"


@settings(max_examples=200)
@given(instants, zones, st.integers(0, 1500))
def test_b4_the_days_of_a_ramp_up_are_calendar_days_of_its_zone(now: datetime, zone: str, days: int) -> None:
    """Across clock changes too, one after the other."""
    ramp = Ramp(1, 1, 10_000, midnight_before(now, zone))
    later = midnight_before(now + timedelta(days=days), zone)
    calendar = later.astimezone(ZoneInfo(zone)).date() - now.astimezone(ZoneInfo(zone)).date()
    assert ramp.day(later) == calendar.days + 1
    assert ramp.day(midnight_after(later, zone)) == ramp.day(later) + 1


@given(RAMPS, instants, st.timedeltas(timedelta(0), timedelta(days=900)))
def test_b4_a_ramp_up_never_falls_and_never_passes_its_ceiling(
    ramp: Ramp, today: datetime, more: timedelta
) -> None:
    limit, later = ramp.limit(ramp.day(today)), ramp.limit(ramp.day(today + more))
    assert ramp.start <= limit <= later <= ramp.ceiling


@given(RAMPS, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_b4_a_day_before_the_ramp_up_is_its_first(ramp: Ramp, before: timedelta) -> None:
    assert ramp.day(ramp.from_at - before) == 1


@settings(max_examples=200)
@given(instants, zones, st.lists(st.tuples(zones, st.integers(0, 30 * 3600)), min_size=1, max_size=5))
def test_b4_no_change_of_zone_moves_the_running_day_of_a_ramp_up(
    now: datetime, zone: str, changes: list[tuple[str, int]]
) -> None:
    """The day keeps its number, and none that follows is further on than days have passed."""
    running = day_of(now, zone, None, None)
    ramp = Ramp(1, 1, 10_000, running[0])
    passed = 1
    for zone, seconds in changes:
        number = ramp.day(running[0])
        day_from, day_until = day_after_zone_change(now, running, zone)
        assert ramp.day(day_of(now, zone, day_from, day_until)[0]) == number
        now += timedelta(seconds=seconds)
        passed += -(-seconds // 86_400)
        running = day_of(now, zone, day_from, day_until)
        assert number <= ramp.day(running[0]) <= passed + 1
