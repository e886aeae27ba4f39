"""An SMTP submission session, driven command by command so that each failure knows its phase (RFC 5321)."""

import base64
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from mailrotate.core.values.mail import (
    Envelope,
    FateUnknown,
    MailAccount,
    MailTrouble,
    ServerReply,
    Timeouts,
)
from mailrotate.core.values.states import Phase, Security
from mailrotate.providers import wire
from mailrotate.providers.smtp_conversation import Broken, Conversation, OutOfStep

# RFC 3463 section 2: class.subject.detail, at the start of the text.
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?=\s|$)")
# Excludes characters that could end the path in angle brackets, or the line.
_WIRE_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>]+@[^\x00-\x20\x7f<>@]+")
# Fits with the dot into one TLS record (16 kB), which arrives whole or not at all.
_LAST_CHUNK = 8 * 1024
_FAREWELL_SECONDS = 5.0
# With these, servers also refuse a login method that they announce and do not support.
_METHOD_REFUSED = (502, 504, 535, 553)


class SmtpSession:
    """A SendSession (`core.ports`) over one connection; `open_session` opens it."""

    def __init__(self, talk: Conversation, timeouts: Timeouts, redact: Callable[[str], str]) -> None:
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
        except Broken as broken:
            raise self._last_words(broken) from None

    def commit(self) -> ServerReply:
        """See SendSession."""
        if self._last_chunk is None:
            raise ValueError("nothing is staged")
        ending, self._last_chunk = self._last_chunk + b".\r\n", None
        try:
            if self._talk.spoken():
                # The server gave up before the dot, so it has certainly not accepted the message.
                raise Broken("the server ended the transfer")
            # The dot is in the last bytes: if this fails, the server has not seen it.
            self._talk.send(ending)
        except Broken as broken:
            raise self._last_words(broken) from None
        self._talk.reply_within = self._timeouts.dot
        try:
            reply = self._reply(Phase.DOT, self._talk.getreply())
        except Broken as broken:
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
            with suppress(Broken):
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
        except Broken as broken:
            raise self._impossible(Phase.TLS, str(broken)) from None

    def log_in(self, account: MailAccount) -> str:
        """Log in with AUTH PLAIN or LOGIN (RFC 4954); only 235 is a login.

        A relay on this machine may offer no login, as Postfix does; any other server must.
        """
        offered = self._talk.esmtp_features.get("auth", "").upper().split()
        if not offered and account.smtp.security is Security.NONE:
            return "the server on this machine asks for no login"
        login, password = account.username.encode(), wire.password_of(account).encode()
        plain = b"\0" + login + b"\0" + password
        methods = {
            "PLAIN": partial(self._auth_plain, plain),
            "LOGIN": partial(self._auth_login, login, password),
        }
        known = [method for name, method in methods.items() if name in offered]
        if not known:
            what = f"only {' '.join(offered)}" if offered else "none"
            raise self._impossible(
                Phase.AUTH, f"the server must offer the login PLAIN or LOGIN, but offers {what}"
            )
        reply = self._ask(Phase.AUTH, known[0])
        if reply.code in _METHOD_REFUSED and len(known) > 1:
            reply = self._second_login(reply, known[1])
        if reply.code != 235:
            raise self._refused(reply)
        return reply.text

    def _second_login(self, refused: ServerReply, method: Callable[[], tuple[int, bytes]]) -> ServerReply:
        """Log in by the other method; where that is refused too, the password is wrong as first said."""
        try:
            reply = self._ask(Phase.AUTH, method)
        except MailTrouble:
            # It closes the connection after a wrong password.
            return refused
        assert reply.code is not None
        return refused if refused.code == 535 and reply.code >= 500 else reply

    def _auth_plain(self, login: bytes) -> tuple[int, bytes]:
        encoded = base64.b64encode(login).decode()
        answer = self._talk.docmd(f"AUTH PLAIN {encoded}")
        # Some servers ignore the initial response and ask for it (RFC 4954 4).
        return self._talk.docmd(encoded) if answer[0] == 334 else answer

    def _auth_login(self, login: bytes, password: bytes) -> tuple[int, bytes]:
        answer = self._talk.docmd("AUTH LOGIN")
        for part in (login, password):
            if answer[0] != 334:
                break
            answer = self._talk.docmd(base64.b64encode(part).decode())
        return answer

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
        reply = self._ask(phase, speak)
        assert reply.code is not None
        if reply.code in expected if expected else 200 <= reply.code < 300:
            return reply
        raise self._refused(reply)

    def _ask(self, phase: Phase, speak: Callable[[], tuple[int, bytes]]) -> ServerReply:
        """Send a command and read its answer, whatever it is."""
        try:
            return self._reply(phase, speak())
        except Broken as broken:
            raise self._impossible(phase, str(broken)) from None

    def _refused(self, reply: ServerReply) -> MailTrouble:
        """Reset the connection for the next message, if that is still possible."""
        if reply.code == 421 or reply.phase not in (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT):
            # 421: the server is closing (RFC 5321 3.8). Before MAIL there is nothing to reset.
            self._hang_up()
        elif reply.code is not None and reply.code < 400 and reply.phase is Phase.DATA:
            # The server may be waiting for content, and would take a command for a part of the message.
            self._hang_up()
        elif reply.phase is not Phase.DOT and not self._reset():
            return self._impossible(reply.phase, "the server gives more answers than it was sent commands")
        return MailTrouble(reply)

    def _reset(self) -> bool:
        """Reset the connection or hang up; False when what was taken for a refusal answered something else.

        A server that answers a command twice is noticed by EHLO: no other answer lists extensions.
        """
        expected = bool(self._talk.esmtp_features)
        try:
            codes = {self._talk.rset()[0], self._talk.ehlo()[0]}
        except OutOfStep:
            return False
        except Broken:
            codes = set()
        if codes != {250}:
            self._hang_up()
            return True
        return bool(self._talk.esmtp_features) or not expected

    def _impossible(self, phase: Phase, text: str) -> MailTrouble:
        self._hang_up()
        return MailTrouble(self._own_words(phase, text))

    def _last_words(self, broken: Broken) -> MailTrouble:
        """Return why the server broke off during the content, in its own words if it sent any."""
        self._last_chunk = None
        reply = self._own_words(Phase.DATA, str(broken))
        self._talk.reply_within = min(_FAREWELL_SECONDS, self._timeouts.command)
        with suppress(Broken):
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
    talk = Conversation(connection, endpoint)
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
