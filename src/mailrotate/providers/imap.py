"""An IMAP session that reads new mail and files sent copies (RFC 3501). It never marks mail as seen.

In this package an IMAP mailbox is called a folder.
"""

import imaplib
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import cast

from imap_tools import BaseMailBox
from imap_tools.folder import FolderInfo

from mailrotate.core.values.mail import INBOX, FolderCursor, InboxHeaders, MailAccount, Timeouts
from mailrotate.core.values.states import Phase, Security
from mailrotate.providers import imap_folders, imap_reading, wire
from mailrotate.providers.imap_wire import BoundedClient, mapped, text_of

_FAREWELL_SECONDS = 5.0
_AT_ONCE = 100
# RFC 2971 3.3. Some servers (163.com and its relatives) open no folder before they were told.
_WHO_WE_ARE = '("name" "mailrotate")'


class _MailBox(BaseMailBox):
    """imap-tools over a connected client."""

    client: BoundedClient

    def __init__(self, client: BoundedClient) -> None:
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
        with mapped(Phase.PERMISSION, self._redact):
            return [folder.name for folder in imap_folders.list_folders(self._box.client)]

    def new_headers(
        self,
        since: FolderCursor | None,
        folder: str = INBOX,
        again: Sequence[int] = (),
        at_once: int = _AT_ONCE,
    ) -> tuple[FolderCursor, Iterator[InboxHeaders]]:
        """See InboxSession."""
        with mapped(Phase.PERMISSION, self._redact):
            end, count = self._open(folder)
            if since is None:
                return end, iter(())
            # UIDs only grow, so a higher UID in the past means a different server, whatever its UIDVALIDITY.
            is_same = since.uid_validity == end.uid_validity and since.last_uid <= end.last_uid
            read = since.last_uid if is_same else 0
            uids: list[int] = []
            if read < end.last_uid and count:
                uids = imap_reading.new_uids(self._box.client, read + 1, end.last_uid, count)
        return end, self._fetch([*uids, *(again if is_same else ())], count, at_once)

    def has_sent_copy(self, message_id: str) -> bool:
        """See InboxSession."""
        with mapped(Phase.PERMISSION, self._redact):
            folder = self._find_sent()
            if folder is None:
                return False
            # Select the folder again to see mail that was filed since.
            self._box.folder.set(folder.name, readonly=True)
            quoted = message_id.replace("\\", "\\\\").replace('"', '\\"')
            return bool(self._box.uids(f'HEADER Message-ID "{quoted}"', charset=None))

    def sent_since(self, since: datetime) -> Iterator[InboxHeaders] | None:
        """See InboxSession. The iterator fetches as it goes, and raises MailTrouble too."""
        with mapped(Phase.PERMISSION, self._redact):
            folder = self._find_sent()
            if folder is None:
                return None
            _, count = self._open(folder.name)
            # The day before, for the server's zone.
            day = since.astimezone(UTC) - timedelta(days=1)
            uids = imap_reading.uids_since(self._box.client, day.date())
        return self._fetch(uids, count, _AT_ONCE)

    def file_sent_copy(self, raw: bytes) -> None:
        """See InboxSession. Creates the folder if there is none."""
        with mapped(Phase.PERMISSION, self._redact):
            folder = self._find_sent()
            if folder is None:
                name = imap_folders.name_for_sent(self._box.client)
                self._box.folder.create(name)
            else:
                name = folder.name
            self._box.append(raw, name, flag_set=[r"\Seen"])

    def close(self) -> None:
        """See InboxSession."""
        client = self._box.client
        if not client.is_broken:
            with suppress(OSError, imaplib.IMAP4.error):
                client.answer_within = _FAREWELL_SECONDS
                client.logout()
        _drop(client)

    def prove_permissions(self) -> str:
        """Check that the INBOX can be read and that sent mail can be filed. Raises MailTrouble."""
        with mapped(Phase.PERMISSION, self._redact):
            self._open(INBOX)
            sent = self._find_sent()
        if sent is None:
            return "INBOX can be read; a folder for sent mail will be made"
        return f"INBOX can be read; sent mail is in {wire.printable(sent.name)}"

    def _open(self, folder: str) -> tuple[FolderCursor, int]:
        """Open a folder; return its end and how many messages it holds.

        The end is its UIDVALIDITY and the highest UID that a message can have now.
        """
        self._box.folder.set(folder, readonly=True)
        client = self._box.client
        validity, following, count = (
            imap_reading.number(client, name) for name in ("UIDVALIDITY", "UIDNEXT", "EXISTS")
        )
        if validity is None or following is None:
            status = self._box.folder.status(folder, ("UIDVALIDITY", "UIDNEXT"))
            validity, following = status.get("UIDVALIDITY"), status.get("UIDNEXT")
        if validity is None or following is None:
            raise imaplib.IMAP4.error("the server does not number its messages (UIDVALIDITY, UIDNEXT)")
        return FolderCursor(validity, following - 1), 0 if count is None else count

    def _fetch(self, uids: Sequence[int], count: int, at_once: int) -> Iterator[InboxHeaders]:
        for start in range(0, len(uids), at_once):
            wanted = uids[start : start + at_once]
            with mapped(Phase.PERMISSION, self._redact, fetching=wanted):
                found = list(imap_reading.headers(self._box.client, wanted, count))
            yield from found

    def _find_sent(self) -> FolderInfo | None:
        if self._sent is None:
            self._sent = imap_folders.find_sent(imap_folders.list_folders(self._box.client))
        return self._sent


def open_session(
    account: MailAccount,
    timeouts: Timeouts,
    progress: wire.Progress = wire.unheard,
    stopping: Callable[[], bool] = lambda: False,
) -> ImapSession:
    """Connect, start TLS and log in. Raises MailTrouble with the phase that failed."""
    endpoint, redact = account.imap, wire.redactor(account)
    connection = wire.connect(endpoint, timeouts.connect, progress)
    try:
        with mapped(Phase.CONNECT, redact):
            client = BoundedClient(connection, endpoint.host, timeouts.connect, stopping)
    except BaseException:
        connection.close()
        raise
    try:
        progress(Phase.CONNECT, wire.printable(client.welcome.decode("utf-8", "replace")))
        if endpoint.security is Security.STARTTLS:
            progress(Phase.TLS, _start_tls(client, redact))
        box = _MailBox(client)
        with mapped(Phase.AUTH, redact):
            progress(Phase.AUTH, _log_in(box, account))
        client.answer_within = timeouts.command
        with mapped(Phase.PERMISSION, redact):
            _introduce(client)
    except BaseException:
        _drop(client)
        raise
    return ImapSession(box, redact)


def _start_tls(client: BoundedClient, redact: Callable[[str], str]) -> str:
    if "STARTTLS" not in client.capabilities:
        # Or an attacker on the path removed STARTTLS from the answer.
        raise wire.trouble(Phase.TLS, "the server does not offer STARTTLS")
    context = ssl.create_default_context()
    try:
        with mapped(Phase.TLS, redact, network=False):
            return wire.tls_words(client.secure(context))
    except (OSError, ValueError) as error:
        raise wire.trouble(Phase.TLS, wire.tls_refusal(error, client.host)) from None


def _log_in(box: _MailBox, account: MailAccount) -> str:
    username, password = account.username, wire.password_of(account)
    if (username + password).isascii() and "LOGINDISABLED" not in box.client.capabilities:
        box.login(username, password, initial_folder=None)
    else:
        box.login_utf8(username, password, initial_folder=None)
    # imap-tools has no annotations here.
    status, words = cast("tuple[str, list[bytes]]", box.login_result)
    return f"{status} {text_of(words[-1])}"


def _introduce(client: BoundedClient) -> None:
    """Say who we are where the server wants to know; what it answers does not matter (RFC 2971)."""
    try:
        client.refresh_capabilities()
        if "ID" in client.capabilities:
            client.xatom("ID", _WHO_WE_ARE)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:
        return


def _drop(client: BoundedClient) -> None:
    with suppress(OSError):
        client.shutdown()
