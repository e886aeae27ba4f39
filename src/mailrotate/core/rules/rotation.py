"""Choose the senders of new recipients of a rotation (E1, E2)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import heapify, heapreplace
from math import ceil, floor, gcd, lcm

from mailrotate.core.values.spread import Spread
from mailrotate.core.values.states import Rotation

HIGHEST_WEIGHT = 1000
# The rotations in which a user decides whose mailboxes a recipient may get.
BY_USER = (Rotation.OWNER, Rotation.ADDER)


def is_weight(number: object) -> bool:
    """Whether a sender can have this weight."""
    return isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= HIGHEST_WEIGHT


def meant(named: Rotation | None, sender_count: int, *, is_team: bool, has_weights: bool) -> Rotation | None:
    """Return the rotation that is meant; None for a single sender without one.

    Several senders need a rotation. In a team campaign every user may add people, and they go to the adder's
    mailboxes, not to the owner's (E2).
    """
    if named is Rotation.OWNER and is_team:
        return Rotation.ADDER
    if named is not None:
        return named
    if has_weights:
        return Rotation.WEIGHTED
    if sender_count < 2:
        return None
    return Rotation.ADDER if is_team else Rotation.EQUAL


@dataclass(frozen=True)
class Seat:
    """A sender as the rotation sees it; `position` is the order of adding.

    `counted_weight` is its weight at the rotation's last assignment, None if it could not take part then.
    """

    sender_id: int
    position: int
    assigned_count: int
    able: bool
    weight: int = 1
    counted_weight: int | None = None

    @property
    def stayed(self) -> bool:
        """Whether its count can still be compared with those of the others that stayed."""
        return self.counted_weight == self.weight

    @property
    def load(self) -> Fraction:
        return Fraction(self.assigned_count, self.weight)


def settle(seats: Sequence[Seat]) -> list[Seat]:
    """Return the able seats in the order of adding, each with the count that it takes part with.

    A seat that stayed keeps its count. One that is new, able again or has a new weight takes the count
    nearest to its own that is in reach of the others: it is neither flooded to catch up nor passed over.
    """
    able = sorted((seat for seat in seats if seat.able), key=_position)
    settled = [seat for seat in able if seat.stayed]
    for seat in able:
        if not seat.stayed:
            settled.append(replace(seat, assigned_count=_count_in_reach(seat, settled)))
    return sorted(settled, key=_position)


def _position(seat: Seat) -> int:
    return seat.position


def _count_in_reach(seat: Seat, others: Sequence[Seat]) -> int:
    """Return the count nearest to the seat's own whose load is at most one recipient from the others'.

    With equal weights from that of every other, with different weights from the least.
    """
    if not others:
        return seat.assigned_count
    loads = [other.load for other in others]
    low, high = min(loads), max(loads)
    if any(other.weight != seat.weight for other in others):
        high = low
    lowest, highest = ceil(high * seat.weight) - 1, floor(low * seat.weight) + 1
    return min(max(seat.assigned_count, lowest), highest)


def spread(seats: Sequence[Seat], count: int) -> Spread | None:
    """Give each of `count` new people to the seat with the least load, ties by the order of adding.

    `seats` are settled. None if there are none.
    """
    if not seats:
        return None
    # A seat gets its next recipients at the loads n ÷ weight, (n + 1) ÷ weight, …; the order of all these
    # loads is the order of the turns, and from the highest load on it repeats. In whole numbers of `unit`.
    unit = lcm(*(seat.weight for seat in seats))
    start = max(seat.assigned_count * (unit // seat.weight) for seat in seats)
    end = start + unit // gcd(*(seat.weight for seat in seats))
    prefix = _turns(seats, unit, 0, start)
    return Spread(prefix, _turns(seats, unit, start, end), count)


def _turns(seats: Sequence[Seat], unit: int, start: int, end: int) -> tuple[int, ...]:
    """Return the senders whose turns are at loads from `start` until before `end`, in order."""
    found = sorted(turn for seat in seats for turn in _turns_of(seat, unit // seat.weight, start, end))
    return tuple(sender_id for _, _, sender_id in found)


def _turns_of(seat: Seat, step: int, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    first = max(seat.assigned_count, -(-start // step))
    return ((n * step, seat.position, seat.sender_id) for n in range(first, -(-end // step)))


@dataclass(frozen=True)
class Room:
    """A sender of a rotation by capacity: how many messages it can still take today."""

    sender_id: int
    position: int
    assigned_count: int
    today: int


def by_room(rooms: Sequence[Room], count: int) -> Spread:
    """Give each of `count` people, for whom there is room, to the sender with most room then.

    Ties go to the sender with the fewest assigned, then by the order of adding.
    """
    heap = [(-room.today, room.assigned_count, room.position, room.sender_id) for room in rooms]
    heapify(heap)
    order = []
    for _ in range(count):
        used, assigned, position, sender_id = heap[0]
        order.append(sender_id)
        heapreplace(heap, (used + 1, assigned + 1, position, sender_id))
    return Spread(tuple(order), tuple(order[:1]), count)
