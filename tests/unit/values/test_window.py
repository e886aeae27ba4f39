"""What a campaign's file may say about its delivery window (D4)."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.values.delivery_window import WORKDAYS, Block, DeliveryWindow, check_zone
from mailrotate.core.values.errors import BadInput


def test_d4_a_file_that_says_nothing_gets_workdays_nine_to_five() -> None:
    window = DeliveryWindow.parse(None, "Europe/Berlin")
    assert window.blocks == (WORKDAYS,) == (Block((0, 1, 2, 3, 4), 540, 1020),)
    assert window.zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("days", "weekdays"),
    [
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("mon,wed,fri", (0, 2, 4)),
        ("mon-wed,sat", (0, 1, 2, 5)),
        ("Sun", (6,)),
        ("sat-mon", (0, 5, 6)),
        ("mon-sun", (0, 1, 2, 3, 4, 5, 6)),
        (" tue , thu - fri ", (1, 3, 4)),
        ("fri,fri", (4,)),
    ],
)
def test_d4_days_are_read(days: str, weekdays: tuple[int, ...]) -> None:
    (block,) = DeliveryWindow.parse({"days": days, "hours": "00:00-24:00"}).blocks
    assert block == Block(weekdays, 0, 1440)


def test_d4_several_blocks_make_a_lunch_break() -> None:
    window = DeliveryWindow.parse(
        [{"days": "mon-fri", "hours": "09:00-12:00"}, {"days": "mon-thu", "hours": "13:30-17:30"}]
    )
    assert window.blocks == (Block((0, 1, 2, 3, 4), 540, 720), Block((0, 1, 2, 3), 810, 1050))


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ({"days": "workdays", "hours": "09:00-17:00"}, "window.days"),
        ({"days": "", "hours": "09:00-17:00"}, "window.days"),
        ({"days": "mon-", "hours": "09:00-17:00"}, "window.days"),
        ({"days": "mon-tue-wed", "hours": "09:00-17:00"}, "window.days"),
        ({"days": "mon", "hours": "9-17"}, "window.hours"),
        ({"days": "mon", "hours": "17:00-09:00"}, "window.hours"),
        ({"days": "mon", "hours": "09:00-09:00"}, "window.hours"),
        ({"days": "mon", "hours": "09:60-10:00"}, "window.hours"),
        ({"days": "mon", "hours": "09:00-24:01"}, "window.hours"),
        ({"days": "mon", "hours": 9}, "window.hours"),
        ({"days": "mon"}, "window.form"),
        ({"days": "mon", "hours": "09:00-17:00", "zone": "UTC"}, "window.form"),
        ([], "window.form"),
        ("mon-fri", "window.form"),
        (["mon-fri"], "window.form"),
        (5, "window.form"),
    ],
)
def test_d4_what_is_no_window_is_refused_and_the_hint_shows_one(written: object, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        DeliveryWindow.parse(written)
    assert refused.value.code == code
    assert str(refused.value.hint).startswith("write ")


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "Europe", "../etc/passwd", "/etc/passwd", "\0"])
def test_a_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_zone(name)
    assert refused.value.code == "zone.unknown"


blocks = st.builds(
    lambda days, hours: Block(tuple(sorted(days)), min(hours), max(hours)),
    st.sets(st.integers(0, 6), min_size=1),
    st.sets(st.integers(0, 1440), min_size=2, max_size=2),
)
windows = st.builds(
    DeliveryWindow,
    st.lists(blocks, min_size=1, max_size=4).map(tuple),
    st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    st.frozensets(st.dates(date(2024, 1, 1), date(2030, 1, 1)), max_size=3),
)


@given(windows)
def test_d4_a_stored_window_is_the_same_window(window: DeliveryWindow) -> None:
    assert DeliveryWindow.from_json(json.loads(json.dumps(window.to_json()))) == window


def test_d4_the_zone_may_come_from_elsewhere() -> None:
    stored = DeliveryWindow.parse(None).to_json()
    assert DeliveryWindow.from_json({**stored, "zone": "Asia/Tokyo"}).zone == "Asia/Tokyo"
    assert DeliveryWindow.from_json({"blocks": stored["blocks"]}).zone == "UTC"
