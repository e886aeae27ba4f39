"""What the core needs from outside, as Protocols without implementation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mailrotate.core.values.credential import OAuthToken
from mailrotate.core.values.lineage import OutsideMark
from mailrotate.core.values.mail import (
    INBOX,
    CheckStep,
    Envelope,
    FolderCursor,
    InboxHeaders,
    MailAccount,
    ServerReply,
)
from mailrotate.core.values.webhook import WebhookAnswer


class SendSession(Protocol):
    """One authenticated SMTP connection, used for one message after another.

    The order for each is `stage`, then either `commit` or `abandon`. All methods block.
    """

    def stage(self, envelope: Envelope) -> None:
        """Send MAIL, RCPT, DATA and all content except the last chunk: nothing is delivered yet.

        Raises MailTrouble; the session is then ready for the next message or `usable` is False.
        """

    def commit(self) -> ServerReply:
        """Send the last chunk with the final dot in one write; return the server's 2xx answer.

        Raises MailTrouble with phase `dot` for a refusal, FateUnknown for silence.
        """

    def abandon(self) -> None:
        """Close without the dot: the staged message is not delivered (RFC 5321 4.1.1.4)."""

    @property
    def usable(self) -> bool:
        """Whether another message may be staged on this connection."""

    def close(self) -> None:
        """Send QUIT and close. Never raises: an error here does not undo a 2xx."""


class InboxSession(Protocol):
    """One authenticated IMAP connection. All methods block and raise MailTrouble."""

    def folder_names(self) -> list[str]:
        """Return the folders that can be read, as the server names them."""

    def new_headers(
        self, since: FolderCursor | None, folder: str = INBOX, again: Sequence[int] = (), at_once: int = 100
    ) -> tuple[FolderCursor, Iterator[InboxHeaders]]:
        """Return the present end of the folder, and the headers that arrived since, ascending by UID.

        With `since` None (the first reading) it reads nothing. After a change of UIDVALIDITY it reads
        everything again (RFC 3501 2.3.1.1), otherwise also the UIDs in `again`, last. The iterator fetches
        `at_once` messages as it goes; it raises FetchBroke if the connection breaks meanwhile, and
        MailTrouble if the server gives no message at all.
        """

    def has_sent_copy(self, message_id: str) -> bool:
        """Whether the folder for sent mail holds a message with this Message-ID."""

    def sent_since(self, since: datetime) -> Iterator[InboxHeaders] | None:
        """Return the headers of the folder for sent mail from that day on; None if there is no such folder.

        The server may return mail of the day before too: it knows days, not instants (RFC 3501 6.4.4).
        """

    def file_sent_copy(self, raw: bytes) -> None:
        """Append a message to the folder for sent mail, flagged as seen."""

    def close(self) -> None:
        """Send LOGOUT and close. Never raises."""


class MailProvider(Protocol):
    """A way to reach a mailbox. One per provider name; see `providers.registry`."""

    def open_sender(self, account: MailAccount) -> SendSession:
        """Connect, start TLS, send EHLO and log in. Raises MailTrouble with the phase that failed."""

    def open_inbox(self, account: MailAccount) -> InboxSession:
        """Connect, start TLS and log in. Raises MailTrouble with the phase that failed."""

    def check(self, account: MailAccount) -> list[CheckStep]:
        """Log in to both servers on the path that sending uses; a failed step ends that server's check."""

    def heeding(self, stopping: Callable[[], bool]) -> "MailProvider":
        """Return this provider, which breaks off reading as soon as `stopping()` is true."""

    def renew(self, account: MailAccount) -> OAuthToken:
        """Ask the provider for a token to replace the account's, by its refresh token (RFC 6749 6).

        The core calls this for an OAuthToken that has ended or was refused, with the mailbox's lane held, and
        stores the answer before it is used. Raises MailTrouble: with the phase `auth` and the error code
        ("invalid_grant: …") when the provider refuses, with the phase `connect` when it cannot be reached.
        """


class SecretBox(Protocol):
    """Authenticated encryption with the workspace's key (I1).

    `name` and `generation` are bound to the ciphertext: a blob moved to another record does not open.
    Both raise KeyTrouble if the key is missing or wrong.
    """

    def seal(self, name: str, generation: int, plain: bytes) -> bytes: ...

    def open(self, name: str, generation: int, sealed: bytes) -> bytes: ...


class KeyPlace(Protocol):
    """The place where the workspace keys are stored, for changing them (I1)."""

    def add_key(self) -> SecretBox:
        """Store a new key in front of the others; the box seals with it and opens blobs of all of them.

        Raises KeyTrouble, and Refused (`key.read_only`) where keys can be read but not stored.
        """

    def drop_older_keys(self, check: bytes) -> None:
        """Keep only the newest key, if it is the one that sealed `check`."""


class MarkPlace(Protocol):
    """Where this machine keeps its half of the mark before each final dot (F3).

    All methods raise StoreTrouble (`mark.unreadable`, `mark.unwritable`).
    """

    # Whether this process has begun the present pass in both halves of the mark.
    pass_is_open: bool

    @property
    def path(self) -> Path:
        """The file, which need not be there yet."""

    def read(self) -> OutsideMark | None:
        """Return the mark; None if this machine has none for the workspace."""

    def alone(self) -> AbstractContextManager[None]:
        """Let no other thread or process write the mark inside the block."""

    def write(self, mark: OutsideMark) -> None:
        """Replace the mark and sync it to the disk."""

    def note(self, number: int) -> None:
        """Raise the number to at least this one, without a sync."""


class WebhookPoster(Protocol):
    """Posts to webhook endpoints (C10)."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
        """Post JSON and return the answer, all within 10 seconds; follow no redirect.

        Raises WebhookTrouble when the endpoint cannot be reached or does not answer in time.
        """
