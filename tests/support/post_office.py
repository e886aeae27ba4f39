"""Mailboxes and people with real servers on loopback: what the SMTP server takes lies in Dovecot at once."""

import email
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP

import pytest

from mailrotate.core.values.states import Security
from tests.support.dovecot import Dovecot
from tests.support.program import Program
from tests.support.recording_smtp import Received, RecordingSmtp
from tests.support.tls import TlsAuthority


class PostOffice:
    """An SMTP server, and a Dovecot with every inbox, to which it delivers what it accepts.

    Both use TLS, or neither does, which takes less time.
    """

    def __init__(self, dovecot: Dovecot, smtp: RecordingSmtp, security: Security = Security.TLS) -> None:
        self._dovecot = dovecot
        self.smtp = smtp
        self.security = security

    @property
    def imap_server(self) -> str:
        ports = {Security.TLS: self._dovecot.imaps_port, Security.NONE: self._dovecot.imap_port}
        return f"localhost:{ports[self.security]}"

    def add(self, address: str, password: str = "of no account") -> str:
        """A mailbox that can send, be sent to and be read."""
        self._dovecot.add_user(address, password)
        self.smtp.users[address] = password
        return address

    def refuse_imap(self, address: str) -> None:
        """Refuse the password at IMAP alone, until the mailbox is added again."""
        self._dovecot.add_user(address, "another password")

    def add_folder(self, address: str, folder: str) -> None:
        self._dovecot.add_folder(address, folder)

    def connect(self, program: Program, address: str, password: str, *options: str) -> None:
        """Add a mailbox and connect it, as a person with a terminal and a password manager would."""
        self.add(address, password)
        servers = ("--smtp", f"localhost:{self.smtp.port}", "--imap", self.imap_server)
        options = ("--security", self.security, *options)
        program.run("mailbox", "connect", address, "--password-stdin", *servers, *options, input=password)

    def inbox(self, address: str, folder: str = "INBOX") -> list[EmailMessage]:
        return [parsed(raw) for _, raw in self._dovecot.messages(address, folder)]

    def empty(self, address: str) -> None:
        """Delete everything in the INBOX."""
        self._dovecot.empty(address)

    def answer(self, message: EmailMessage, **headers: str) -> None:
        """What the recipient's mail program sends back to the sender."""
        reply = EmailMessage(SMTP)
        reply["From"], reply["To"] = str(message["To"]), str(message["From"])
        reply["Subject"] = f"Re: {message['Subject']}"
        reply["In-Reply-To"] = reply["References"] = str(message["Message-ID"])
        for name, value in headers.items():
            reply[name.replace("_", "-")] = value
        reply.set_content("Thank you.")
        self.deliver(reply)

    def copy(self, message: EmailMessage, address: str) -> None:
        """Deliver a copy to an address that the message does not name."""
        self._dovecot.deliver(address, bytes(message))

    def deliver(self, message: EmailMessage) -> None:
        self._dovecot.deliver(message["To"].addresses[0].addr_spec, bytes(message))


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return message


def sent_by(received: list[Received]) -> dict[str, list[str]]:
    """Whom each login wrote to."""
    found: dict[str, list[str]] = {}
    for one in received:
        found.setdefault(one.login, []).extend(one.recipients)
    return found


@pytest.fixture(scope="session")
def post_office(dovecot: Dovecot, authority: TlsAuthority) -> Iterator[PostOffice]:
    with RecordingSmtp({}, tls=authority.server_context(), forward=dovecot.deliver) as smtp:
        yield PostOffice(dovecot, smtp)
