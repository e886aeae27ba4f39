"""Lists that are longer than one statement: a database takes only so many parameters."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

AT_A_TIME = 500

T = TypeVar("T")


def portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """`AT_A_TIME` after each other."""
    return (items[first : first + AT_A_TIME] for first in range(0, len(items), AT_A_TIME))
