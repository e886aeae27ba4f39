"""`QUICK=1`: the same measurements on fewer rows and in fewer turns, all of them in five minutes."""

import os
from typing import TypeVar

_T = TypeVar("_T")
QUICK = os.environ.get("QUICK", "0") not in ("", "0")


def full_or_quick(full: _T, quick: _T) -> _T:
    """Choose the size or the number of turns of this run."""
    return quick if QUICK else full
