"""An IMAP session that reads new mail and files sent copies (RFC 3501). It never marks mail as seen.

In this package an IMAP mailbox is called a folder.
"""

import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import cast

from imap_tools import BaseMailBox
from imap_tools.errors import ImapToolsError, UnexpectedCommandStatusError
from imap_tools.folder import FolderInfo
from imap_tools.imap_utf7 import utf7_decode

from mailrotate.core.values.mail import INBOX, FolderCursor, InboxHeaders, MailAccount, Timeouts
from mailrotate.core.values.states import Phase, Security
from mailrotate.providers import wire

_FETCH_COUNT = 100
# Headers can have any length; the ones that matter are in the first bytes.
_HEADER_BYTES = 64 * 1024
_FAREWELL_SECONDS = 5.0
# For servers that do not mark it (RFC 6154): the names that mail programs use, most common first.
_SENT_NAMES = (
    "sent",
    "sent items",
    "sent messages",
    "sent mail",
    "gesendet",
    "gesendete objekte",
    "gesendete elemente",
    "envoyés",
    "éléments envoyés",
    "enviados",
    "elementos enviados",
    "posta inviata",
    "verzonden",
    "verzonden items",
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UID = re.compile(rb"\bUID (\d+)")
_BAD = re.compile(r"command error: BAD \[b'(.*)'\]", re.DOTALL)
_QUOTED = rb'"(?:[^"\\]|\\.)*"'
_LISTED = re.compile(
    rb"\((?P<flags>[^)]*)\) (?P<delim>NIL|" + _QUOTED + rb") (?P<name>" + _QUOTED + rb"|[^\"].*)",
    re.IGNORECASE,
)
_ESCAPED = re.compile(rb"\\(.)")
# The prefix that imaplib adds to the words of an error.
_COMMAND = re.compile(r"command: \w+ => ")
_PERSONAL_NAMESPACE = re.compile(rb'\(\("((?:[^"\\]|\\.)*)"')


class _Client(imaplib.IMAP4):
    """imaplib over an open connection."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self._connection = connection
        super().__init__(host)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._connection


class _MailBox(BaseMailBox):
    """imap-tools over a connected client."""

    def __init__(self, client: imaplib.IMAP4) -> None:
        self._given = client
        super().__init__()

    def _get_mailbox_client(self) -> imaplib.IMAP4:
        return self._given


class ImapSession:
    """An InboxSession (`core.ports`) over one connection; `open_session` opens it."""

    def __init__(self, box: _MailBox, redact: Callable[[str], str]) -> None:
        self._box = box
        self._redact = redact
        self._sent: FolderInfo | None = None

    def folder_names(self) -> list[str]:
        """See InboxSession."""
        with _mapped(Phase.PERMISSION, self._redact):
            return [folder.name for folder in self._folders()]

    def new_headers(
        self, since: FolderCursor | None, folder: str = INBOX
    ) -> tuple[FolderCursor, Iterator[InboxHeaders]]:
        """See InboxSession. The iterator fetches as it goes, and raises MailTrouble too."""
        with _mapped(Phase.PERMISSION, self._redact):
            uid_validity, end = self._open(folder)
            if since is None:
                return FolderCursor(uid_validity, end), iter(())
            # UIDs only grow, so a higher UID in the past means a different server, whatever its UIDVALIDITY.
            is_same = since.uid_validity == uid_validity and since.last_uid <= end
            read = since.last_uid if is_same else 0
            # Both ends are given: `n:*` also matches a last message with a UID below n.
            uids = self._box.uids(f"UID {read + 1}:{end}", charset=None) if read < end else []
        return FolderCursor(uid_validity, end), self._fetch(uids)

    def has_sent_copy(self, message_id: str) -> bool:
        """See InboxSession."""
        with _mapped(Phase.PERMISSION, self._redact):
            folder = self._find_sent()
            if folder is None:
                return False
            # Select the folder again to see mail that was filed since.
            self._box.folder.set(folder.name, readonly=True)
            quoted = message_id.replace("\\", "\\\\").replace('"', '\\"')
            return bool(self._box.uids(f'HEADER Message-ID "{quoted}"', charset=None))

    def sent_since(self, since: datetime) -> Iterator[InboxHeaders] | None:
        """See InboxSession. The iterator fetches as it goes, and raises MailTrouble too."""
        with _mapped(Phase.PERMISSION, self._redact):
            folder = self._find_sent()
            if folder is None:
                return None
            self._box.folder.set(folder.name, readonly=True)
            # The name of a month is English, whatever the locale. The day before, for the server's zone.
            day = since.astimezone(UTC) - timedelta(days=1)
            uids = self._box.uids(f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year}", charset=None)
        return self._fetch(uids)

    def file_sent_copy(self, raw: bytes) -> None:
        """See InboxSession. Creates the folder if there is none."""
        with _mapped(Phase.PERMISSION, self._redact):
            folder = self._find_sent()
            name = self._make_sent() if folder is None else folder.name
            self._box.append(raw, name, flag_set=[r"\Seen"])

    def close(self) -> None:
        """See InboxSession."""
        client = self._box.client
        with suppress(OSError, imaplib.IMAP4.error):
            client.sock.settimeout(_FAREWELL_SECONDS)
            client.logout()
        _drop(client)

    def prove_permissions(self) -> str:
        """Check that the INBOX can be read and that sent mail can be filed. Raises MailTrouble."""
        with _mapped(Phase.PERMISSION, self._redact):
            self._open(INBOX)
            sent = self._find_sent()
        if sent is None:
            return "INBOX can be read; a folder for sent mail will be made"
        return f"INBOX can be read; sent mail is in {wire.printable(sent.name)}"

    def _open(self, folder: str) -> tuple[int, int]:
        """Open a folder; return its UIDVALIDITY and the highest UID that a message can have now."""
        self._box.folder.set(folder, readonly=True)
        validity, following = (_number(self._box.client, name) for name in ("UIDVALIDITY", "UIDNEXT"))
        if validity is None or following is None:
            status = self._box.folder.status(folder, ("UIDVALIDITY", "UIDNEXT"))
            validity, following = status.get("UIDVALIDITY"), status.get("UIDNEXT")
        if validity is None or following is None:
            raise imaplib.IMAP4.error("the server does not number its messages (UIDVALIDITY, UIDNEXT)")
        return validity, following - 1

    def _fetch(self, uids: Sequence[str]) -> Iterator[InboxHeaders]:
        for start in range(0, len(uids), _FETCH_COUNT):
            wanted = ",".join(uids[start : start + _FETCH_COUNT])
            with _mapped(Phase.PERMISSION, self._redact):
                answer = self._box.client.uid("FETCH", wanted, f"(UID BODY.PEEK[HEADER]<0.{_HEADER_BYTES}>)")
                if answer[0] != "OK":
                    raise UnexpectedCommandStatusError(answer, "OK")
                found = list(_headers(answer[1]))
            yield from found

    def _folders(self) -> list[FolderInfo]:
        # Not imap-tools' own list: it leaves backslashes in names doubled.
        answer = self._box.client.list()
        if answer[0] != "OK":
            raise UnexpectedCommandStatusError(answer, "OK")
        return [
            folder
            for folder in map(_listed, answer[1])
            if folder and not set(map(str.lower, folder.flags)) & {"\\noselect", "\\nonexistent"}
        ]

    def _find_sent(self) -> FolderInfo | None:
        if self._sent is None:
            folders = self._folders()
            self._sent = next(
                (folder for folder in folders if "\\sent" in map(str.lower, folder.flags)), None
            )
            for name in _SENT_NAMES if self._sent is None else ():
                self._sent = next((folder for folder in folders if _last_part(folder) == name), None)
                if self._sent is not None:
                    break
        return self._sent

    def _make_sent(self) -> str:
        client, prefix = self._box.client, ""
        if "NAMESPACE" in client.capabilities:
            # On some servers all folders are below the INBOX, and none can be created beside it (RFC 2342).
            personal = _PERSONAL_NAMESPACE.match((client.namespace()[1] or [b""])[0] or b"")
            prefix = personal.group(1).decode("ascii", "replace") if personal else ""
        name = f"{prefix}Sent"
        self._box.folder.create(name)
        return name


def open_session(
    account: MailAccount, timeouts: Timeouts, progress: wire.Progress = wire.unheard
) -> ImapSession:
    """Connect, start TLS and log in. Raises MailTrouble with the phase that failed."""
    endpoint, redact = account.imap, wire.redactor(account)
    connection = wire.connect(endpoint, timeouts.connect, progress)
    try:
        with _mapped(Phase.CONNECT, redact):
            client = _Client(connection, endpoint.host)
    except BaseException:
        connection.close()
        raise
    try:
        progress(Phase.CONNECT, wire.printable(client.welcome.decode("utf-8", "replace")))
        if endpoint.security is Security.STARTTLS:
            progress(Phase.TLS, _start_tls(client, redact))
        box = _MailBox(client)
        with _mapped(Phase.AUTH, redact):
            progress(Phase.AUTH, _log_in(box, account))
        client.sock.settimeout(timeouts.command)
    except BaseException:
        _drop(client)
        raise
    return ImapSession(box, redact)


def _start_tls(client: _Client, redact: Callable[[str], str]) -> str:
    if "STARTTLS" not in client.capabilities:
        # Or an attacker on the path removed STARTTLS from the answer.
        raise wire.trouble(Phase.TLS, "the server does not offer STARTTLS")
    context = ssl.create_default_context()
    try:
        with _mapped(Phase.TLS, redact, network=False):
            client.starttls(context)
    except (OSError, ValueError) as error:
        raise wire.trouble(Phase.TLS, wire.tls_refusal(error, client.host)) from None
    secured = client.sock
    assert isinstance(secured, ssl.SSLSocket)
    return wire.tls_words(secured)


def _log_in(box: _MailBox, account: MailAccount) -> str:
    username, password = account.username, wire.password_of(account)
    if (username + password).isascii() and "LOGINDISABLED" not in box.client.capabilities:
        box.login(username, password, initial_folder=None)
    else:
        box.login_utf8(username, password, initial_folder=None)
    # imap-tools has no annotations here.
    status, words = cast("tuple[str, list[bytes]]", box.login_result)
    return f"{status} {_text(words[-1])}"


def _headers(answer: Sequence[object]) -> Iterator[InboxHeaders]:
    """Yield the messages of one FETCH response; the UID may come before or after the headers."""
    for position, part in enumerate(answer):
        if not isinstance(part, tuple):
            continue
        after = answer[position + 1] if position + 1 < len(answer) else b""
        uid = _UID.search(part[0]) or (_UID.search(after) if isinstance(after, bytes) else None)
        if uid is not None:
            yield InboxHeaders(int(uid.group(1)), part[1])


def _number(client: imaplib.IMAP4, name: str) -> int | None:
    values = client.response(name)[1]
    value = values[-1] if values else None
    return int(value) if isinstance(value, bytes) and value.isdigit() else None


def _listed(line: object) -> FolderInfo | None:
    """Parse one LIST answer (RFC 3501 7.2.2), whose name may be quoted, an atom or a literal.

    None for a name that cannot be sent back to the server because it violates RFC 3501 5.1.3.
    """
    head, literal = line if isinstance(line, tuple) else (line, None)
    found = _LISTED.match(head) if isinstance(head, bytes) else None
    if found is None:
        return None
    name = _unquoted(found["name"]) if literal is None else literal
    try:
        decoded = utf7_decode(name)
    except ValueError:
        return None
    flags = found["flags"].decode("ascii", "replace").split()
    delimiter = b"" if found["delim"].upper() == b"NIL" else _unquoted(found["delim"])
    return FolderInfo(decoded, delimiter.decode("ascii", "replace"), tuple(flags))


def _unquoted(text: bytes) -> bytes:
    """Unescape a quoted string (RFC 3501 4.3); return an atom unchanged."""
    return _ESCAPED.sub(rb"\1", text[1:-1]) if text.startswith(b'"') else text


def _last_part(folder: FolderInfo) -> str:
    return (folder.name.rpartition(folder.delim)[2] if folder.delim else folder.name).casefold()


@contextmanager
def _mapped(phase: Phase, redact: Callable[[str], str], network: bool = True) -> Iterator[None]:
    """Turn the libraries' errors into MailTrouble with the server's own words, without secrets."""
    try:
        yield
    except UnexpectedCommandStatusError as refusal:
        status, words = refusal.command_result
        text = f"{status} {_text(words[-1] if words else b'')}"
    except imaplib.IMAP4.abort as broken:
        said = _COMMAND.sub("", _text(broken.args[0] if broken.args else ""), count=1)
        text = f"the connection broke: {said}"
    except imaplib.IMAP4.error as refusal:
        said = _text(refusal.args[0] if refusal.args else "")
        bad = _BAD.search(said)
        text = f"BAD {bad.group(1)}" if bad else said
        if phase is Phase.AUTH and not bad and not _COMMAND.match(said):
            # `authenticate` raises only the words, without the status.
            text = f"NO {said}"
    except OSError as error:
        if not network:
            raise
        text = f"the connection broke: {wire.said(error)}"
    except (ImapToolsError, ValueError, LookupError, AttributeError, TypeError) as nonsense:
        # Errors that the libraries raise when a server does not speak IMAP.
        text = f"not an IMAP answer: {type(nonsense).__name__}"
    else:
        return
    raise wire.trouble(phase, redact(text)) from None


def _text(words: object) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)


def _drop(client: imaplib.IMAP4) -> None:
    with suppress(OSError):
        client.shutdown()
