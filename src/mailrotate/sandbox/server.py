"""A mail server on loopback with ready-made mailboxes, for trying everything without an account."""

import asyncio
import errno
import ipaddress
import os
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self
from weakref import WeakSet

from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, Busy
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import Endpoint
from mailrotate.core.values.states import Security

DEFAULT_DOMAIN = "sandbox.example.org"
_SENDERS = ("anna", "ben", "clara")


@dataclass(frozen=True)
class SandboxInfo:
    """Where a sandbox listens and how one logs in; `dataclasses.asdict` of it is JSON.

    The user name is the address. The password opens `senders` and every mailbox that has had mail.
    """

    smtp: Endpoint
    imap: Endpoint
    senders: tuple[str, ...]
    password: str = field(repr=False)


class Sandbox:
    """An SMTP and an IMAP server in a thread of their own, with all mail in memory.

    Mail for any address at any domain is accepted and delivered; a missing mailbox is created.
    Port 0 takes a free one. Without a password each start makes its own.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        smtp_port: int = 0,
        imap_port: int = 0,
        password: str | None = None,
        domain: str = DEFAULT_DOMAIN,
    ) -> None:
        """Raises BadInput for a host that is not on loopback (`sandbox.not_loopback`) or a bad domain."""
        self._host = _loopback(host)
        self._ports = (smtp_port, imap_port)
        self._password = password
        self._senders = tuple(normalise_address(f"{name}@{domain}") for name in _SENDERS)
        self._info: SandboxInfo | None = None

    @property
    def info(self) -> SandboxInfo:
        if self._info is None:
            raise RuntimeError("the sandbox is not running")
        return self._info

    def start(self) -> SandboxInfo:
        """When this returns, clients can connect.

        Raises BadInput `sandbox.missing_extra`, Busy `sandbox.port_taken`.
        """
        if self._info is not None:
            raise RuntimeError("the sandbox is running already")
        _require_extra()
        smtp = _listen(self._host, self._ports[0])
        try:
            imap = _listen(self._host, self._ports[1])
        except BaseException:
            smtp.close()
            raise
        self._info = SandboxInfo(
            smtp=Endpoint(self._host, smtp.getsockname()[1], Security.NONE),
            imap=Endpoint(self._host, imap.getsockname()[1], Security.NONE),
            senders=self._senders,
            password=self._password or secrets.token_hex(10),
        )
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = Thread(target=self._run, args=(smtp, imap, self._info), name="sandbox", daemon=True)
        self._thread.start()
        return self._info

    def stop(self) -> None:
        """Close both servers and every connection; the mail is gone. Stopping twice is allowed."""
        if self._info is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._info = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def serve_until(self, *signals: signal.Signals, ready: Callable[[], None] = lambda: None) -> None:
        """Wait in the foreground for one of the signals, then stop; for the main thread only.

        `ready` is called once the signal handlers are installed.
        """
        # A SimpleQueue, because a signal handler may interrupt its own `put` and `get` anywhere.
        arrived: SimpleQueue[int] = SimpleQueue()
        before = {number: signal.signal(number, lambda came, _: arrived.put(came)) for number in signals}
        try:
            ready()
            arrived.get()
            self.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self, smtp: socket.socket, imap: socket.socket, info: SandboxInfo) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(smtp, imap, info))

    async def _serve(self, smtp: socket.socket, imap: socket.socket, info: SandboxInfo) -> None:
        # Here, because both need the extra.
        from mailrotate.sandbox.imap_server import Mailboxes, serve_imap
        from mailrotate.sandbox.smtp_server import serve_smtp

        mailboxes = Mailboxes(info.password)
        for address in info.senders:
            await mailboxes.create(address)
        hostname = info.senders[0].rpartition("@")[2]
        connections: WeakSet[asyncio.WriteTransport] = WeakSet()
        servers = (
            await serve_imap(imap, mailboxes, connections),
            await serve_smtp(smtp, mailboxes, connections, hostname),
        )
        await self._stopping.wait()
        # Stop accepting first: closing a server while a connection is between accept and its first step drops
        # that connection without closing it (CPython 3.11, `Server._attach`).
        for listening in (smtp, imap):
            self._loop.remove_reader(listening)
        await asyncio.sleep(0)
        for server in servers:
            server.close()
        await _hang_up(connections)


async def _hang_up(connections: WeakSet[asyncio.WriteTransport]) -> None:
    """Abort all connections until no other task is left; one may still be registering its connection."""
    while conversations := asyncio.all_tasks() - {asyncio.current_task()}:
        # A task that has just been made enters its connection in its first step.
        await asyncio.sleep(0)
        for connection in list(connections):
            # Closing instead would wait for a client that does not read.
            connection.abort()
        for conversation in conversations:
            conversation.cancel()
        await asyncio.wait(conversations)


def _loopback(host: str) -> str:
    """Check that the host is on loopback: passwords travel in clear here (I2)."""
    try:
        if ipaddress.IPv4Address(host).is_loopback:
            return host
    except ipaddress.AddressValueError:
        pass
    raise BadInput(
        "sandbox.not_loopback",
        f"the sandbox listens only on this machine, and '{host}' is not an IPv4 loopback address",
        Command("sandbox"),
    )


def _require_extra() -> None:
    try:
        import mailrotate.sandbox.imap_server
        import mailrotate.sandbox.smtp_server  # noqa: F401 - imported to see whether it can be
    except ModuleNotFoundError as missing:
        raise BadInput(
            "sandbox.missing_extra",
            f"the sandbox needs the package '{missing.name}', which is not installed",
            "pip install 'mailrotate[sandbox]'",
        ) from None


def _listen(host: str, port: int) -> socket.socket:
    try:
        listening = socket.create_server((host, port))
        # Whoever is accepted inherits it; asyncio does so only for sockets that name their protocol. Else
        # each answer of two lines waits 40 ms for an acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as trouble:
        if trouble.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise Busy(
            "sandbox.port_taken",
            f"cannot listen on {host}:{port}: {os.strerror(trouble.errno)}",
            Command("sandbox", "--smtp-port", "0", "--imap-port", "0"),
        ) from None
