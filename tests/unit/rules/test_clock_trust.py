"""Whether a clock may be believed, by what the database knows and by how the two clocks move (F6)."""

from datetime import UTC, datetime, timedelta

import pytest

from mailrotate.core.rules.clock_trust import Distrust, judge, judge_pace

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
FIVE_SECONDS = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)


def test_f6_a_clock_is_believed_when_the_database_knows_no_better() -> None:
    assert judge(NOW, latest_acted_at=None, database_now=None) is None
    assert judge(NOW, latest_acted_at=NOW - timedelta(days=365), database_now=NOW) is None


def test_f6_a_clock_may_lag_a_minute_behind_the_latest_instant_acted_on() -> None:
    latest = NOW + MINUTE
    assert judge(NOW, latest_acted_at=latest, database_now=None) is None
    assert judge(NOW - MINUTE, latest_acted_at=latest, database_now=NOW) == Distrust(
        "clock.behind", "this machine's clock is 120 s behind the latest instant that was acted on"
    )
    assert judge(NOW - MOMENT, latest_acted_at=latest, database_now=None) is not None
    assert judge(NOW - MINUTE, latest_acted_at=latest, database_now=None, behind=2 * MINUTE) is None


@pytest.mark.parametrize("side", [1, -1])
def test_f6_a_clock_may_be_five_seconds_off_the_database_servers(side: int) -> None:
    edge = NOW + side * FIVE_SECONDS
    assert judge(edge, latest_acted_at=None, database_now=NOW) is None
    assert judge(edge + side * MOMENT, latest_acted_at=None, database_now=NOW) is not None
    assert judge(NOW + side * MINUTE, latest_acted_at=NOW, database_now=NOW) == Distrust(
        "clock.off", "this machine's clock is 60 s off the database server's"
    )


@pytest.mark.parametrize(("side", "way"), [(1, "forward"), (-1, "back")])
def test_f6_a_wall_clock_that_moves_against_the_time_since_boot_has_jumped(side: int, way: str) -> None:
    assert judge_pace(MINUTE + side * FIVE_SECONDS, MINUTE) is None
    assert judge_pace(MINUTE + side * (FIVE_SECONDS + MOMENT), MINUTE) is not None
    assert judge_pace(MINUTE + side * MINUTE, MINUTE) == Distrust(
        "clock.jumped", f"the clock jumped 60 s {way}"
    )


def test_f6_the_tolerances_of_a_clock_are_settings() -> None:
    off = {"latest_acted_at": None, "database_now": NOW}
    assert judge(NOW + MINUTE, **off, off=MINUTE) is None
    assert judge(NOW + MINUTE + MOMENT, **off, off=MINUTE) is not None
    assert judge(NOW + timedelta(days=4000), **off, off=timedelta.max) is None
    assert judge_pace(2 * MINUTE, MINUTE, MINUTE) is None
    assert judge_pace(2 * MINUTE + MOMENT, MINUTE, MINUTE) is not None
    assert judge_pace(timedelta(days=4000), MINUTE, timedelta.max) is None
