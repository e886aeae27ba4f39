"""The names of states in the database, the rules and the user interface."""

from enum import StrEnum


class UserState(StrEnum):
    ACTIVE = "active"
    LOCKED = "locked"


class Role(StrEnum):
    ADMIN = "admin"
    MANAGER = "manager"
    MEMBER = "member"


class SlotKind(StrEnum):
    INCLUDED = "included"
    PURCHASED = "purchased"


class RequestState(StrEnum):
    """The state of a mailbox request (A7)."""

    REQUESTED = "requested"
    APPROVED = "approved"
    DENIED = "denied"


class ConnectionState(StrEnum):
    CONNECTED = "connected"
    FAILED = "failed"
    DISCONNECTED = "disconnected"


class DeadlineState(StrEnum):
    RUNNING = "running"
    ENDED = "ended"


class DeadlineKind(StrEnum):
    """What a mailbox has to come back from before its time in a rotation is over."""

    DISCONNECT = "disconnect"
    FAILURE = "failure"


class Departure(StrEnum):
    """Why a mailbox is no longer a sender of a rotation.

    `took_over` never was one: it sends for the recipients that it was given, and gets no new ones.
    """

    TOOK_OVER = "took_over"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    SENDER_REMOVED = "sender_removed"
    MAILBOX_REMOVED = "mailbox_removed"


# The shown state of a removed mailbox; its connection stays `disconnected`.
REMOVED_MAILBOX = "removed"


class CampaignState(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    FINISHED = "finished"


class RecipientState(StrEnum):
    """`queued` has had no message of the campaign yet; the other open state is `active`."""

    QUEUED = "queued"
    ACTIVE = "active"
    REPLIED = "replied"
    BOUNCED = "bounced"
    UNSUBSCRIBED = "unsubscribed"
    STOPPED = "stopped"
    FAILED = "failed"
    FINISHED = "finished"


OPEN_RECIPIENTS = (RecipientState.QUEUED, RecipientState.ACTIVE)


class MessageState(StrEnum):
    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    SENT = "sent"
    ERROR = "error"
    HELD = "held"
    CANCELLED = "cancelled"


# Counted by a mailbox's limits; a message that may have left counts too.
COUNTED_MESSAGES = (MessageState.SENDING, MessageState.SENT, MessageState.HELD)


class MessageKind(StrEnum):
    CAMPAIGN = "campaign"
    TEST = "test"
    COMPOSE = "compose"
    NOTICE = "notice"


class Priority(StrEnum):
    """The order within a mailbox; the values sort in the order of sending."""

    NOTICE = "-"
    BY_HAND = "0"
    FOLLOW_UP = "1"
    FIRST = "2"


class Rotation(StrEnum):
    """How a rotated campaign spreads new people over its senders."""

    EQUAL = "equal"
    OWNER = "owner"
    ADDER = "adder"
    WEIGHTED = "weighted"
    CAPACITY = "capacity"


class SuppressionKind(StrEnum):
    ADDRESS = "address"
    DOMAIN = "domain"


class Security(StrEnum):
    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class Phase(StrEnum):
    """How far a conversation with a server had come when something happened."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    EHLO = "ehlo"
    AUTH = "auth"
    PERMISSION = "permission"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


class ReplyClass(StrEnum):
    """The meaning of a server's answer: who is affected, and for how long."""

    NET = "net"
    RETRY = "retry"
    SOFT = "soft"
    HARD = "hard"
    LIMIT = "limit"
    AUTH = "auth"
    SENDER = "sender"
    MESSAGE = "message"
    UNKNOWN = "unknown"


class Who(StrEnum):
    """Who is affected by an answer: only them."""

    NETWORK = "network"
    MESSAGE = "message"
    RECIPIENT = "recipient"
    MAILBOX = "mailbox"
    TENANT = "tenant"


class Direction(StrEnum):
    """The direction of a mail on a contact's timeline, from the mailbox's view."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"
