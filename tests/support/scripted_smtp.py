"""An SMTP server on loopback that misbehaves where its script says so, written over bare sockets.

    ScriptedSmtp({"rcpt": answers("550 5.1.1 nobody here")})
    ScriptedSmtp({"dot": [hangs(), answers("250 2.0.0 taken")]})

Phases: connect, starttls, ehlo, auth, login (AUTH LOGIN, where it differs from auth), mail, rcpt, data,
content (in the middle of it), dot, rset, quit.
A move is for every time, a list for one time after the other; then, and elsewhere, it behaves.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from types import TracebackType
from typing import Literal, Self

from mailrotate.core.values.states import Security

_USUAL = {
    "connect": "220 mail.example.org ESMTP",
    "starttls": "220 2.0.0 go ahead",
    "auth": "235 2.7.0 welcome",
    "login": "235 2.7.0 welcome",
    "mail": "250 2.1.0 sender taken",
    "rcpt": "250 2.1.5 recipient taken",
    "data": "354 go on",
    "dot": "250 2.0.0 taken",
    "rset": "250 2.0.0 forgotten",
    "quit": "221 2.0.0 bye",
}


@dataclass(frozen=True)
class Move:
    """What is said (None: the usual) and what is done after it."""

    reply: str | None = None
    then: Literal["go_on", "close", "reset", "hang"] = "go_on"
    silent: bool = False
    dripping: bool = False


def answers(reply: str) -> Move:
    return Move(reply)


def answers_and_closes(reply: str) -> Move:
    return Move(reply, "close")


def answers_and_resets(reply: str) -> Move:
    return Move(reply, "reset")


def hangs() -> Move:
    """Says nothing and keeps the connection open."""
    return Move(then="hang", silent=True)


def closes() -> Move:
    return Move(then="close", silent=True)


def resets() -> Move:
    """RST instead of an orderly end."""
    return Move(then="reset", silent=True)


def drips(reply: str) -> Move:
    """A byte now and then, each before any time limit for a single read, and never the last one."""
    return Move(reply, "hang", dripping=True)


class Delivery(StrEnum):
    """How answers travel: each in a packet of its own, those to a group in one, or every byte in its own."""

    EACH = "each"
    TOGETHER = "together"
    BYTES = "bytes"


class _Over(Exception):
    """This connection has ended."""


class ScriptedSmtp:
    """Serves each connection in a thread, from `start` to `stop`; also a context manager.

    `commands` are the lines of all connections, `dots` the contents whose dot arrived whatever was said
    to it, `taken` those that were answered by 250, and `cut` those that ended without a dot. `heard` are the
    pieces in which everything came. `before_reply(phase)` is called before each answer.
    """

    def __init__(
        self,
        script: Mapping[str, Move | Sequence[Move]] | None = None,
        *,
        security: Security = Security.NONE,
        tls: ssl.SSLContext | None = None,
        features: Sequence[str] = ("AUTH PLAIN LOGIN", "8BITMIME"),
        features_before_tls: Sequence[str] = ("STARTTLS",),
        delivery: Delivery = Delivery.EACH,
        reads_at_once: int = 65536,
        before_reply: Callable[[str], None] | None = None,
    ) -> None:
        self.commands: list[str] = []
        self.dots: list[bytes] = []
        self.taken: list[bytes] = []
        self.cut: list[bytes] = []
        self.heard: list[bytes] = []
        self.connection_count = 0
        self._script: dict[str, Iterator[Move]]
        self._tls = tls
        self.follow(script or {})
        self._security, self._features = security, features
        self._features_before_tls = features_before_tls
        self._delivery, self._reads_at_once = delivery, reads_at_once
        self.before_reply = before_reply
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        # Of each accepted connection: else an answer waits 40 ms for the acknowledgement of the one before.
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._listening.getsockname()[1]

    def follow(self, script: Mapping[str, Move | Sequence[Move]], tls: ssl.SSLContext | None = None) -> None:
        """From now on behave by this script, and show another certificate if one is given."""
        self._script = {
            phase: repeat(moves) if isinstance(moves, Move) else iter(moves)
            for phase, moves in script.items()
        }
        self._tls = tls or self._tls

    def start(self) -> None:
        self._spawn(self._accept)

    def stop(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connection_count += 1
            self._spawn(self._converse, connection)

    def _converse(self, connection: socket.socket) -> None:
        conversation = _Conversation(self, connection)
        with contextlib.suppress(_Over, OSError):
            conversation.run()
        conversation.end()


class _Conversation:
    """One connection of a ScriptedSmtp, which it may look into."""

    def __init__(self, server: ScriptedSmtp, connection: socket.socket) -> None:
        self._server = server
        self._socket = connection
        self._unread = bytearray()
        self._unsent = bytearray()
        connection.settimeout(0.05)

    def run(self) -> None:
        if self._server._security is Security.TLS:
            self._secure()
        self._reply("connect")
        while True:
            line = self._hear()
            verb = line.partition(" ")[0].lower()
            self._obey(verb, line)

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _obey(self, verb: str, line: str) -> None:
        if verb == "ehlo":
            self._reply("ehlo", self._greeting())
        elif verb == "auth" and line.upper() == "AUTH LOGIN":
            for question in ("334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"):
                self._send(question)
                self._hear()
            self._reply("login" if "login" in self._server._script else "auth")
        elif verb == "auth":
            if self._reply("auth").startswith("334"):
                self._hear()
                self._reply("auth")
        elif verb == "starttls":
            if self._reply("starttls").startswith("220"):
                self._secure()
        elif verb == "data":
            if self._reply("data").startswith("354"):
                self._content()
        elif verb in _USUAL:
            self._reply(verb)
            if verb == "quit":
                self._flush()
                raise _Over
        else:
            self._send("500 5.5.1 what?")

    def _greeting(self) -> str:
        secured = isinstance(self._socket, ssl.SSLSocket)
        features = list(self._server._features)
        if self._server._security is Security.STARTTLS and not secured:
            features = list(self._server._features_before_tls)
        lines = ["mail.example.org", *features]
        return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

    def _content(self) -> None:
        content = bytearray()
        try:
            while (line := self._line()) != b".\r\n":
                content += line
                if "content" in self._server._script and len(content) > 1000:
                    self._reply("content", "")
        except (_Over, OSError):
            self._server.cut.append(bytes(content))
            raise
        self._server.dots.append(bytes(content))
        if self._reply("dot").startswith("250"):
            self._server.taken.append(bytes(content))

    def _reply(self, phase: str, usual: str | None = None) -> str:
        move = next(self._server._script.get(phase, iter(())), Move())
        reply = move.reply or (_USUAL[phase] if usual is None else usual)
        if self._server.before_reply is not None:
            self._server.before_reply(phase)
        if move.dripping:
            self._flush()
            self._drip(reply)
        elif reply and not move.silent:
            self._send(reply)
        if move.then == "go_on":
            return "" if move.silent else reply
        self._flush()
        if phase == "dot" and reply.startswith("250") and not move.silent:
            self._server.taken.append(self._server.dots[-1])
        if move.then == "hang":
            self._server._stopping.wait()
        elif move.then == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Over

    def _drip(self, reply: str) -> None:
        for letter in (reply + "x" * 10_000).encode():
            if self._server._stopping.wait(0.02):
                raise _Over
            self._socket.sendall(bytes([letter]))

    def _send(self, reply: str) -> None:
        self._unsent += f"{reply}\r\n".encode()
        if self._server._delivery is not Delivery.TOGETHER:
            self._flush()

    def _flush(self) -> None:
        step = 1 if self._server._delivery is Delivery.BYTES else max(1, len(self._unsent))
        for start in range(0, len(self._unsent), step):
            self._socket.sendall(self._unsent[start : start + step])
        self._unsent.clear()

    def _hear(self) -> str:
        line = self._line().decode("latin-1").rstrip("\r\n")
        self._server.commands.append(line)
        return line

    def _line(self) -> bytes:
        """The next line; looks up now and then whether the server is to stop."""
        while (end := self._unread.find(b"\n")) < 0:
            self._flush()
            try:
                more = self._socket.recv(self._server._reads_at_once)
            except TimeoutError:
                if self._server._stopping.is_set():
                    raise _Over from None
                continue
            if not more:
                raise _Over
            self._server.heard.append(more)
            self._unread += more
        line = bytes(self._unread[: end + 1])
        del self._unread[: end + 1]
        return line

    def _secure(self) -> None:
        assert self._server._tls is not None
        self._flush()
        self._socket.settimeout(5)
        self._socket = self._server._tls.wrap_socket(self._socket, server_side=True)
        self._socket.settimeout(0.05)
