"""What input from outside may cost: a second of a processor each, and no memory growing with the count."""

import logging
import os
import tracemalloc
from collections.abc import Callable, Iterable
from time import thread_time
from typing import TypeVar

import pytest

Input = TypeVar("Input")
FIRST = 1_000
_GROWTH = 1.2
_LOG = logging.getLogger(__name__)
# By hand it may take hours; the mark is stronger than `--timeout`, so it must say so itself.
within_its_time = pytest.mark.timeout(0 if "MAILROTATE_FUZZ_COUNT" in os.environ else 900)


def count(usual: int) -> int:
    """How many inputs are tried: `MAILROTATE_FUZZ_COUNT`, if it is set."""
    return int(os.environ.get("MAILROTATE_FUZZ_COUNT", usual))


def try_each(inputs: Iterable[Input], read: Callable[[Input], object]) -> int:
    """Read every input within its allowance; return how many there were."""
    tried, peak_of_first, slowest = 0, 0, 0.0
    tracemalloc.start()
    try:
        for tried, each in enumerate(inputs, 1):
            began = thread_time()
            read(each)
            slowest = max(slowest, thread_time() - began)
            assert slowest <= 1, f"{slowest:.1f} seconds for {each!r:.400}"
            if tried == FIRST:
                peak_of_first = tracemalloc.get_traced_memory()[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    _LOG.info(
        "%s read, the slowest in %.2f s; %s bytes at first, %s at last", tried, slowest, peak_of_first, peak
    )
    if tried > FIRST:
        assert peak <= _GROWTH * peak_of_first, f"{peak} bytes, after {FIRST} inputs {peak_of_first}"
    return tried
