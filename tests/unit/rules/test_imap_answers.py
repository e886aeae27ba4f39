"""What an IMAP server's refusal means: a passing one harms nobody (C2, H5)."""

import pytest

from mailrotate.core.rules.replies import classify
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import Phase, ReplyClass

PASSING = [
    "NO Server Unavailable. 15",
    "NO [TEMPFAIL] SELECT failed",
    "NO System Error (Failure)",
    "BAD The specified message set is invalid",
    "NO Server Busy",
    # Variations of ours.
    "NO EXAMINE failed",
    "NO [SERVERBUG] Internal error occurred. Refer to server log for more information.",
    "NO [CONTACTADMIN] Please contact your administrator",
    "BAD Command received in Invalid state.",
    "NO Mailbox is locked by another session",
    "NO [INUSE] Timeout while waiting for lock",
    "BAD Could not parse command",
    "NO",
    "BAD",
    "NO Lookup failed",
    "no [NONEXISTENT] Unknown Mailbox: INBOX (now in authenticated state) (Failure)",
]
CREDENTIALS = [
    "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
    "NO [AUTHORIZATIONFAILED] No such authorization-ID",
    "NO [EXPIRED] Password expired",
    "NO LOGIN failed.",
    "NO LOGIN Login error or password error",
    "NO Login failed: authentication failure",
    "NO Invalid login or password",
    "NO Incorrect username or password.",
    "NO Username/Password incorrect",
    "NO Bad username or password",
    "NO The password is wrong",
    "NO Invalid user name or password",
    "NO AUTHENTICATE failed",
    "NO Authentication failure",
    "NO Password not accepted",
    "NO account is disabled",
    "BAD invalid password",
    "NO user not found",
    "NO Unknown user",
    "NO authentication failed or invalid credentials",
    "NO Sorry, no valid password",
]


def meaning(text: str, phase: Phase) -> ReplyClass:
    return classify(ServerReply(phase, None, None, text), "imap").reply_class


@pytest.mark.parametrize("text", PASSING)
@pytest.mark.parametrize("phase", [Phase.AUTH, Phase.PERMISSION])
def test_c2_a_passing_refusal_of_any_command_is_no_failed_login(phase: Phase, text: str) -> None:
    assert meaning(text, phase) in (ReplyClass.RETRY, ReplyClass.NET)


@pytest.mark.parametrize("text", CREDENTIALS)
def test_c2_a_login_refused_in_words_about_credentials_fails_the_mailbox(text: str) -> None:
    assert meaning(text, Phase.AUTH) is ReplyClass.AUTH


@pytest.mark.parametrize("code", ["AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED"])
@pytest.mark.parametrize("phase", [Phase.AUTH, Phase.PERMISSION])
def test_c2_the_codes_for_credentials_count_at_every_command(phase: Phase, code: str) -> None:
    assert meaning(f"NO [{code}] no", phase) is ReplyClass.AUTH


@pytest.mark.parametrize("text", [text for text in CREDENTIALS if "[" not in text])
def test_c2_words_about_credentials_count_at_the_login_alone(text: str) -> None:
    assert meaning(text, Phase.PERMISSION) is ReplyClass.RETRY


@pytest.mark.parametrize(
    "text",
    [
        "NO authentication failed: Connection lost to authentication server",
        "NO Login failed: temporary failure, please retry later",
        "NO LOGIN failed: server busy",
        "NO Authentication failed (internal error)",
        "NO [UNAVAILABLE] Temporary authentication failure. [imap1:2026-11-28]",
    ],
)
def test_c2_a_login_that_fails_for_a_passing_reason_is_tried_again(text: str) -> None:
    assert meaning(text, Phase.AUTH) is ReplyClass.RETRY
