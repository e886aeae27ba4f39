"""Choose the sender of the next new recipient of a rotation (E1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailrotate.core.values.spread import Spread


@dataclass(frozen=True)
class Seat:
    """A sender as the rotation sees it; `position` is the order of adding."""

    sender_id: int
    position: int
    assigned_count: int
    able: bool


def spread_equally(seats: Sequence[Seat], spread_over: str, count: int) -> Spread | None:
    """Give `count` new people to the able sender with the fewest assignments, ties by order of adding.

    The counts belong to one set of able senders (`spread_over`). If that set has changed, they start from
    zero, so that able senders never differ by more than one and a returning sender is not flooded to catch
    up. None if no sender is able.
    """
    able = sorted((seat for seat in seats if seat.able), key=lambda seat: seat.position)
    if not able:
        return None
    over = ",".join(str(seat.sender_id) for seat in able)
    counts = [seat.assigned_count if over == spread_over else 0 for seat in able]
    most = max(counts)
    behind = tuple(seat.sender_id for seat, n in zip(able, counts, strict=True) if n < most)
    return Spread(behind, tuple(seat.sender_id for seat in able), over, count)
