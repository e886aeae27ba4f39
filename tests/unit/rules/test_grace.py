"""When the days of a failure begin, and when a deadline is over (C10, C11)."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

from mailrotate.core.rules.grace import extended, failure_began_at, has_passed

ENDS_AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def test_c11_a_deadline_is_over_from_its_own_instant_on() -> None:
    assert not has_passed(ENDS_AT, ENDS_AT - TICK)
    assert has_passed(ENDS_AT, ENDS_AT)
    assert has_passed(ENDS_AT, ENDS_AT + TICK)


def test_c12_field_29_an_extension_is_elapsed_time_across_a_change_of_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    # Clocks go forward in the night to the 29th of March 2026.
    ends_at = datetime(2026, 3, 28, 12, tzinfo=berlin).astimezone(UTC)
    moved = extended(ends_at, timedelta(days=3))
    assert (moved - ends_at).total_seconds() == 259_200
    assert moved.astimezone(berlin).hour == 13


def test_c10_the_days_begin_when_the_campaign_runs_with_the_failed_mailbox() -> None:
    """At the latest of the failure, the sender's joining and the campaign's start."""
    for failed_at, joined_at, started_at in permutations((ENDS_AT, ENDS_AT + TICK, ENDS_AT + 2 * TICK)):
        assert failure_began_at(failed_at, joined_at, started_at) == ENDS_AT + 2 * TICK
