"""Whether a clock may be believed, by what the database knows and by how the two clocks move (F6)."""

from datetime import UTC, datetime, timedelta

import pytest

from mailrotate.core.rules.clock_trust import Distrust, judge, judge_boot, judge_pace
from mailrotate.core.values.clock import Boot
from mailrotate.core.values.duration import format_duration

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
        "clock.behind", "this machine's clock is 2m behind the latest instant that was acted on"
    )
    assert judge(NOW - MOMENT, latest_acted_at=latest, database_now=None) is not None
    assert judge(NOW - MINUTE, latest_acted_at=latest, database_now=None, behind=2 * MINUTE) is None


@pytest.mark.parametrize("side", [1, -1])
def test_f6_a_clock_may_be_five_seconds_off_the_database_servers(side: int) -> None:
    edge = NOW + side * FIVE_SECONDS
    assert judge(edge, latest_acted_at=None, database_now=NOW) is None
    assert judge(edge + side * MOMENT, latest_acted_at=None, database_now=NOW) is not None
    assert judge(NOW + side * MINUTE, latest_acted_at=NOW, database_now=NOW) == Distrust(
        "clock.off", "this machine's clock is 1m off the database server's"
    )


@pytest.mark.parametrize(("side", "way"), [(1, "forward"), (-1, "back")])
def test_f6_a_wall_clock_that_moves_against_the_time_since_boot_has_jumped(side: int, way: str) -> None:
    assert judge_pace(MINUTE + side * FIVE_SECONDS, MINUTE) is None
    assert judge_pace(MINUTE + side * (FIVE_SECONDS + MOMENT), MINUTE) is not None
    assert judge_pace(MINUTE + side * MINUTE, MINUTE) == Distrust(
        "clock.jumped", f"the clock jumped 1m {way}"
    )


def test_f6_the_tolerances_of_a_clock_are_settings() -> None:
    off = {"latest_acted_at": None, "database_now": NOW}
    assert judge(NOW + MINUTE, **off, off=MINUTE) is None
    assert judge(NOW + MINUTE + MOMENT, **off, off=MINUTE) is not None
    assert judge(NOW + timedelta(days=4000), **off, off=timedelta.max) is None
    assert judge_pace(2 * MINUTE, MINUTE, MINUTE) is None
    assert judge_pace(2 * MINUTE + MOMENT, MINUTE, MINUTE) is not None
    assert judge_pace(timedelta(days=4000), MINUTE, timedelta.max) is None


HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
KNOWN = Boot("b1", NOW - DAY)
# What the clocks show at the second pass, an hour after the first by a right clock: the start of the machine
# that is named, the wall clock, the time since that start, and by how much the wall clock has jumped.
SECOND_PASSES = {
    "nothing happened": ("b1", NOW + HOUR, DAY + HOUR, 0),
    "set ahead by two hours": ("b1", NOW + 3 * HOUR, DAY + HOUR, 7200),
    "set back by ten seconds": ("b1", NOW + HOUR - timedelta(seconds=10), DAY + HOUR, -10),
    "stopped with its virtual machine, then set right": ("b1", NOW + HOUR, DAY + MINUTE, 59 * 60),
    "corrected by a step of five seconds": ("b1", NOW + HOUR + FIVE_SECONDS, DAY + HOUR, 0),
    "restarted, and ahead by two hours": ("b2", NOW + 3 * HOUR, MINUTE, 0),
}


@pytest.mark.parametrize("what", SECOND_PASSES)
def test_f6_the_clock_of_a_later_process_is_compared_with_the_time_since_the_same_boot(what: str) -> None:
    name, wall, since_boot, seconds = SECOND_PASSES[what]
    way = "forward" if seconds > 0 else "back"
    length = format_duration(timedelta(seconds=abs(seconds)))
    words = f"since the latest pass this machine's clock has jumped {length} {way}"
    expected = Distrust("clock.jumped", words) if seconds else None
    assert judge_boot(KNOWN, Boot(name, wall - since_boot)) == expected


@pytest.mark.parametrize(("known", "present"), [(None, KNOWN), (KNOWN, None), (None, None)])
def test_f6_where_a_system_does_not_name_its_starts_nothing_is_known(
    known: Boot | None, present: Boot | None
) -> None:
    assert judge_boot(known, present) is None


def test_f6_how_far_a_clock_may_jump_from_pass_to_pass_is_a_setting() -> None:
    later = Boot("b1", KNOWN.began_at + MINUTE)
    assert judge_boot(KNOWN, later, MINUTE) is None
    assert judge_boot(KNOWN, later, MINUTE - MOMENT) is not None
    assert judge_boot(KNOWN, Boot("b1", KNOWN.began_at + 4000 * DAY), timedelta.max) is None
