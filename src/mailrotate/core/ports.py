"""What the core needs from outside, as Protocols. Nothing here does anything."""

from collections.abc import Iterator
from typing import Protocol

from mailrotate.core.values.credential import OAuthToken
from mailrotate.core.values.mail import (
    INBOX,
    CheckStep,
    Envelope,
    FolderCursor,
    InboxHeaders,
    MailAccount,
    ServerReply,
)


class SendSession(Protocol):
    """One authenticated SMTP connection, used for several messages one after the other.

    The order for each is `stage`, then either `commit` or `abandon`. All methods block.
    """

    def stage(self, envelope: Envelope) -> None:
        """MAIL, RCPT, DATA and all content but the last chunk: nothing is delivered yet.

        Raises MailTrouble; the session is then ready for the next message or `usable` is False.
        """

    def commit(self) -> ServerReply:
        """The last chunk with the final dot, in one write; the server's 2xx answer.

        Raises MailTrouble with phase `dot` for a refusal, FateUnknown for silence.
        """

    def abandon(self) -> None:
        """Close without the dot: what was staged is not delivered (RFC 5321 4.1.1.4)."""

    @property
    def usable(self) -> bool:
        """Whether another message may be staged on this connection."""

    def close(self) -> None:
        """QUIT and close. Never raises: after a 2xx nothing here makes it less sent."""


class InboxSession(Protocol):
    """One authenticated IMAP connection. All methods block and raise MailTrouble."""

    def folder_names(self) -> list[str]:
        """The folders that can be read, as the server names them."""

    def new_headers(
        self, since: FolderCursor | None, folder: str = INBOX
    ) -> tuple[FolderCursor, Iterator[InboxHeaders]]:
        """The cursor after this reading, and the headers that came to the folder since.

        With `since` None (first sight) nothing is read: the cursor is set to the present end. After a
        changed UIDVALIDITY everything is read anew (RFC 3501 2.3.1.1).
        """

    def has_sent_copy(self, message_id: str) -> bool:
        """Whether the folder for sent mail holds a message with this Message-ID."""

    def file_sent_copy(self, raw: bytes) -> None:
        """Append to the folder for sent mail, flagged as seen."""

    def close(self) -> None:
        """LOGOUT and close. Never raises."""


class MailProvider(Protocol):
    """A way to reach a mailbox. One per provider name; see `providers.registry`."""

    def open_sender(self, account: MailAccount) -> SendSession:
        """Connect, TLS, EHLO, log in. Raises MailTrouble with the phase that failed."""

    def open_inbox(self, account: MailAccount) -> InboxSession:
        """Connect, TLS, log in. Raises MailTrouble with the phase that failed."""

    def check(self, account: MailAccount) -> list[CheckStep]:
        """Log in to both servers by the very path that sending takes; a failed step ends its service."""

    def renew(self, account: MailAccount) -> OAuthToken:
        """Ask the provider for a token to replace the account's, by its refresh token (RFC 6749 6).

        The core calls this for an OAuthToken that has ended or was refused, with the mailbox's lane held, and
        stores the answer before it is used. Raises MailTrouble: with the phase `auth` and the error code
        ("invalid_grant: …") when the provider refuses, with the phase `connect` when it cannot be reached.
        """


class SecretBox(Protocol):
    """Authenticated encryption with the workspace's key (I1).

    `name` and `generation` are bound to the ciphertext: a blob moved to another record does not open.
    Both raise KeyTrouble when there is no key or a wrong one.
    """

    def seal(self, name: str, generation: int, plain: bytes) -> bytes: ...

    def open(self, name: str, generation: int, sealed: bytes) -> bytes: ...


class KeyPlace(Protocol):
    """Where the workspace's keys lie, for changing them (I1)."""

    def add_key(self) -> SecretBox:
        """Store a new key before the others; the box seals with it and opens what any of them sealed.

        Raises KeyTrouble, and Refused (`key.read_only`) where keys can be read but not stored.
        """

    def drop_older_keys(self, check: bytes) -> None:
        """Keep only the newest key, if it is the one that sealed `check`."""
