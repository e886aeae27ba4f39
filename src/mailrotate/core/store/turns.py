"""A lock that threads get in the order in which they ask for it; a plain one may let a thread starve."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar


class Place:
    """A place in the line of threads that wait for their turn."""

    def __init__(self) -> None:
        self.waits = threading.Lock()
        self.waits.acquire()
        # Whether the turn has come; without it, another thread has done what was to be done.
        self.has_turn = False


_Kind = TypeVar("_Kind", bound=Place)


class Turns:
    """Gives one thread after the other the turn."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_taken = False
        self._line: deque[Place] = deque()

    @property
    def queued(self) -> int:
        """How many threads wait."""
        return len(self._line)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for a turn, and keep it during the block."""
        self.take(Place())
        try:
            yield
        finally:
            self.pass_on()

    def take(self, place: Place) -> bool:
        """Wait for the turn; False if another thread took the place out of the line (`next_of`)."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = place.has_turn = True
                return True
            self._line.append(place)
        try:
            place.waits.acquire()
        except BaseException:
            # Ctrl-C reaches the main thread also while it waits.
            with self._guard:
                if place in self._line:
                    self._line.remove(place)
            if place.has_turn:
                self.pass_on()
            raise
        return place.has_turn

    def next_of(self, kind: type[_Kind]) -> _Kind | None:
        """Take the next place out of the line if it is of this kind.

        The thread that has the turn does what was to be done there, then releases `waits`.
        """
        with self._guard:
            if not self._line or not isinstance(self._line[0], kind):
                return None
            place = self._line.popleft()
        assert isinstance(place, kind)
        return place

    def pass_on(self) -> None:
        """Give the turn to the next in the line."""
        with self._guard:
            if self._line:
                place = self._line.popleft()
                place.has_turn = True
                place.waits.release()
            else:
                self._is_taken = False
