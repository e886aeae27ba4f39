"""A rotation's decision, as the store applies it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """How `count` new recipients are spread over the senders: first the prefix, then the cycle, repeated.

    It is a rule instead of a list, so that one statement assigns a million recipients.
    """

    prefix: tuple[int, ...]
    cycle: tuple[int, ...]
    count: int

    @property
    def places(self) -> tuple[int, ...]:
        """The sender of each place; recipients go to the places in order, then to the cycle's again."""
        return (self.prefix + self.cycle)[: self.count]

    def sender_of(self, rank: int) -> int:
        """The sender of the recipient with this rank, counted from 0."""
        first = len(self.prefix)
        return self.prefix[rank] if rank < first else self.cycle[(rank - first) % len(self.cycle)]

    def counts(self) -> dict[int, int]:
        """How many of the `count` recipients each sender gets."""
        given = Counter(dict.fromkeys(self.cycle, 0))
        given.update(self.prefix[: self.count])
        rounds, rest = divmod(max(0, self.count - len(self.prefix)), len(self.cycle))
        for index, sender in enumerate(self.cycle):
            given[sender] += rounds + (1 if index < rest else 0)
        return dict(given)


# The pool of all recipients in a rotation that looks at no user.
EVERYONE = 0


@dataclass(frozen=True)
class Assignment:
    """Who gets which sender: a spread for each pool of recipients, and what is stored with them.

    A pool is a user's id where the user decides (E2), else `EVERYONE`. `ids` are the stored words, by pool.
    """

    spreads: Mapping[int, Spread]
    reason: str
    ids: Mapping[int, int | None]
