"""The commands and answers of one SMTP connection, read strictly and within a time limit (RFC 5321).

A command is sent only after the previous one was answered, except in a group where the server offers that
(RFC 2920). Answers are counted to commands: none may be taken for the answer to a different command.
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Sequence

from mailrotate.core.values.clock import monotonic_seconds
from mailrotate.core.values.mail import Endpoint
from mailrotate.providers import wire

_REPLY_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?")
# RFC 5321 4.5.3.1.5 allows 512 octets a line; real servers exceed it, but not by this much.
_LONGEST_REPLY = 64 * 1024
_BLOCK = 64 * 1024


class Broken(Exception):
    """The connection is no longer usable; the message says why."""


class OutOfStep(Broken):
    """The server answers more often than it was asked: nothing it said last can be trusted."""


class Silence(Broken):
    """The server did not answer in time; the connection is open."""


class Conversation(smtplib.SMTP):
    """smtplib's commands over our own connection, with replies read strictly and within a time limit.

    smtplib's own reader restarts its timeout with each piece of a reply, and accepts nonsense as a code.
    """

    def __init__(self, connection: socket.socket, endpoint: Endpoint) -> None:
        # A name is given because smtplib would ask the DNS for ours; a literal is right where there is
        # none that is known to others (RFC 5321 4.1.4).
        super().__init__(local_hostname=_address_literal(connection))
        self.sock = connection
        self.reply_within = 0.0
        self._host = endpoint.host
        self._unread = bytearray()

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply. Raises Broken for silence, the end of the connection and nonsense."""
        deadline = monotonic_seconds() + self.reply_within
        lines: list[bytes] = []
        while True:
            raw = self._read_line(deadline)
            line = _REPLY_LINE.fullmatch(raw)
            if line is None:
                raise Broken(f"not an SMTP reply: {raw[:100].decode(errors='replace')!r}")
            code, more, text = line.groups()
            lines.append(text or b"")
            if sum(map(len, lines)) > _LONGEST_REPLY or len(lines) > 1000:
                raise Broken("a reply without end")
            if more != b"-":
                return int(code), b"\n".join(lines)

    def putcmd(self, cmd: str, args: str = "") -> None:
        """Send a command. Raises Broken if the server has meanwhile closed the connection or spoken again."""
        self._expect_silence()
        super().putcmd(cmd, args)

    def put_together(self, commands: Sequence[str]) -> None:
        """Send commands in one write, before the first is answered (RFC 2920). Raises Broken like `putcmd`.

        They must be few: no answer is read while they are written.
        """
        self._expect_silence()
        self.send("".join(f"{command}\r\n" for command in commands))

    def _expect_silence(self) -> None:
        if self.spoken():
            words = bytes(self._unread).partition(b"\n")[0].decode("utf-8", "replace").strip()
            # A server that ends the connection may say so at any time (RFC 5321 3.8).
            if not words or words.startswith("421"):
                raise Broken(f"the server closed the connection{words and ': '}{words}")
            raise OutOfStep(f"the server gave an answer to no command: {words}")

    def send(self, s: str | bytes | bytearray | memoryview) -> None:  # type: ignore[override]  # typeshed's union names private types
        """Send all bytes. Raises Broken if the network did not accept all of them."""
        data = s.encode(self.command_encoding) if isinstance(s, str) else memoryview(s)
        assert self.sock is not None
        try:
            for start in range(0, len(data), _BLOCK):
                self.sock.settimeout(self.reply_within)
                self.sock.sendall(data[start : start + _BLOCK])
        except OSError as error:
            raise Broken(f"the connection broke: {wire.said(error)}") from None

    def secure(self) -> ssl.SSLSocket:
        """Start TLS on this connection and forget what the server said before (RFC 3207 4.2)."""
        assert self.sock is not None
        if self._unread or self.spoken():
            # An attacker could have injected it, to be read as the answer of the secured server.
            raise Broken("the server spoke between STARTTLS and TLS")
        self.sock.settimeout(self.reply_within)
        self.sock = secured = wire.start_tls(self.sock, self._host)
        self.esmtp_features = {}
        return secured

    def spoken(self) -> bool:
        """Whether the server sent something unasked or closed the connection; does not wait."""
        assert self.sock is not None
        if self._unread:
            return True
        self.sock.settimeout(0)
        try:
            self._unread += self.sock.recv(_LONGEST_REPLY)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            pass
        return True

    def _read_line(self, deadline: float) -> bytes:
        while (end := self._unread.find(b"\n")) < 0:
            if len(self._unread) > _LONGEST_REPLY:
                raise Broken("a line without end")
            self._unread += self._receive(deadline)
        line = bytes(self._unread[:end]).rstrip(b"\r")
        del self._unread[: end + 1]
        return line

    def _receive(self, deadline: float) -> bytes:
        assert self.sock is not None
        rest = deadline - monotonic_seconds()
        if rest <= 0:
            raise Silence(f"the server did not answer within {self.reply_within:g} s")
        self.sock.settimeout(rest)
        try:
            received = self.sock.recv(_LONGEST_REPLY)
        except TimeoutError:
            raise Silence(f"the server did not answer within {self.reply_within:g} s") from None
        except OSError as error:
            raise Broken(f"the connection broke: {wire.said(error)}") from None
        if not received:
            raise Broken("the server closed the connection")
        return received


def _address_literal(connection: socket.socket) -> str:
    address = str(connection.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
