"""Write lists of people as CSV for spreadsheets and scripts (RFC 4180), row by row."""

import csv
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from mailrotate.adapters.formulas import escape
from mailrotate.core.values.errors import BadInput


def refuse_existing(path: Path) -> None:
    """Raise BadInput (`export.exists`) if the file exists: it is never overwritten."""
    if path.exists():
        raise BadInput("export.exists", f"{path} exists already", "name another folder")


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a new file, synced to disk on return, and return its number of rows.

    Raises BadInput: `export.exists`, or `export.failed` after removing the incomplete file.
    """
    refuse_existing(path)
    count = 0
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # People's addresses are for the owner alone, whatever the umask.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise _failed(path, problem) from None
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for row in rows:
                writer.writerow(["" if cell is None else escape(str(cell)) for cell in row])
                count += 1
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        _take_away(path)
        raise _failed(path, problem) from None
    except BaseException:
        _take_away(path)
        raise
    return count


def _take_away(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _failed(path: Path, problem: OSError) -> BadInput:
    return BadInput("export.failed", f"{path} cannot be written: {problem.strerror}", "name another folder")
