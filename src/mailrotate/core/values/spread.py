"""A rotation's decision, as the store applies it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """How `count` new recipients are spread over the senders: first the prefix, then the cycle, repeated.

    It is a rule instead of a list, so that one statement assigns a million recipients.
    """

    prefix: tuple[int, ...]
    cycle: tuple[int, ...]
    over: str
    count: int

    def sender_of(self, rank: int) -> int:
        """The sender of the recipient with this rank, counted from 0."""
        if rank < len(self.prefix):
            return self.prefix[rank]
        return self.cycle[(rank - len(self.prefix)) % len(self.cycle)]

    def counts(self) -> dict[int, int]:
        """How many of the `count` recipients each sender gets."""
        given = dict.fromkeys(self.cycle, 0)
        for sender in self.prefix[: self.count]:
            given[sender] += 1
        rounds, rest = divmod(max(0, self.count - len(self.prefix)), len(self.cycle))
        for index, sender in enumerate(self.cycle):
            given[sender] += rounds + (1 if index < rest else 0)
        return given
