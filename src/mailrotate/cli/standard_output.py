"""Standard output itself: a full disk or a closed pipe behind it."""

import os
import sys
from contextlib import suppress

from mailrotate.core.values.errors import MailrotateError


def find_trouble() -> MailrotateError | None:
    """What keeps standard output from being written, if that is what an OSError was about.

    The text that could not be written is still in its buffer, so that writing it again fails again.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as trouble:
        return MailrotateError(
            "output.unwritable",
            f"standard output cannot be written: {trouble.strerror}; what was done stays done",
            "free some space, or write to another file",
        )
    return None


def flush() -> None:
    """Flush standard output, so that a full disk or a closed pipe fails the command."""
    sys.stdout.flush()


def close() -> None:
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
