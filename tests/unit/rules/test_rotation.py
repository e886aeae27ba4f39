"""How new people are spread over the senders (E1)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.core.rules.rotation import Seat, Spread, spread_equally


def seats(*sender_ids: int) -> list[Seat]:
    return [Seat(sender, position, 0, True) for position, sender in enumerate(sender_ids)]


def after(before: Sequence[Seat], spread: Spread, spread_over: str) -> list[Seat]:
    """The seats as they stand when the spread was recorded: a new set of senders starts from zero."""
    given_now = spread.counts()
    kept = spread.over == spread_over
    return [
        replace(seat, assigned_count=kept * seat.assigned_count + given_now.get(seat.sender_id, 0))
        for seat in before
    ]


def test_e1_ten_over_two_is_five_and_five() -> None:
    spread = spread_equally(seats(7, 3), "", 10)
    assert spread is not None
    assert spread.counts() == {7: 5, 3: 5}
    assert [spread.sender_of(rank) for rank in range(4)] == [7, 3, 7, 3]


def test_e1_ties_go_by_the_order_of_adding() -> None:
    spread = spread_equally([Seat(1, 2, 0, True), Seat(2, 0, 0, True), Seat(3, 1, 0, True)], "", 1)
    assert spread is not None
    assert spread.counts() == {2: 1, 3: 0, 1: 0}


def test_e1_who_is_behind_comes_first() -> None:
    now = [Seat(1, 0, 4, True), Seat(2, 1, 3, True), Seat(3, 2, 3, True)]
    spread = spread_equally(now, "1,2,3", 3)
    assert spread is not None
    assert [spread.sender_of(rank) for rank in range(3)] == [2, 3, 1]


def test_e1_one_who_comes_back_is_not_flooded() -> None:
    now = [Seat(1, 0, 900, True), Seat(2, 1, 2, True)]
    spread = spread_equally(now, "1", 10)
    assert spread is not None
    assert spread.counts() == {1: 5, 2: 5}


def test_e1_who_is_not_able_gets_nobody() -> None:
    now = [Seat(1, 0, 0, False), Seat(2, 1, 5, True)]
    spread = spread_equally(now, "1,2", 3)
    assert spread is not None
    assert spread.counts() == {2: 3}


@pytest.mark.parametrize("nobody", [[], [Seat(1, 0, 0, False)]])
def test_e1_without_an_able_sender_nobody_is_assigned(nobody: list[Seat]) -> None:
    assert spread_equally(nobody, "", 10) is None


able_sets = st.lists(st.booleans(), min_size=1, max_size=7).filter(any)


@settings(max_examples=200)
@given(able_sets, st.lists(st.integers(0, 40), max_size=12))
def test_e1_no_import_makes_two_able_senders_differ_by_more_than_one(
    able: list[bool], imports: list[int]
) -> None:
    now, over = [Seat(n, n, 0, is_able) for n, is_able in enumerate(able)], ""
    for count in imports:
        spread = spread_equally(now, over, count)
        assert spread is not None
        now, over = after(now, spread, over), spread.over
        counts = [seat.assigned_count for seat in now if seat.able]
        assert max(counts) - min(counts) <= 1
    assert sum(seat.assigned_count for seat in now) == sum(imports)


@settings(max_examples=200)
@given(st.lists(st.tuples(able_sets, st.integers(0, 20)), min_size=1, max_size=8))
def test_e1_the_rule_holds_anew_for_each_set_of_senders(rounds: list[tuple[list[bool], int]]) -> None:
    now, over = seats(*range(7)), ""
    for able, count in rounds:
        now = [replace(seat, able=index < len(able) and able[index]) for index, seat in enumerate(now)]
        spread = spread_equally(now, over, count)
        assert spread is not None
        now, over = after(now, spread, over), spread.over
        counts = [seat.assigned_count for seat in now if seat.able]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=200)
@given(able_sets, st.integers(0, 30), st.integers(0, 60))
def test_e1_counts_are_what_counting_one_by_one_gives(able: list[bool], earlier: int, count: int) -> None:
    start = [Seat(n, n, 0, is_able) for n, is_able in enumerate(able)]
    first = spread_equally(start, "", earlier)
    assert first is not None
    spread = spread_equally(after(start, first, ""), first.over, count)
    assert spread is not None
    one_by_one = Counter(spread.sender_of(rank) for rank in range(count))
    assert {sender: n for sender, n in spread.counts().items() if n} == dict(one_by_one)


@settings(max_examples=100)
@given(able_sets, st.lists(st.integers(0, 9), min_size=1, max_size=10))
def test_e1_many_small_imports_give_what_one_large_one_gives(able: list[bool], imports: list[int]) -> None:
    start = [Seat(n, n, 0, is_able) for n, is_able in enumerate(able)]
    bulk = spread_equally(start, "", sum(imports))
    assert bulk is not None
    order, now, over = [], start, ""
    for count in imports:
        spread = spread_equally(now, over, count)
        assert spread is not None
        order += [spread.sender_of(rank) for rank in range(count)]
        now, over = after(now, spread, over), spread.over
    assert order == [bulk.sender_of(rank) for rank in range(sum(imports))]
