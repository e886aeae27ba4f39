"""Values exchanged with mail servers, independent of the protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailrotate.core.values.credential import Credential
from mailrotate.core.values.states import Phase, Security

# The one folder that every server has (RFC 3501 5.1).
INBOX = "INBOX"
# Between two messages of a mailbox that has no gap of its own.
DEFAULT_GAP = timedelta(seconds=60)


@dataclass(frozen=True)
class Endpoint:
    """One server of a mailbox."""

    host: str
    port: int
    security: Security


@dataclass(frozen=True)
class Timeouts:
    """Seconds. The reply to the final dot has its own, long one (RFC 5321 4.5.3.2.6): giving up early
    makes a message's fate unknown."""

    connect: float = 30.0
    command: float = 300.0
    dot: float = 600.0


@dataclass(frozen=True)
class MailAccount:
    """Everything needed to log in to a mailbox's two servers."""

    address: str
    provider: str
    smtp: Endpoint
    imap: Endpoint
    username: str
    credential: Credential


@dataclass(frozen=True)
class Envelope:
    """One message on its way: RFC 5321 sender and recipients, RFC 5322 bytes with CRLF line ends."""

    sender: str
    recipients: Sequence[str]
    raw: bytes = field(repr=False)


@dataclass(frozen=True)
class ServerReply:
    """An answer, kept verbatim. `code` is None where the network or our own check spoke, not a server.

    `enhanced` is the RFC 3463 status as the server wrote it ("5.1.1"), or None.
    """

    phase: Phase
    code: int | None
    enhanced: str | None
    text: str


class MailTrouble(Exception):
    """A server, or the path to it, failed. `rules.replies` says what it means."""

    def __init__(self, reply: ServerReply) -> None:
        super().__init__(f"{reply.phase}: {f'{reply.code} ' if reply.code else ''}{reply.text}".strip())
        self.reply = reply


class FateUnknown(MailTrouble):
    """Silence, a reset or nonsense after the final dot: the message may have left or not."""


class FetchBroke(MailTrouble):
    """The connection broke while these messages were read: one of them may be the reason."""

    def __init__(self, reply: ServerReply, uids: Sequence[int]) -> None:
        super().__init__(reply)
        self.uids = tuple(uids)


@dataclass(frozen=True)
class CheckStep:
    """One step of a connection test and its result, in the server's own words."""

    service: str  # "smtp" or "imap"; "token" for a failed renewal
    step: Phase
    passed: bool
    message: str
    reply: ServerReply | None = None


@dataclass(frozen=True)
class FolderCursor:
    """How far a folder was read: RFC 3501 2.3.1.1 UIDVALIDITY and the highest UID seen."""

    uid_validity: int
    last_uid: int


@dataclass(frozen=True)
class InboxHeaders:
    """The headers of one message in the inbox, as bytes: they are a stranger's, parse with care.

    `trouble` says why the server does not give them; `arrived_at` is when it took the message in.
    """

    uid: int
    raw: bytes = field(repr=False)
    arrived_at: datetime | None = None
    trouble: str | None = None


@dataclass(frozen=True)
class ServerGuess:
    """Where a mailbox's servers were found, and how (`table`, `mx`, `autoconfig`, `flags` or `before`)."""

    provider: str
    smtp: Endpoint
    imap: Endpoint
    source: str
    username: str | None = None
