"""The clients that mailrotate itself uses: smtplib and imap-tools."""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

from imap_tools import MailBoxUnencrypted

from mailrotate.sandbox.server import SandboxInfo


def letter(message_id: str, *headers: str, body: str = "Hello,\r\n.with a dot\r\n") -> bytes:
    lines = ("From: anna@sandbox.example.org", "To: pia@firm.example.com", f"Message-ID: {message_id}")
    return "\r\n".join((*lines, *headers, "", body)).encode()


def send(info: SandboxInfo, recipient: str, *letters: bytes) -> None:
    with smtplib.SMTP(info.smtp.host, info.smtp.port, timeout=30) as server:
        server.login(info.senders[0], info.password)
        for raw in letters:
            server.sendmail(info.senders[0], [recipient], raw)


@contextmanager
def opened(info: SandboxInfo, address: str, password: str | None = None) -> Iterator[MailBoxUnencrypted]:
    with MailBoxUnencrypted(info.imap.host, info.imap.port, timeout=30) as mailbox:
        mailbox.login(address, info.password if password is None else password, initial_folder=None)
        yield mailbox
