"""When a deadline is over (C11)."""

from datetime import UTC, datetime, timedelta

from mailrotate.core.rules.grace import has_passed

ENDS_AT = datetime(2026, 3, 2, 10, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def test_c11_a_deadline_is_over_from_its_own_instant_on() -> None:
    assert not has_passed(ENDS_AT, ENDS_AT - TICK)
    assert has_passed(ENDS_AT, ENDS_AT)
    assert has_passed(ENDS_AT, ENDS_AT + TICK)
