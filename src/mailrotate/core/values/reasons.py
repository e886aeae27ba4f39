"""Codes for why campaigns pause, recipients end and addresses are suppressed, with words for people."""

from collections.abc import Iterable

BY_HAND = "by_hand"
CONTENT_ERRORS = "content_errors"
MAILBOX_DISCONNECTED = "mailbox_disconnected"
MAILBOX_FAILED = "mailbox_failed"
MAILBOX_REMOVED = "mailbox_removed"
USER_LOCKED = "user_locked"

_AFTER_PAUSED = {
    BY_HAND: "by hand",
    CONTENT_ERRORS: "after repeated content errors",
    MAILBOX_DISCONNECTED: "because a mailbox was disconnected",
    MAILBOX_FAILED: "because a mailbox failed",
    MAILBOX_REMOVED: "because a mailbox was removed",
    USER_LOCKED: "because a user is locked",
}


def paused(codes: Iterable[str]) -> str:
    """The state of a paused campaign with every reason, such as `paused by hand`."""
    reasons = " and ".join(_AFTER_PAUSED.get(code) or f"({spoken(code)})" for code in codes)
    return f"paused {reasons}".rstrip()


def spoken(code: str) -> str:
    """A code such as `hard_bounce` as words; what a person wrote as a reason stays as it is."""
    return code.replace("_", " ") if code.isidentifier() else code
