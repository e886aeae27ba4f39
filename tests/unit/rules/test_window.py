"""When a delivery window opens, across clock changes and holidays (D4)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.core.rules.window import next_open, room_until
from mailrotate.core.values.delivery_window import Block, DeliveryWindow
from tests.unit.values.test_window import windows

EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)


def daily(hours: str, zone: str, *closed: date) -> DeliveryWindow:
    parsed = DeliveryWindow.parse({"days": "mon-sun", "hours": hours}, zone)
    return DeliveryWindow(parsed.blocks, parsed.zone, frozenset(closed))


def is_inside(window: DeliveryWindow, instant: datetime) -> bool:
    """What "inside" means, read off the wall clock."""
    local = instant.astimezone(ZoneInfo(window.zone))
    minute = local.hour * 60 + local.minute
    return local.date() not in window.closed_on and any(
        local.weekday() in block.weekdays and block.opens <= minute < block.closes for block in window.blocks
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "hours", "instant", "opens"),
    [
        # An ordinary day, and the evening before it.
        ("Europe/Berlin", "09:00-17:00", "2026-01-14 09:30", "2026-01-14 09:30"),
        ("Europe/Berlin", "09:00-17:00", "2026-01-14 16:00", "2026-01-15 08:00"),
        # Spring: nine o'clock comes an hour earlier in UTC from 29 March on.
        ("Europe/Berlin", "09:00-17:00", "2026-03-28 16:00", "2026-03-29 07:00"),
        # 02:30 does not exist that night: the hours begin where the clock lands, at 03:00.
        ("Europe/Berlin", "02:30-04:00", "2026-03-29 00:00", "2026-03-29 01:00"),
        # A span wholly inside the gap waits a day.
        ("Europe/Berlin", "02:00-03:00", "2026-03-29 00:00", "2026-03-30 00:00"),
        # Autumn: 02:30 comes twice, and both are open.
        ("Europe/Berlin", "02:30-03:00", "2026-10-25 00:00", "2026-10-25 00:30"),
        ("Europe/Berlin", "02:30-03:00", "2026-10-25 01:00", "2026-10-25 01:30"),
        # Closed at 02:30, and open again as the clock falls back to 02:00.
        ("Europe/Berlin", "01:30-02:30", "2026-10-25 00:40", "2026-10-25 01:00"),
        ("America/New_York", "02:15-05:00", "2026-03-08 06:00", "2026-03-08 07:00"),
        ("America/New_York", "01:30-01:45", "2026-11-01 05:50", "2026-11-01 06:30"),
        ("America/New_York", "09:00-17:00", "2026-10-31 21:00", "2026-11-01 14:00"),
        # Lord Howe moves its clock by half an hour.
        ("Australia/Lord_Howe", "02:10-03:00", "2026-10-03 15:00", "2026-10-03 15:30"),
        ("Australia/Lord_Howe", "01:40-01:50", "2026-04-04 14:55", "2026-04-04 15:10"),
        # Clocks that change at midnight: Havana has no 00:00 in March, Santiago has 23:30 twice in April.
        ("America/Havana", "00:00-00:30", "2026-03-08 04:00", "2026-03-09 04:00"),
        ("America/Havana", "00:00-02:00", "2026-03-08 04:00", "2026-03-08 05:00"),
        ("America/Santiago", "23:30-24:00", "2026-04-05 03:00", "2026-04-05 03:30"),
    ],
)
def test_d4_window_opens_by_the_wall_clock(zone: str, hours: str, instant: str, opens: str) -> None:
    found = next_open(daily(hours, zone), utc(instant))
    assert (found, found and found.tzinfo) == (utc(opens), UTC)


def test_d4_a_holiday_is_closed_in_the_windows_own_zone() -> None:
    window = daily("00:00-24:00", "Europe/Berlin", date(2026, 12, 25), date(2026, 12, 26))
    assert next_open(window, utc("2026-12-24 22:59:59")) == utc("2026-12-24 22:59:59")
    assert next_open(window, utc("2026-12-24 23:00:00")) == utc("2026-12-26 23:00:00")


def test_d4_a_weekend_lies_between_friday_evening_and_monday() -> None:
    window = DeliveryWindow.parse({"days": "mon-fri", "hours": "09:00-17:00"}, "Europe/Berlin")
    assert next_open(window, utc("2026-11-20 16:00")) == utc("2026-11-23 08:00")


def test_d4_a_window_that_is_always_closed_never_opens() -> None:
    year_and_more = [date(2026, 1, 1) + timedelta(days=n) for n in range(1500)]
    assert next_open(daily("09:00-10:00", "UTC", *year_and_more), utc("2026-01-01 00:00")) == utc(
        "2030-02-09 09:00"
    )
    assert next_open(DeliveryWindow((), "UTC"), utc("2026-01-01 00:00")) is None


def test_d4_a_moment_inside_is_kept_to_the_microsecond() -> None:
    moment = datetime(2026, 1, 14, 9, 30, 0, 123456, UTC)
    opens = next_open(daily("09:00-17:00", "UTC"), moment.astimezone(ZoneInfo("Europe/Berlin")))
    assert opens == moment
    assert opens.tzinfo is UTC


# Half of the instants lie within two days of a clock change of one of the zones.
CHANGES = [
    "2026-03-29 01:00",
    "2026-10-25 01:00",
    "2026-03-08 07:00",
    "2026-11-01 06:00",
    "2026-04-04 15:00",
    "2026-10-03 15:30",
]
instants = st.one_of(
    st.datetimes(datetime(2024, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC)),
    st.builds(
        lambda change, seconds: utc(change) + timedelta(seconds=seconds),
        st.sampled_from(CHANGES),
        st.integers(-172_800, 172_800),
    ),
)
zones = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])


@settings(max_examples=200, deadline=None)
@given(windows, zones, instants, st.data())
def test_d4_the_opening_is_the_first_instant_inside(
    written: DeliveryWindow, zone: str, instant: datetime, data: st.DataObject
) -> None:
    window = DeliveryWindow(written.blocks, zone, written.closed_on)
    opens = next_open(window, instant)
    assert opens is not None
    assert opens >= instant
    assert opens.utcoffset() == timedelta(0)
    assert is_inside(window, opens)
    assert next_open(window, opens) == opens
    if opens > instant:
        assert not is_inside(window, opens - timedelta(microseconds=1))
        for part in data.draw(st.lists(st.integers(0, 999), min_size=10, max_size=10)):
            assert not is_inside(window, instant + (opens - instant) * part // 1000)


@settings(max_examples=25, deadline=None)
@given(zones, st.sampled_from(CHANGES), st.sets(st.integers(0, 300), min_size=2, max_size=2))
def test_d4_no_minute_of_a_night_of_change_is_missed(zone: str, change: str, minutes: set[int]) -> None:
    window = DeliveryWindow((Block(EVERY_DAY, min(minutes), max(minutes)),), zone)
    instant = utc(change) - timedelta(hours=6)
    for minute in range(0, 12 * 60, 31):
        start = instant + timedelta(minutes=minute)
        opens = next_open(window, start)
        walk = (start + timedelta(minutes=n) for n in range(48 * 60))
        assert opens == next(moment for moment in walk if is_inside(window, moment))


@pytest.mark.parametrize(
    ("begins", "ends", "gap", "most", "room"),
    [
        # Between 09:00 and 10:00 a message every ten minutes are six, from 09:35 on three.
        ("09:00", "24:00", 10, 100, 6),
        ("09:35", "24:00", 10, 100, 3),
        ("08:00", "24:00", 10, 100, 6),
        ("09:00", "24:00", 10, 4, 4),
        ("09:00", "24:00", 0, 100, 100),
        ("10:00", "24:00", 10, 100, 0),
        ("10:00", "24:00", 0, 100, 0),
        ("09:00", "24:00", 0, -3, 0),
        # What would leave at the very end belongs to what follows.
        ("09:00", "09:20", 10, 100, 2),
        ("09:20", "09:20", 10, 100, 0),
        ("09:20", "09:20", 0, 100, 0),
    ],
)
def test_e2_room_is_what_can_leave_inside_the_window_before_the_day_ends(
    begins: str, ends: str, gap: int, most: int, room: int
) -> None:
    window = DeliveryWindow.parse({"days": "mon-sun", "hours": "09:00-10:00"}, "UTC")
    instant = datetime.fromisoformat(f"2026-12-01T{begins}:00+00:00")
    hour, _, minute = ends.partition(":")
    end = datetime(2026, 12, 1, tzinfo=UTC) + timedelta(hours=int(hour), minutes=int(minute))
    assert room_until(window, instant, end, timedelta(minutes=gap), most) == room
