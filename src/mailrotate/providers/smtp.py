"""An SMTP submission session, driven command by command so that each failure knows its phase (RFC 5321).

It sends a command only after the previous one was answered: a server may not support pipelining, and an
answer must never be taken for the answer to a different command.
"""

import base64
import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from mailrotate.core.values.clock import monotonic_seconds
from mailrotate.core.values.mail import (
    Endpoint,
    Envelope,
    FateUnknown,
    MailAccount,
    MailTrouble,
    ServerReply,
    Timeouts,
)
from mailrotate.core.values.states import Phase, Security
from mailrotate.providers import wire

# RFC 3463 section 2: class.subject.detail, at the start of the text.
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?=\s|$)")
_REPLY_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?")
# Excludes characters that could end the path in angle brackets, or the line.
_WIRE_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>]+@[^\x00-\x20\x7f<>@]+")
# RFC 5321 4.5.3.1.5 allows 512 octets a line; real servers exceed it, but not by this much.
_LONGEST_REPLY = 64 * 1024
_BLOCK = 64 * 1024
# Fits with the dot into one TLS record (16 kB), which arrives whole or not at all.
_LAST_CHUNK = 8 * 1024
_FAREWELL_SECONDS = 5.0


class _Broken(Exception):
    """The connection is no longer usable; the message says why."""


class _Conversation(smtplib.SMTP):
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
        """Read one reply. Raises _Broken for silence, the end of the connection and nonsense."""
        deadline = monotonic_seconds() + self.reply_within
        lines: list[bytes] = []
        while True:
            raw = self._read_line(deadline)
            line = _REPLY_LINE.fullmatch(raw)
            if line is None:
                raise _Broken(f"not an SMTP reply: {raw[:100].decode(errors='replace')!r}")
            code, more, text = line.groups()
            lines.append(text or b"")
            if sum(map(len, lines)) > _LONGEST_REPLY or len(lines) > 1000:
                raise _Broken("a reply without end")
            if more != b"-":
                return int(code), b"\n".join(lines)

    def send(self, s: str | bytes | bytearray | memoryview) -> None:  # type: ignore[override]  # typeshed's union names private types
        """Send all bytes. Raises _Broken if the network did not accept all of them."""
        data = s.encode(self.command_encoding) if isinstance(s, str) else memoryview(s)
        assert self.sock is not None
        try:
            for start in range(0, len(data), _BLOCK):
                self.sock.settimeout(self.reply_within)
                self.sock.sendall(data[start : start + _BLOCK])
        except OSError as error:
            raise _Broken(f"the connection broke: {wire.said(error)}") from None

    def secure(self) -> ssl.SSLSocket:
        """Start TLS on this connection and forget what the server said before (RFC 3207 4.2)."""
        assert self.sock is not None
        if self._unread or self.spoken():
            # An attacker could have injected it, to be read as the answer of the secured server.
            raise _Broken("the server spoke between STARTTLS and TLS")
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
                raise _Broken("a line without end")
            self._unread += self._receive(deadline)
        line = bytes(self._unread[:end]).rstrip(b"\r")
        del self._unread[: end + 1]
        return line

    def _receive(self, deadline: float) -> bytes:
        assert self.sock is not None
        rest = deadline - monotonic_seconds()
        if rest <= 0:
            raise _Broken(f"the server did not answer within {self.reply_within:g} s")
        self.sock.settimeout(rest)
        try:
            received = self.sock.recv(_LONGEST_REPLY)
        except TimeoutError:
            raise _Broken(f"the server did not answer within {self.reply_within:g} s") from None
        except OSError as error:
            raise _Broken(f"the connection broke: {wire.said(error)}") from None
        if not received:
            raise _Broken("the server closed the connection")
        return received


class SmtpSession:
    """A SendSession (`core.ports`) over one connection; `open_session` opens it."""

    def __init__(self, talk: _Conversation, timeouts: Timeouts, redact: Callable[[str], str]) -> None:
        self._talk = talk
        self._timeouts = timeouts
        self._redact = redact
        self._last_chunk: bytes | None = None
        self._alive = True

    def stage(self, envelope: Envelope) -> None:
        """See SendSession. Raises ValueError for content or addresses that must not be sent."""
        content = _wire_content(envelope.raw)
        for address in (envelope.sender, *envelope.recipients):
            if not _WIRE_ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is not an address for an envelope")
        self._talk.reply_within = self._timeouts.command
        options = self._mail_options(envelope, len(content))
        # Not smtplib's `mail` and `rcpt`: they extract anything that looks like an address.
        command = " ".join((f"MAIL FROM:<{envelope.sender}>", *options))
        self._say(Phase.MAIL, partial(self._talk.docmd, command))
        for recipient in envelope.recipients:
            self._say(Phase.RCPT, partial(self._talk.docmd, f"RCPT TO:<{recipient}>"))
        self._say(Phase.DATA, lambda: self._talk.docmd("DATA"), expected=(354,))
        split = max(0, len(content) - _LAST_CHUNK)
        self._last_chunk = content[split:]
        try:
            self._talk.send(content[:split])
        except _Broken as broken:
            raise self._last_words(broken) from None

    def commit(self) -> ServerReply:
        """See SendSession."""
        if self._last_chunk is None:
            raise ValueError("nothing is staged")
        ending, self._last_chunk = self._last_chunk + b".\r\n", None
        try:
            if self._talk.spoken():
                # The server gave up before the dot, so it has certainly not accepted the message.
                raise _Broken("the server ended the transfer")
            # The dot is in the last bytes: if this fails, the server has not seen it.
            self._talk.send(ending)
        except _Broken as broken:
            raise self._last_words(broken) from None
        self._talk.reply_within = self._timeouts.dot
        try:
            reply = self._reply(Phase.DOT, self._talk.getreply())
        except _Broken as broken:
            self._hang_up()
            raise FateUnknown(self._own_words(Phase.DOT, str(broken))) from None
        assert reply.code is not None
        if reply.code >= 400:
            raise self._refused(reply)
        if reply.code >= 300:
            self._hang_up()
            raise FateUnknown(ServerReply(Phase.DOT, None, None, f"not an answer: {reply.code} {reply.text}"))
        return reply

    def abandon(self) -> None:
        """See SendSession."""
        self._last_chunk = None
        self._hang_up()

    @property
    def usable(self) -> bool:
        """See SendSession. Notices a server that has closed the idle connection, or announces it."""
        if self._alive and self._last_chunk is None and self._talk.spoken():
            self._hang_up()
        return self._alive and self._last_chunk is None

    def close(self) -> None:
        """See SendSession."""
        if self._alive and self._last_chunk is None:
            self._talk.reply_within = min(_FAREWELL_SECONDS, self._timeouts.command)
            with suppress(_Broken):
                self._talk.docmd("QUIT")
        self._hang_up()

    def greet(self) -> str:
        """Send EHLO; return the server's own name, without its list of extensions."""
        reply = self._say(Phase.EHLO, self._talk.ehlo, expected=(250,))
        return reply.text.partition(" ")[0]

    def hear_greeting(self) -> str:
        return self._say(Phase.CONNECT, self._talk.getreply, expected=(220,)).text

    def start_tls(self) -> str:
        """Send STARTTLS, then EHLO again: extensions announced before TLS do not count."""
        if not self._talk.has_extn("starttls"):
            # Or an attacker on the path removed STARTTLS from the answer.
            raise self._impossible(Phase.TLS, "the server does not offer STARTTLS")
        self._say(Phase.TLS, lambda: self._talk.docmd("STARTTLS"), expected=(220,))
        try:
            return wire.tls_words(self._talk.secure())
        except _Broken as broken:
            raise self._impossible(Phase.TLS, str(broken)) from None

    def log_in(self, account: MailAccount) -> str:
        """Log in with AUTH PLAIN or LOGIN (RFC 4954); only 235 is a login.

        A relay on this machine may offer no login, as Postfix does; any other server must.
        """
        offered = self._talk.esmtp_features.get("auth", "").upper().split()
        if not offered and account.smtp.security is Security.NONE:
            return "the server on this machine asks for no login"
        password = wire.password_of(account).encode()
        if "PLAIN" in offered:
            login = b"\0" + account.username.encode() + b"\0" + password
            lines = [f"AUTH PLAIN {base64.b64encode(login).decode()}"]
        elif "LOGIN" in offered:
            parts = (account.username.encode(), password)
            lines = ["AUTH LOGIN", *(base64.b64encode(part).decode() for part in parts)]
        else:
            what = f"only {' '.join(offered)}" if offered else "none"
            raise self._impossible(
                Phase.AUTH, f"the server must offer the login PLAIN or LOGIN, but offers {what}"
            )
        for line in lines[:-1]:
            self._say(Phase.AUTH, partial(self._talk.docmd, line), expected=(334,))
        return self._say(Phase.AUTH, lambda: self._talk.docmd(lines[-1]), expected=(235,)).text

    def _mail_options(self, envelope: Envelope, size: int) -> list[str]:
        """Return the parameters of MAIL; refuse a message that exceeds what the server announced."""
        options = []
        if self._talk.has_extn("size"):
            limit = self._talk.esmtp_features["size"]
            # Zero means no fixed limit (RFC 1870 4).
            if limit.isdecimal() and 0 < int(limit) < size:
                text = f"the message has {size} bytes; the server takes at most {limit}"
                raise MailTrouble(ServerReply(Phase.DATA, None, "5.3.4", text))
            options.append(f"SIZE={size}")
        if not all(address.isascii() for address in (envelope.sender, *envelope.recipients)):
            if not self._talk.has_extn("smtputf8"):
                text = "the server takes no addresses with other letters than ASCII (no SMTPUTF8)"
                raise MailTrouble(ServerReply(Phase.DATA, None, "5.6.7", text))
            options.append("SMTPUTF8")
            # Counts until the next RSET; ASCII is the same in both encodings.
            self._talk.command_encoding = "utf-8"
        return options

    def _say(
        self,
        phase: Phase,
        speak: Callable[[], tuple[int, bytes]],
        expected: tuple[int, ...] | None = None,
    ) -> ServerReply:
        """Send a command and read its answer. Raises MailTrouble without the expected code (any 2xx)."""
        try:
            reply = self._reply(phase, speak())
        except _Broken as broken:
            raise self._impossible(phase, str(broken)) from None
        assert reply.code is not None
        if reply.code in expected if expected else 200 <= reply.code < 300:
            return reply
        raise self._refused(reply)

    def _refused(self, reply: ServerReply) -> MailTrouble:
        """Reset the connection for the next message, if that is still possible."""
        if reply.code == 421 or reply.phase not in (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT):
            # 421: the server is closing (RFC 5321 3.8). Before MAIL there is nothing to reset.
            self._hang_up()
        elif reply.code is not None and reply.code < 400 and reply.phase is Phase.DATA:
            # The server may be waiting for content, and would take a command for a part of the message.
            self._hang_up()
        elif reply.phase is not Phase.DOT:
            self._reset()
        return MailTrouble(reply)

    def _reset(self) -> None:
        try:
            code, _ = self._talk.rset()
        except _Broken:
            code = 0
        if code != 250:
            self._hang_up()

    def _impossible(self, phase: Phase, text: str) -> MailTrouble:
        self._hang_up()
        return MailTrouble(self._own_words(phase, text))

    def _last_words(self, broken: _Broken) -> MailTrouble:
        """Return why the server broke off during the content, in its own words if it sent any."""
        self._last_chunk = None
        reply = self._own_words(Phase.DATA, str(broken))
        self._talk.reply_within = min(_FAREWELL_SECONDS, self._timeouts.command)
        with suppress(_Broken):
            heard = self._reply(Phase.DATA, self._talk.getreply())
            if heard.code is not None and heard.code >= 400:
                reply = heard
        self._hang_up()
        return MailTrouble(reply)

    def _own_words(self, phase: Phase, text: str) -> ServerReply:
        return ServerReply(phase, None, None, wire.printable(self._redact(text)))

    def _reply(self, phase: Phase, answer: tuple[int, bytes]) -> ServerReply:
        code, raw = answer
        text = wire.printable(self._redact(raw.decode("utf-8", "replace")))
        enhanced = _ENHANCED.match(text)
        return ServerReply(phase, code, enhanced.group(1) if enhanced else None, text)

    def _hang_up(self) -> None:
        self._alive = False
        self._talk.close()


def open_session(
    account: MailAccount, timeouts: Timeouts, progress: wire.Progress = wire.unheard
) -> SmtpSession:
    """Connect, start TLS, send EHLO and log in. Raises MailTrouble with the phase that failed."""
    endpoint = account.smtp
    connection = wire.connect(endpoint, timeouts.connect, progress)
    talk = _Conversation(connection, endpoint)
    talk.reply_within = timeouts.connect
    session = SmtpSession(talk, timeouts, wire.redactor(account))
    try:
        progress(Phase.CONNECT, session.hear_greeting())
        words = session.greet()
        if endpoint.security is Security.STARTTLS:
            progress(Phase.TLS, session.start_tls())
            words = session.greet()
        progress(Phase.EHLO, words)
        progress(Phase.AUTH, session.log_in(account))
    except BaseException:
        session.abandon()
        raise
    return session


def _wire_content(raw: bytes) -> bytes:
    """Return the content as it is sent: ending in CRLF, with dots doubled (RFC 5321 4.5.2).

    Raises ValueError for a bare CR or LF, which some servers take for a line end, so that a second message
    could be smuggled in, and for bytes that the message should have encoded.
    """
    ends = raw.count(b"\r\n")
    if raw.count(b"\r") != ends or raw.count(b"\n") != ends:
        raise ValueError("the message has a bare CR or LF")
    if not raw.isascii():
        raise ValueError("the message is not 7-bit")
    if not raw.endswith(b"\r\n"):
        raw += b"\r\n"
    return (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:]


def _address_literal(connection: socket.socket) -> str:
    address = str(connection.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
