"""A well-behaved SMTP server on loopback that takes mail after a login and remembers it (aiosmtpd)."""

import asyncio
import logging
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword, Session
from aiosmtpd.smtp import Envelope as ReceivedEnvelope

from mailrotate.core.values.states import Security

# It warns at each login about an attribute of its own.
logging.getLogger("mail.log").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Received:
    """One message as the server took it."""

    login: str
    sender: str
    recipients: tuple[str, ...]
    raw: bytes = field(repr=False)


class RecordingSmtp:
    """Serves in a thread of its own from `start` to `stop`; also a context manager.

    `users` are passwords by login; more may be added at any time. `forward` is called for each recipient
    with the message before the server says 250, to deliver it to a mailbox.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        security: Security = Security.TLS,
        tls: ssl.SSLContext | None = None,
        forward: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self.received: list[Received] = []
        self.connection_count = 0
        self.most_connections_by_login: dict[str, int] = {}
        self.users = dict(users)
        self._security, self._tls, self._forward = security, tls, forward
        self._open_by_login: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._transports: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        implicit = self._tls if self._security is Security.TLS else None
        self._thread.start()
        made = asyncio.run_coroutine_threadsafe(
            self._loop.create_server(self._conversation, sock=self._socket, ssl=implicit), self._loop
        )
        self._server = made.result(10)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for transport in list(self._transports):
                transport.abort()  # type: ignore[attr-defined]  # every transport of a stream has it
            for other in others:
                other.cancel()
            await asyncio.wait(others)
        # Transports close in a later turn of the loop.
        for _ in range(3):
            await asyncio.sleep(0)

    def _conversation(self) -> SMTP:
        recorder = self

        class Conversation(SMTP):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                recorder._transports.add(transport)
                super().connection_made(transport)

            def connection_lost(self, error: Exception | None) -> None:
                recorder._logged_out(self.session)
                super().connection_lost(error)

        self.connection_count += 1
        starttls = self._tls if self._security is Security.STARTTLS else None
        return Conversation(
            self,
            hostname="mail.example.org",
            authenticator=self._authenticate,
            tls_context=starttls,
            require_starttls=starttls is not None,
            # It does not see TLS that was there from the start.
            auth_require_tls=self._security is Security.STARTTLS,
            loop=self._loop,
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: ReceivedEnvelope, mechanism: str, given: LoginPassword
    ) -> AuthResult:
        login, password = given.login.decode(), given.password.decode()
        right = self.users.get(login) == password
        if right:
            session.login_name = login  # type: ignore[attr-defined]  # our own note on the session
            open_now = self._open_by_login[login] = self._open_by_login.get(login, 0) + 1
            self.most_connections_by_login[login] = max(
                open_now, self.most_connections_by_login.get(login, 0)
            )
        return AuthResult(success=right, handled=False)

    def _logged_out(self, session: Session | None) -> None:
        login = getattr(session, "login_name", None)
        if login is not None:
            self._open_by_login[login] -= 1

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: ReceivedEnvelope, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender accepted"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: ReceivedEnvelope) -> str:
        assert envelope.original_content is not None
        assert envelope.mail_from is not None
        raw = envelope.original_content
        self.received.append(
            Received(
                session.login_name,  # type: ignore[attr-defined]  # our own note on the session
                envelope.mail_from,
                tuple(envelope.rcpt_tos),
                raw,
            )
        )
        for recipient in envelope.rcpt_tos if self._forward is not None else ():
            assert self._forward is not None
            await asyncio.get_running_loop().run_in_executor(None, self._forward, recipient, raw)
        return f"250 2.0.0 Taken as number {len(self.received)}"
