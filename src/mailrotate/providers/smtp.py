"""An SMTP submission session, driven command by command so that each failure knows its phase (RFC 5321)."""

import base64
import re
from collections.abc import Callable, Sequence
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
from mailrotate.providers.smtp_conversation import Broken, Conversation, OutOfStep, Silence

# RFC 3463 section 2: class.subject.detail, at the start of the text.
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?=\s|$)")
# Excludes characters that could end the path in angle brackets, or the line.
_WIRE_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>]+@[^\x00-\x20\x7f<>@]+")
# Fits with the dot into one TLS record (16 kB), which arrives whole or not at all.
_LAST_CHUNK = 8 * 1024
_FAREWELL_SECONDS = 5.0
_TOO_MANY_ANSWERS = "the server gives more answers than it was sent commands"
_TOO_FEW_ANSWERS = "the server gives fewer answers than it was sent commands"
# With these, servers also refuse a login method that they announce and do not support.
_METHOD_REFUSED = (502, 504, 535, 553)
# Unknown command, not implemented, bad sequence: some servers refuse the group so, and not what it says.
_GROUP_REFUSED = (500, 502, 503)


class SmtpSession:
    """A SendSession (`core.ports`) over one connection; `open_session` opens it."""

    def __init__(self, talk: Conversation, timeouts: Timeouts, redact: Callable[[str], str]) -> None:
        self._talk = talk
        self._timeouts = timeouts
        self._redact = redact
        self._last_chunk: bytes | None = None
        self._takes_groups = True
        self._alive = True

    def stage(self, envelope: Envelope) -> None:
        """See SendSession. Raises ValueError for content or addresses that must not be sent."""
        content = _wire_content(envelope.raw)
        for address in (envelope.sender, *envelope.recipients):
            if not _WIRE_ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is not an address for an envelope")
        self._talk.reply_within = self._timeouts.command
        self._announce(envelope, len(content))
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

    def _announce(self, envelope: Envelope, size: int) -> None:
        """Say MAIL, RCPT and DATA: together if the server offers PIPELINING (RFC 2920), else one by one."""
        if self._takes_groups and self._talk.has_extn("pipelining"):
            try:
                return self._say_all(self._commands(envelope, size), together=True)
            except MailTrouble as trouble:
                if trouble.reply.code not in _GROUP_REFUSED or not self._alive:
                    raise
                # Some proxies offer PIPELINING for a server that does not have it.
                self._takes_groups = False
        self._say_all(self._commands(envelope, size), together=False)

    def _commands(self, envelope: Envelope, size: int) -> list[tuple[Phase, str]]:
        # Not smtplib's `mail` and `rcpt`: they extract anything that looks like an address.
        mail = " ".join((f"MAIL FROM:<{envelope.sender}>", *self._mail_options(envelope, size)))
        recipients = [(Phase.RCPT, f"RCPT TO:<{recipient}>") for recipient in envelope.recipients]
        return [(Phase.MAIL, mail), *recipients, (Phase.DATA, "DATA")]

    def _say_all(self, commands: Sequence[tuple[Phase, str]], together: bool) -> None:
        """Send commands and read their answers. Raises MailTrouble for the first that is refused."""
        if together:
            try:
                self._talk.put_together([command for _, command in commands])
            except Broken as broken:
                raise self._impossible(Phase.MAIL, str(broken)) from None
        for place, (phase, command) in enumerate(commands, 1):
            speak = self._talk.getreply if together else partial(self._talk.docmd, command)
            expected = (354,) if phase is Phase.DATA else None
            self._say(phase, speak, expected, unheard=len(commands) - place if together else 0)

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
        unheard: int = 0,
    ) -> ServerReply:
        """Send a command and read its answer. Raises MailTrouble without the expected code (any 2xx).

        `unheard` is the number of commands that were sent together with it and are behind it.
        """
        reply = self._ask(phase, speak)
        assert reply.code is not None
        if reply.code in expected if expected else 200 <= reply.code < 300:
            return reply
        raise self._refused(reply, unheard)

    def _ask(self, phase: Phase, speak: Callable[[], tuple[int, bytes]]) -> ServerReply:
        """Send a command and read its answer, whatever it is."""
        try:
            return self._reply(phase, speak())
        except Broken as broken:
            raise self._impossible(phase, str(broken)) from None

    def _refused(self, reply: ServerReply, unheard: int = 0) -> MailTrouble:
        """Reset the connection for the next message, if that is still possible."""
        if reply.code == 421 or reply.phase not in (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT):
            # 421: the server is closing (RFC 5321 3.8). Before MAIL there is nothing to reset.
            self._hang_up()
        elif reply.phase is not Phase.DOT:
            try:
                self._reset(reply, unheard)
            except OutOfStep as trouble:
                return self._impossible(reply.phase, str(trouble))
        return MailTrouble(reply)

    def _reset(self, refused: ServerReply, unheard: int) -> None:
        """Reset the connection or hang up. Raises OutOfStep if `refused` may have answered something else.

        A server that answers a command twice is noticed by EHLO: no other answer lists extensions.
        """
        if not self._can_reset(refused, unheard):
            return self._hang_up()
        expected = bool(self._talk.esmtp_features)
        try:
            codes = {self._talk.rset()[0], self._talk.ehlo()[0]}
        except OutOfStep:
            raise OutOfStep(_TOO_MANY_ANSWERS) from None
        except Broken:
            codes = set()
        if codes != {250}:
            self._hang_up()
        elif expected and not self._talk.esmtp_features:
            raise OutOfStep(_TOO_MANY_ANSWERS)

    def _can_reset(self, refused: ServerReply, unheard: int) -> bool:
        """Read the other answers of a group; whether the server waits for a command after them.

        A server must refuse DATA after a refused MAIL or RCPT (RFC 2920 3.1), but a broken one may not: it
        would take a command for a part of the message.
        """
        last = refused.code
        try:
            for _ in range(unheard):
                last = self._talk.getreply()[0]
                if last == 421:
                    return False
        except Silence:
            # It lost a command, so that the refusal may be the answer to a later one.
            raise OutOfStep(_TOO_FEW_ANSWERS) from None
        except Broken:
            return False
        if not unheard and refused.phase is not Phase.DATA:
            return True
        assert last is not None
        if last < 300:
            # No server accepts a message that it has not got: this answers an earlier command.
            raise OutOfStep(_TOO_MANY_ANSWERS)
        return last >= 400

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
