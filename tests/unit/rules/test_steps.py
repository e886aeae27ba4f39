"""Which step comes next, and when (B8, D1, E4, H4)."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules import steps
from mailrotate.core.rules.steps import Place
from mailrotate.core.values.states import Priority

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)


class Step(NamedTuple):
    position: int
    delay: timedelta


DELAYS = st.timedeltas(timedelta(), timedelta(days=90))
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
SEQUENCES = st.lists(DELAYS, min_size=1, max_size=8).map(
    lambda delays: [Step(position, delay) for position, delay in enumerate(delays, 1)]
)
POSITIONS = st.integers(1, 9)

THREE = [Step(1, timedelta()), Step(2, 3 * DAY), Step(3, 7 * DAY)]


def test_d1_a_step_is_due_its_delay_after_the_message_before_left() -> None:
    assert steps.after_sent(THREE, 1, NOW) == Place(2, NOW + 3 * DAY)
    assert steps.after_sent(THREE, 2, NOW) == Place(3, NOW + 7 * DAY)


def test_d3_after_the_last_step_the_sequence_is_over() -> None:
    assert steps.after_sent(THREE, 3, NOW) == Place(4, None)


@given(SEQUENCES, INSTANTS)
def test_d1_every_step_comes_once_in_its_order_and_none_is_skipped(
    sequence: list[Step], joined_at: datetime
) -> None:
    had, place = [], Place(1, steps.first_due_at(sequence, joined_at))
    expected = joined_at
    while place.due_at is not None:
        expected += sequence[place.step - 1].delay
        assert place.due_at == expected
        had.append(place.step)
        place = steps.after_sent(sequence, place.step, place.due_at)
    assert had == [step.position for step in sequence]
    assert place.step == len(sequence) + 1


@given(SEQUENCES, POSITIONS, st.none() | st.tuples(POSITIONS, INSTANTS), INSTANTS)
def test_b8_nobody_who_is_taken_on_gets_a_step_twice_or_one_that_is_due_in_the_past(
    sequence: list[Step], waits_for: int, last_sent: tuple[int, datetime] | None, now: datetime
) -> None:
    place = steps.taken_on(sequence, waits_for, last_sent, now)
    assert place.step >= waits_for
    assert last_sent is None or place.step > last_sent[0]
    assert (place.due_at is None) == (place.step > len(sequence))
    assert place.due_at is None or place.due_at >= now


@given(SEQUENCES, st.data(), INSTANTS, INSTANTS)
def test_b8_being_taken_on_in_time_changes_nothing(
    sequence: list[Step], data: st.DataObject, sent_at: datetime, now: datetime
) -> None:
    sent = data.draw(st.integers(1, len(sequence)))
    stayed = steps.after_sent(sequence, sent, sent_at)
    moved = steps.taken_on(sequence, stayed.step, (sent, sent_at), now)
    assert moved.step == stayed.step
    assert moved.due_at == (None if stayed.due_at is None else max(stayed.due_at, now))


def test_b8_who_had_nothing_yet_is_due_at_once() -> None:
    assert steps.taken_on(THREE, 1, None, NOW) == Place(1, NOW)


def test_b8_a_held_message_that_proved_to_be_sent_is_not_sent_again() -> None:
    assert steps.taken_on(THREE, 1, (1, NOW - DAY), NOW) == Place(2, NOW + 2 * DAY)


@given(SEQUENCES, st.lists(DELAYS, max_size=10), INSTANTS)
def test_d1_an_edited_delay_moves_who_waits_to_where_the_new_one_would_have_put_them(
    before: list[Step], delays: list[timedelta], left_at: datetime
) -> None:
    moved = dict(steps.shifts(before, delays))
    for step, delay in zip(before, delays, strict=False):
        due_at = left_at + step.delay
        assert due_at + moved.get(step.position, timedelta()) == left_at + delay
    assert timedelta() not in moved.values()


@given(INSTANTS, st.none() | INSTANTS)
def test_h4_what_was_released_is_not_late_when_it_is_planned_again(
    due_at: datetime, released_at: datetime | None
) -> None:
    again = steps.due_again(due_at, released_at)
    assert again in (due_at, released_at)
    assert again >= due_at
    assert released_at is None or again >= released_at


@given(POSITIONS)
def test_e4_only_the_first_step_is_a_first_message(position: int) -> None:
    expected = Priority.FIRST if position == steps.FIRST else Priority.FOLLOW_UP
    assert steps.priority_of(position) is expected
    assert steps.is_follow_up(position) == (expected is Priority.FOLLOW_UP)
