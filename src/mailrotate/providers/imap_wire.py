"""imaplib over our own connection: each answer has a deadline and a size, and small slips are forgiven.

imaplib's own reader restarts its timeout with each line, and allocates whatever a literal announces.
"""

import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from imap_tools.errors import ImapToolsError, UnexpectedCommandStatusError

from mailrotate.core.values.clock import monotonic_seconds
from mailrotate.core.values.mail import FetchBroke
from mailrotate.core.values.states import Phase
from mailrotate.providers import wire

# What is asked of each message: headers can have any length, and the ones that matter come first.
HEADER_BYTES = 64 * 1024
# Some servers ignore the limit that a FETCH names: so much more of a literal is read and dropped.
_MOST_LITERAL = 16 * HEADER_BYTES
# imaplib keeps a whole answer in memory. A hundred cut headers fit, and the folders of any real mailbox.
_MOST_BYTES = 16 * 1024 * 1024
_MOST_LINES = 50_000
_LONGEST_LINE = 1024 * 1024
_BLOCK = 64 * 1024
# How soon a waiting reader notices that its process is asked to stop.
_LOOK_UP_SECONDS = 0.5
_LINE = re.compile(rb"([^ \t]+)[ \t]+([^ \t]+)(?:[ \t]+(.*))?", re.DOTALL)
_BAD = re.compile(r"command error: BAD \[b'(.*)'\]", re.DOTALL)
# The prefix that imaplib adds to the words of an error.
_COMMAND = re.compile(r"command: \w+ => ")


class BoundedClient(imaplib.IMAP4):
    """imaplib's commands; `answer_within` is the time in seconds for a whole answer.

    `stopping` is asked while it waits: reading can be broken off at any moment without harm.
    """

    def __init__(
        self, connection: socket.socket, host: str, answer_within: float, stopping: Callable[[], bool]
    ) -> None:
        self.answer_within = answer_within
        self.is_broken = False
        self._connection = connection
        self._stopping = stopping
        self._unread = bytearray()
        self._is_trailer = False
        self._begin_answer()
        super().__init__(host)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._connection

    def send(self, data: bytes) -> None:  # type: ignore[override]  # typeshed wants a private buffer type
        """Send a command, or a literal of one; the answer's deadline and size count from here."""
        self._begin_answer()
        # imaplib would keep what nobody asks for until the end of the session.
        for name in [*self.untagged_responses]:
            if name != "BYE":
                del self.untagged_responses[name]
        for start in range(0, len(data), _BLOCK):
            self.sock.settimeout(self.answer_within)
            self.sock.sendall(data[start : start + _BLOCK])

    def readline(self) -> bytes:
        """Read one line; imaplib calls this for each line of an answer, and behind each literal."""
        self._lines_left -= 1
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            if searched > _LONGEST_LINE or self._lines_left < 0:
                raise self._broken("the server's answer has no end")
            self._receive()
        line = bytes(self._unread[:end]).rstrip(b"\r")
        del self._unread[: end + 1]
        is_trailer, self._is_trailer = self._is_trailer, False
        return (line if is_trailer else _tidied(line)) + b"\r\n"

    def read(self, size: int) -> bytes:
        """Read a literal. Of one that is longer than what we ask for, keep only the beginning."""
        if size > _MOST_LITERAL:
            raise self._broken(f"a literal of {size} bytes, where at most {HEADER_BYTES} were asked for")
        kept = bytearray()
        left = size
        while left:
            if not self._unread:
                self._receive()
            piece = self._unread[:left]
            del self._unread[: len(piece)]
            left -= len(piece)
            kept += piece[: HEADER_BYTES - len(kept)]
        self._is_trailer = True
        return bytes(kept)

    def secure(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Start TLS, and refuse what the server said too early (RFC 3501 6.2.1).

        An attacker could have injected it, to be read as the answer of the secured server.
        """
        status, words = self.xatom("STARTTLS")
        if status != "OK":
            raise self.error(f"{status} {text_of(words[-1])}")
        if self._unread:
            raise self._broken("the server spoke between STARTTLS and TLS")
        self.sock.settimeout(self.answer_within)
        self.sock = secured = context.wrap_socket(self.sock, server_hostname=self.host)
        self.refresh_capabilities()
        return secured

    def refresh_capabilities(self) -> None:
        """Ask what the server offers now: it may offer more after TLS and after the login."""
        status, words = self.capability()
        if status == "OK" and words and isinstance(words[-1], bytes):
            self.capabilities = tuple(text_of(words[-1]).upper().split())

    def _broken(self, why: str) -> imaplib.IMAP4.abort:
        """What to raise when no further answer can be read over this connection."""
        self.is_broken = True
        return self.abort(why)

    def _begin_answer(self) -> None:
        self._deadline = monotonic_seconds() + self.answer_within
        self._bytes_left, self._lines_left = _MOST_BYTES, _MOST_LINES

    def _receive(self) -> None:
        received = self._receive_some()
        if not received:
            raise self._broken("the server closed the connection")
        self._bytes_left -= len(received)
        if self._bytes_left < 0:
            raise self._broken(f"the server's answer is longer than {_MOST_BYTES // 1024**2} MB")
        self._unread += received

    def _receive_some(self) -> bytes:
        while True:
            rest = self._deadline - monotonic_seconds()
            if self._stopping():
                raise self._broken("stopped")
            if rest <= 0:
                raise self._broken("timed out")
            self.sock.settimeout(min(rest, _LOOK_UP_SECONDS))
            try:
                return self.sock.recv(_BLOCK)
            except TimeoutError:
                continue


def _tidied(line: bytes) -> bytes:
    """Correct what imaplib would refuse: two blanks or a tab for one, small letters, a status without text.

    Seen at DavMail (`*  12 EXISTS`) and at servers that end a command with a bare `OK`.
    """
    found = _LINE.fullmatch(line)
    if found is None or line.startswith(b"+"):
        return line
    first, second, rest = found[1], found[2].upper(), found[3] or b""
    if first != b"*":
        return b"%s %s %s" % (first, second, rest) if second in (b"OK", b"NO", b"BAD") else line
    if second.isdigit():
        name, gap, data = rest.partition(b" ")
        rest = name.upper() + gap + data
    return b"* %s %s" % (second, rest) if rest else b"* %s" % second


@contextmanager
def mapped(
    phase: Phase, redact: Callable[[str], str], network: bool = True, fetching: Sequence[int] = ()
) -> Iterator[None]:
    """Turn the libraries' errors into MailTrouble with the server's own words, without secrets.

    It is FetchBroke if the connection is of no more use and these UIDs were asked for.
    """
    refused = False
    try:
        yield
    except UnexpectedCommandStatusError as refusal:
        status, words = refusal.command_result
        refused = True
        text = f"{status} {text_of(words[-1] if words else b'')}"
    except imaplib.IMAP4.abort as broken:
        said = _COMMAND.sub("", text_of(broken.args[0] if broken.args else ""), count=1)
        text = f"the connection broke: {said}"
    except imaplib.IMAP4.error as refusal:
        refused = True
        text = said_in(refusal)
        if phase is Phase.AUTH and not text.startswith(("NO ", "BAD ")) and not _COMMAND.match(text):
            # `authenticate` raises only the words, without the status.
            text = f"NO {text}"
    except OSError as error:
        if not network:
            raise
        text = f"the connection broke: {wire.said(error)}"
    except (ImapToolsError, ValueError, LookupError, AttributeError, TypeError) as nonsense:
        # Errors that the libraries raise when a server does not speak IMAP.
        text = f"not an IMAP answer: {type(nonsense).__name__}"
    else:
        return
    trouble = wire.trouble(phase, redact(text))
    raise (FetchBroke(trouble.reply, fetching) if fetching and not refused else trouble) from None


def said_in(refusal: imaplib.IMAP4.error) -> str:
    """Return the server's words in an error of imaplib, without what imaplib adds to them."""
    said = text_of(refusal.args[0] if refusal.args else "")
    bad = _BAD.search(said)
    return f"BAD {bad.group(1)}" if bad else said


def text_of(words: object) -> str:
    """Return the words of an answer, whatever their encoding."""
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words or "")
