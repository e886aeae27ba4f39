"""The sandbox's SMTP server: aiosmtpd, which takes mail for any address once the sender has logged in."""

import asyncio
import logging
import socket
from collections.abc import MutableSet

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mailrotate.sandbox.imap_server import Mailboxes


class _Reception:
    """What aiosmtpd asks about each message."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword
    ) -> AuthResult:
        login, password = (text.decode(errors="replace") for text in given)
        # Not handled: aiosmtpd itself answers 535 to a refusal.
        return AuthResult(success=self._mailboxes.admits(login, password), handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        # Asked here: aiosmtpd's own `auth_required` warns of every connection that has no TLS.
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender accepted"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert envelope.original_content is not None
        for address in {address.lower() for address in envelope.rcpt_tos}:
            await self._mailboxes.deliver(address, envelope.original_content)
        return "250 2.0.0 Delivered"


async def serve_smtp(
    listening: socket.socket,
    mailboxes: Mailboxes,
    connections: MutableSet[asyncio.WriteTransport],
    hostname: str,
) -> asyncio.Server:
    """Answer on the socket; each connection is added to `connections`."""
    # At each login aiosmtpd warns about an attribute of its own, and at DEBUG it writes whole mails down.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    loop = asyncio.get_running_loop()
    reception = _Reception(mailboxes)

    class Conversation(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.WriteTransport)
            connections.add(transport)
            super().connection_made(transport)

    def converse() -> SMTP:
        return Conversation(
            reception,
            hostname=hostname,
            ident="mailrotate sandbox",
            authenticator=reception.authenticate,
            auth_require_tls=False,
            loop=loop,
        )

    return await loop.create_server(converse, sock=listening)
