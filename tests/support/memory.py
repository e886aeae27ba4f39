"""Where the tests keep their files: in memory, because a disk makes each commit and each file slow.

No test shows that data outlives a power loss, which is all that a disk would add.
"""

import os
import shutil
from pathlib import Path

_FOLDER = Path("/dev/shm")


def folder_in_memory() -> Path | None:
    """None where memory has no folder, or less than 2 GB free."""
    fits = _FOLDER.is_dir() and os.access(_FOLDER, os.W_OK) and shutil.disk_usage(_FOLDER).free > 2**31
    return _FOLDER if fits else None
