"""How new people are spread over the senders (E1, E2)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.core.rules.rotation import (
    HIGHEST_WEIGHT,
    Room,
    Seat,
    by_room,
    is_weight,
    meant,
    settle,
    spread,
)
from mailrotate.core.values.spread import Spread
from mailrotate.core.values.states import Rotation


def seats(*sender_ids: int) -> list[Seat]:
    return [Seat(sender, position, 0, True) for position, sender in enumerate(sender_ids)]


def stayed(sender: int, count: int, weight: int = 1) -> Seat:
    """An able sender that took part in the last assignment."""
    return Seat(sender, sender, count, True, weight, weight)


def back(sender: int, count: int, weight: int = 1) -> Seat:
    """An able sender that took no part in the last assignment: new, or able again."""
    return Seat(sender, sender, count, True, weight)


def settled_counts(*now: Seat) -> list[int]:
    return [seat.assigned_count for seat in settle(now)]


def dealt(now: Sequence[Seat], count: int) -> Spread:
    found = spread(settle(now), count)
    assert found is not None
    return found


def after(before: Sequence[Seat], count: int) -> list[Seat]:
    """The seats as the store has them after an assignment of so many."""
    settled = {seat.sender_id: seat for seat in settle(before)}
    found = spread(list(settled.values()), count)
    if found is None:
        return list(before)
    given_now = found.counts()
    return [
        replace(seat, counted_weight=None)
        if seat.sender_id not in settled
        else replace(
            seat,
            assigned_count=settled[seat.sender_id].assigned_count + given_now[seat.sender_id],
            counted_weight=seat.weight,
        )
        for seat in before
    ]


def apart(now: Sequence[Seat]) -> int:
    counts = [seat.assigned_count for seat in now if seat.able]
    return max(counts) - min(counts)


@pytest.mark.parametrize(
    ("number", "is_one"),
    [
        (1, True),
        (HIGHEST_WEIGHT, True),
        (0, False),
        (-1, False),
        (HIGHEST_WEIGHT + 1, False),
        (True, False),
        (1.0, False),
        ("2", False),
        (None, False),
    ],
)
def test_e2_a_weight_is_a_whole_number_from_one_on(number: object, is_one: bool) -> None:
    assert is_weight(number) is is_one


@pytest.mark.parametrize(
    ("named", "senders", "is_team", "has_weights", "rotation"),
    [
        (None, 1, False, False, None),
        (None, 1, True, False, None),
        (None, 1, False, True, Rotation.WEIGHTED),
        (None, 2, False, False, Rotation.EQUAL),
        (None, 2, True, False, Rotation.ADDER),
        (None, 2, True, True, Rotation.WEIGHTED),
        (Rotation.CAPACITY, 1, False, False, Rotation.CAPACITY),
        (Rotation.EQUAL, 3, True, True, Rotation.EQUAL),
        (Rotation.OWNER, 2, False, False, Rotation.OWNER),
        (Rotation.OWNER, 2, True, False, Rotation.ADDER),
    ],
)
def test_e2_the_rotation_is_the_named_one_or_what_senders_weights_and_team_mean(
    named: Rotation | None, senders: int, is_team: bool, has_weights: bool, rotation: Rotation | None
) -> None:
    assert meant(named, senders, is_team=is_team, has_weights=has_weights) is rotation


def test_e1_ten_over_two_is_five_and_five() -> None:
    found = dealt(seats(7, 3), 10)
    assert found.counts() == {7: 5, 3: 5}
    assert [found.sender_of(rank) for rank in range(4)] == [7, 3, 7, 3]


def test_e1_ties_go_by_the_order_of_adding() -> None:
    found = dealt([Seat(1, 2, 0, True), Seat(2, 0, 0, True), Seat(3, 1, 0, True)], 1)
    assert found.counts() == {2: 1, 3: 0, 1: 0}


def test_e1_who_is_behind_comes_first() -> None:
    found = dealt([stayed(1, 4), stayed(2, 3), stayed(3, 3)], 3)
    assert [found.sender_of(rank) for rank in range(3)] == [2, 3, 1]


def test_e1_one_who_comes_back_is_not_flooded() -> None:
    assert dealt([stayed(1, 900), back(2, 2)], 10).counts() == {1: 5, 2: 5}


def test_e1_who_is_not_able_gets_nobody() -> None:
    assert dealt([Seat(1, 0, 0, False), Seat(2, 1, 5, True)], 3).counts() == {2: 3}


@pytest.mark.parametrize("nobody", [[], [Seat(1, 0, 0, False)]])
def test_e1_without_an_able_sender_nobody_is_assigned(nobody: list[Seat]) -> None:
    assert spread(settle(nobody), 10) is None


@pytest.mark.parametrize(
    ("now", "counts"),
    [
        # Between senders that are one apart there are two counts; the nearer one is taken.
        ((stayed(1, 12), stayed(2, 13), back(3, 0)), [12, 13, 12]),
        ((stayed(1, 12), stayed(2, 13), back(3, 50)), [12, 13, 13]),
        # Among equals it may stay one behind or one ahead.
        ((stayed(1, 12), stayed(2, 12), back(3, 0)), [12, 12, 11]),
        ((stayed(1, 12), stayed(2, 12), back(3, 12)), [12, 12, 12]),
        ((stayed(1, 12), stayed(2, 12), back(3, 99)), [12, 12, 13]),
        # With nobody able before, its own; the next one stays near to that.
        ((back(1, 5), Seat(2, 2, 15, False)), [5]),
        ((back(1, 5), back(2, 15)), [5, 6]),
        # Two that come together also stay within one of each other.
        ((stayed(1, 8), back(2, 0), back(3, 40)), [8, 7, 8]),
        ((back(1, 0), back(2, 0), back(3, 0)), [0, 0, 0]),
    ],
)
def test_e1_a_joining_or_returning_sender_takes_the_nearest_count_within_one_of_all_others(
    now: tuple[Seat, ...], counts: list[int]
) -> None:
    assert settled_counts(*now) == counts


able_sets = st.lists(st.booleans(), min_size=1, max_size=7).filter(any)


@settings(max_examples=200)
@given(able_sets, st.lists(st.integers(0, 40), max_size=12))
def test_e1_no_import_makes_two_able_senders_differ_by_more_than_one(
    able: list[bool], imports: list[int]
) -> None:
    now = [Seat(n, n, 0, is_able) for n, is_able in enumerate(able)]
    for count in imports:
        now = after(now, count)
        assert apart(now) <= 1
    assert sum(seat.assigned_count for seat in now) == sum(imports)


# Which of seven senders are able, and how many people come then; the later ones join in later rounds.
rounds_of_senders = st.lists(
    st.tuples(st.lists(st.booleans(), min_size=7, max_size=7), st.integers(0, 20)), min_size=1, max_size=12
)


@settings(max_examples=300)
@given(rounds_of_senders)
def test_e1_no_two_able_senders_differ_by_more_than_one_whoever_joins_fails_or_returns(
    rounds: list[tuple[list[bool], int]],
) -> None:
    now, took_part = seats(*range(7)), set[int]()
    for able, count in rounds:
        now = [replace(seat, able=is_able) for seat, is_able in zip(now, able, strict=True)]
        settled = settle(now)
        assert [seat.sender_id for seat in settled] == [n for n, is_able in enumerate(able) if is_able]
        for seat in settled:
            own, others = now[seat.sender_id].assigned_count, [one for one in settled if one != seat]
            if seat.sender_id in took_part or not others:
                assert seat.assigned_count == own
            elif seat.assigned_count != own:
                # One nearer to its own would be too far from another sender.
                nearer = seat.assigned_count + (1 if own > seat.assigned_count else -1)
                assert any(abs(one.assigned_count - nearer) > 1 for one in others)
        now = after(now, count)
        if settled:
            took_part = {seat.sender_id for seat in settled}
            assert apart(settled) <= 1
            assert apart(now) <= 1


@settings(max_examples=200)
@given(able_sets, st.integers(0, 30), st.integers(0, 60))
def test_e1_counts_are_what_counting_one_by_one_gives(able: list[bool], earlier: int, count: int) -> None:
    now = after([Seat(n, n, 0, is_able) for n, is_able in enumerate(able)], earlier)
    found = dealt(now, count)
    one_by_one = Counter(found.sender_of(rank) for rank in range(count))
    assert {sender: n for sender, n in found.counts().items() if n} == dict(one_by_one)


weights = st.lists(st.integers(1, 12), min_size=1, max_size=5)


@settings(max_examples=200)
@given(weights, st.lists(st.integers(0, 9), min_size=1, max_size=10))
def test_e1_many_small_imports_give_what_one_large_one_gives(weights: list[int], imports: list[int]) -> None:
    now = [Seat(n, n, 0, True, weight) for n, weight in enumerate(weights)]
    bulk = dealt(now, sum(imports))
    order = []
    for count in imports:
        found = dealt(now, count)
        order += [found.sender_of(rank) for rank in range(count)]
        now = after(now, count)
    assert order == [bulk.sender_of(rank) for rank in range(sum(imports))]


def test_e2_three_to_one_is_three_to_one_within_the_first_four() -> None:
    found = dealt([Seat(1, 0, 0, True, 3), Seat(2, 1, 0, True, 1)], 4)
    assert [found.sender_of(rank) for rank in range(4)] == [1, 2, 1, 1]
    assert found.counts() == {1: 3, 2: 1}


@settings(max_examples=200)
@given(weights, st.lists(st.integers(0, 30), min_size=5, max_size=5), st.integers(1, 40))
def test_e2_the_least_count_for_its_weight_is_next(
    weights: list[int], counts: list[int], people: int
) -> None:
    now = [stayed(n, count, weight) for n, (weight, count) in enumerate(zip(weights, counts, strict=False))]
    found = spread(now, people)
    assert found is not None
    for rank in range(people):
        least = min(now, key=lambda seat: (seat.load, seat.position))
        assert found.sender_of(rank) == least.sender_id
        now[least.sender_id] = replace(least, assigned_count=least.assigned_count + 1)


@settings(max_examples=200)
@given(st.integers(1, 1000), rounds_of_senders)
def test_e2_field_47_equal_weights_give_what_equal_gives(
    weight: int, rounds: list[tuple[list[bool], int]]
) -> None:
    equal, weighted = seats(*range(7)), [Seat(n, n, 0, True, weight) for n in range(7)]
    for able, count in rounds:
        equal = [replace(seat, able=is_able) for seat, is_able in zip(equal, able, strict=True)]
        weighted = [replace(seat, able=is_able) for seat, is_able in zip(weighted, able, strict=True)]
        equal, weighted = after(equal, count), after(weighted, count)
        assert [seat.assigned_count for seat in weighted] == [seat.assigned_count for seat in equal]


@pytest.mark.parametrize(
    ("now", "counts"),
    [
        # The least load is 10: for weight 3 a count of 29 to 31 is in reach.
        ((stayed(1, 10), back(2, 0, 3)), [10, 29]),
        ((stayed(1, 10), back(2, 30, 3)), [10, 30]),
        ((stayed(1, 10), back(2, 99, 3)), [10, 31]),
        # The least counts, not the others.
        ((stayed(1, 20, 2), stayed(2, 11), back(3, 0, 3)), [20, 11, 29]),
        # A fraction of a recipient is rounded to the inside.
        ((stayed(1, 10, 3), back(2, 0)), [10, 3]),
        ((stayed(1, 10, 3), back(2, 9)), [10, 4]),
    ],
)
def test_e2_field_46_a_joining_or_returning_sender_takes_the_nearest_count_by_its_weight(
    now: tuple[Seat, ...], counts: list[int]
) -> None:
    assert settled_counts(*now) == counts


def test_e2_field_46_a_changed_weight_acts_from_then_on() -> None:
    now = after([Seat(1, 0, 0, True), Seat(2, 1, 0, True)], 200)
    heavier = [now[0], replace(now[1], weight=3)]
    assert settled_counts(*heavier) == [100, 299]
    # Not 200 for the second one, which its weight would have earned before.
    assert dealt(heavier, 40).counts() == {1: 10, 2: 30}


def test_e2_all_weights_can_change_at_once() -> None:
    now = after([Seat(1, 0, 0, True), Seat(2, 1, 0, True)], 200)
    both = [replace(now[0], weight=2), replace(now[1], weight=3)]
    assert dealt(both, 50).counts() == {1: 20, 2: 30}


@settings(max_examples=100)
@given(weights, rounds_of_senders)
def test_e2_a_long_import_follows_the_weights_whoever_joined_before(
    weights: list[int], rounds: list[tuple[list[bool], int]]
) -> None:
    now = [Seat(n, n, 0, True, weight) for n, weight in enumerate(weights)]
    for able, count in rounds:
        now = after([replace(seat, able=able[seat.sender_id]) for seat in now], count)
    now = [replace(seat, able=True) for seat in now]
    given_now = dealt(now, 20 * sum(weights)).counts()
    for seat in now:
        # At most one of its own shares from exact: what was uneven before, and one round's rounding.
        assert abs(given_now[seat.sender_id] - 20 * seat.weight) <= 1 + 2 * seat.weight


def by_rooms(*rooms: tuple[int, int], people: int) -> list[int]:
    """Who gets each of so many people; a sender is its room today and how many it was given before."""
    known = [Room(n, n, assigned, today) for n, (today, assigned) in enumerate(rooms)]
    found = by_room(known, people)
    return [found.sender_of(rank) for rank in range(people)]


@pytest.mark.parametrize(
    ("rooms", "senders"),
    [
        # Room for 3 and for 10: the second one until both have the same.
        (((3, 0), (10, 0)), [1] * 7 + [0, 1, 0]),
        # Equal room: the sender with the fewest assigned, then the one that was added first.
        (((5, 4), (5, 3)), [1, 0, 1]),
        (((5, 4), (5, 4)), [0, 1, 0]),
        # Each person counts once: with the third both have been given two.
        (((4, 1), (2, 3)), [0, 0, 0, 1]),
        (((2, 9),), [0, 0]),
    ],
)
def test_e2_most_room_is_next(rooms: tuple[tuple[int, int], ...], senders: list[int]) -> None:
    assert by_rooms(*rooms, people=len(senders)) == senders


@settings(max_examples=100)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.data())
def test_e2_no_sender_gets_more_than_it_has_room_for(rooms: list[int], data: st.DataObject) -> None:
    people = data.draw(st.integers(1, sum(rooms)))
    given_now = Counter(by_rooms(*((room, 0) for room in rooms), people=people))
    assert all(given_now[sender] <= room for sender, room in enumerate(rooms))
    assert given_now.total() == people
