"""Why campaigns pause, recipients end, addresses are suppressed and servers refuse: codes and their words."""

import re
from collections.abc import Collection, Iterable

from mailrotate.core.values.states import CampaignState

BY_HAND = "by_hand"
CONTENT_ERRORS = "content_errors"
MAILBOX_DISCONNECTED = "mailbox_disconnected"
MAILBOX_FAILED = "mailbox_failed"
MAILBOX_REMOVED = "mailbox_removed"
SENDER_REMOVED = "sender_removed"
USER_LOCKED = "user_locked"
NO_SENDER = "no_sender"
# The outbox's own class of error: the message's mailbox had failed or was disconnected.
NOT_CONNECTED = "connection"
# An answer said that the address does not exist: why recipients end and addresses are suppressed.
HARD_BOUNCE = "hard_bounce"
# The class of a hold after refusals in a row; every other hold has the class of an answer.
REFUSALS = "refusals"

_AFTER_PAUSED = {
    BY_HAND: "by hand",
    NO_SENDER: "because no sender was able to send",
    CONTENT_ERRORS: "after repeated content errors",
    MAILBOX_DISCONNECTED: "because a mailbox was disconnected",
    MAILBOX_FAILED: "because a mailbox failed",
    MAILBOX_REMOVED: "because a mailbox was removed",
    USER_LOCKED: "because a user is locked",
}


# What these codes mean of a recipient, where the code alone does not say it.
_AFTER_STATE = {
    "campaign_stopped": "the campaign was stopped",
    "cancelled_by_operator": "the message was cancelled",
    "hard_bounce": "the server refused the address for good",
    "mailbox_removed": "the mailbox was removed",
    "removed": "removed by hand",
    SENDER_REMOVED: "the sender left the campaign",
    "soft_bounces": "the server refused it for too long",
}
# The classes of a server's answer.
_CLASSES = {
    "net": "network trouble",
    "retry": "temporary refusal",
    "soft": "temporary refusal of the recipient",
    "hard": "recipient refused",
    "limit": "limit reached",
    "auth": "login refused",
    "sender": "sender refused",
    "message": "message refused",
    "unknown": "unclear answer",
    "restore": "restored from a backup",
    NOT_CONNECTED: "mailbox failed or disconnected",
}
# Why recipients are stopped: the code of the mailbox's trouble and its address, in one reason.
_AWAY = {
    "disconnect": ("mailbox_disconnected", "{} was disconnected and did not come back in time"),
    "failure": ("mailbox_failed", "{} failed and did not come back in time"),
}


def away_reason(kind: str, address: str) -> str:
    """The reason of a stopped recipient: its mailbox did not come back before a deadline of this kind."""
    return f"{_AWAY[kind][0]}: {address}"


def ended(state: str, code: str | None) -> str:
    """A recipient's state with its reason, such as `failed: the mailbox was removed`."""
    because = ending(state, code)
    return state if because is None else f"{state}: {because}"


def ending(state: str, code: str | None) -> str | None:
    """The words for why a recipient ended; None where the state says it already."""
    if code is None or code in (state, "reply", "complete"):
        return None
    for away, words in _AWAY.values():
        if code.startswith(f"{away}: "):
            return words.format(code.partition(": ")[2])
    return _AFTER_STATE.get(code) or spoken(code)


def answered(reply_class: str) -> str:
    """The class of a server's answer in words."""
    return _CLASSES.get(reply_class) or spoken(reply_class)


# How far the conversation with a server had come, as `MailTrouble` writes it, and an IMAP status with its
# response code (RFC 9051, section 7.1); what follows are words.
_SAID = re.compile(
    r"^(inbox: )?(?:(auth)|resolve|connect|tls|ehlo|permission|mail|rcpt|data|dot): "
    r"(?:(?:NO|BAD) (?:\[[\w-]+\] )?(?=\S))?(login )?"
)


def heard(said: str) -> str:
    """A server's answer, or what went wrong on the way to it, without the codes of the conversation."""
    return _SAID.sub(
        lambda at: "".join((at[1] or "", "login: " if at[2] and not at[3] else "", at[3] or "")), said
    )


def paused(codes: Iterable[str]) -> str:
    """The state of a paused campaign with every reason, such as `paused by hand`."""
    reasons = " and ".join(_AFTER_PAUSED.get(code) or f"({spoken(code)})" for code in codes)
    return f"paused {reasons}".rstrip()


def of_campaign(state: str, pause_reasons: Collection[str]) -> str:
    """A campaign's state with its reasons; it is finished only by `campaign stop` (D3)."""
    if pause_reasons:
        return paused(pause_reasons)
    return f"{state}: stopped" if state == CampaignState.FINISHED else state


def held(hold_class: str | None, said: str) -> str:
    """Why a mailbox is on hold; the answer alone may be only a step of the connection and an error."""
    return f"on hold{_AFTER_HOLD.get(hold_class or '', '')}: {heard(said)}"


_AFTER_HOLD = {"net": " after network trouble", "retry": " after a temporary refusal"}


def spoken(code: str) -> str:
    """A code such as `hard_bounce` as words; what a person wrote as a reason stays as it is."""
    return code.replace("_", " ") if code.isidentifier() else code
