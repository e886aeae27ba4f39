"""Who gets the next new person of a rotated campaign (E1)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Seat:
    """A sender as the rotation sees it; `position` is the order of adding."""

    sender_id: int
    position: int
    assigned_count: int
    able: bool


@dataclass(frozen=True)
class Spread:
    """How `count` new people go over the senders: first the prefix, then round and round the cycle.

    A description instead of a list, so that a million people are assigned in one statement.
    """

    prefix: tuple[int, ...]
    cycle: tuple[int, ...]
    over: str
    count: int

    def sender_of(self, rank: int) -> int:
        """Who gets the person of this rank, counted from 0."""
        if rank < len(self.prefix):
            return self.prefix[rank]
        return self.cycle[(rank - len(self.prefix)) % len(self.cycle)]

    def counts(self) -> dict[int, int]:
        """How many of the `count` people each sender gets."""
        given = dict.fromkeys(self.cycle, 0)
        for sender in self.prefix[: self.count]:
            given[sender] += 1
        rounds, rest = divmod(max(0, self.count - len(self.prefix)), len(self.cycle))
        for index, sender in enumerate(self.cycle):
            given[sender] += rounds + (1 if index < rest else 0)
        return given


def spread_equally(seats: Sequence[Seat], spread_over: str, count: int) -> Spread | None:
    """Give `count` new people to the able sender with the fewest assignments, ties by order of adding.

    The counts hold for one set of able senders (`spread_over`); when that set has changed they start
    again from zero, so that no two able senders ever differ by more than one and nobody who was away is
    flooded to catch up. None when no sender is able.
    """
    able = sorted((seat for seat in seats if seat.able), key=lambda seat: seat.position)
    if not able:
        return None
    over = ",".join(str(seat.sender_id) for seat in able)
    counts = [seat.assigned_count if over == spread_over else 0 for seat in able]
    most = max(counts)
    behind = tuple(seat.sender_id for seat, n in zip(able, counts, strict=True) if n < most)
    return Spread(behind, tuple(seat.sender_id for seat in able), over, count)
