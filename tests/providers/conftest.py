"""Accounts on the tests' servers, and the few words in which the tests speak of them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from mailrotate.core.values.credential import Password
from mailrotate.core.values.mail import (
    Endpoint,
    Envelope,
    FateUnknown,
    MailAccount,
    MailTrouble,
    ServerReply,
    Timeouts,
)
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Security
from mailrotate.providers import smtp
from tests.support.dovecot import Dovecot
from tests.support.recording_smtp import RecordingSmtp
from tests.support.tls import TlsAuthority

PASSWORD = 'correct "horse" \\ battery'
# Long enough for a loaded machine to answer; nothing waits for them to end.
TIMEOUTS = Timeouts(connect=20, command=20, dot=20)
# For servers that never answer.
IMPATIENT = Timeouts(connect=0.3, command=0.3, dot=0.3)
LETTER = b"From: anna@example.org\r\nTo: pia@example.com\r\nSubject: x\r\n\r\nHello\r\n"
BIG = LETTER + b"a line of text to fill the letter\r\n" * 5000
_numbers = count(1)


def local(port: int, security: Security = Security.NONE) -> Endpoint:
    return Endpoint("localhost", port, security)


def account_at(smtp_port: int, security: Security = Security.NONE, **changes: Any) -> MailAccount:
    """For a test of SMTP alone: nobody listens on its IMAP port."""
    account = MailAccount(
        address="anna@example.org",
        provider="imap",
        smtp=local(smtp_port, security),
        imap=local(1),
        username="anna@example.org",
        credential=Password(Secret(PASSWORD)),
    )
    return replace(account, **changes)


@pytest.fixture(scope="session")
def recording(authority: TlsAuthority) -> Iterator[RecordingSmtp]:
    """Takes mail of every account that `account` makes."""
    with RecordingSmtp({}, security=Security.TLS, tls=authority.server_context()) as server:
        yield server


@pytest.fixture
def account(dovecot: Dovecot, recording: RecordingSmtp) -> MailAccount:
    """A new mailbox at Dovecot, whose SMTP server is `recording`; both over TLS."""
    address = f"sender{next(_numbers)}@example.org"
    dovecot.add_user(address, PASSWORD)
    recording.users[address] = PASSWORD
    return MailAccount(
        address=address,
        provider="imap",
        smtp=local(recording.port, Security.TLS),
        imap=local(dovecot.imaps_port, Security.TLS),
        username=address,
        credential=Password(Secret(PASSWORD)),
    )


def envelope(raw: bytes = LETTER, recipient: str = "pia@example.com") -> Envelope:
    return Envelope("anna@example.org", (recipient,), raw)


def send(session: smtp.SmtpSession, letter: Envelope) -> ServerReply:
    session.stage(letter)
    return session.commit()


def refusal(attempt: Callable[[], object]) -> ServerReply:
    with pytest.raises(MailTrouble) as caught:
        attempt()
    assert not isinstance(caught.value, FateUnknown)
    return caught.value.reply
