"""Accounts on the tests' servers."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from mailrotate.core.values.mail import Endpoint, MailAccount, Timeouts
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Security
from tests.support.dovecot import Dovecot
from tests.support.recording_smtp import RecordingSmtp
from tests.support.tls import TlsAuthority

PASSWORD = 'correct "horse" \\ battery'
# Long enough for a loaded machine to answer; nothing waits for them to end.
TIMEOUTS = Timeouts(connect=20, command=20, dot=20)
# For servers that never answer.
IMPATIENT = Timeouts(connect=0.3, command=0.3, dot=0.3)
_numbers = count(1)


def local(port: int, security: Security = Security.NONE) -> Endpoint:
    return Endpoint("localhost", port, security)


def account_at(smtp_port: int, security: Security = Security.NONE, **changes: object) -> MailAccount:
    """For a test of SMTP alone: nobody listens on its IMAP port."""
    account = MailAccount(
        address="anna@example.org",
        provider="imap",
        smtp=local(smtp_port, security),
        imap=local(1),
        username="anna@example.org",
        password=Secret(PASSWORD),
    )
    return replace(account, **changes)  # type: ignore[arg-type]  # each test names fields of MailAccount


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
        password=Secret(PASSWORD),
    )
