"""The content of a mail before it is encoded, and its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# The fields that every letter has, whoever it is for and whichever mailbox sends it.
LETTER_FIELDS = frozenset(["email", "sender_name", "sender_first_name", "sender_email"])
# Limits of a letter. Characters, unless the name says bytes.
LONGEST_TEMPLATE = 100_000
LONGEST_TEXT = 200_000  # a template with the fields filled in
LONGEST_SUBJECT = 500
LONGEST_FILENAME = 120
# Base64 adds a third, and 25 MB is what the big providers take of one message.
MOST_ATTACHED_BYTES = 18_000_000


class UnfitLetter(Exception):
    """A letter that cannot be sent as it is; the text says why. Retrying does not help."""


@dataclass(frozen=True)
class Attachment:
    filename: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Unsubscribe:
    """The address that receives unsubscribe requests, and the token that identifies the recipient."""

    address: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Letter:
    """Everything that determines the bytes of a mail, except the time.

    Templates are Jinja2; the body and the signature are Markdown as well. Without `subject_template` it is
    a follow-up in the thread that `thread_subject` began. Message-IDs stand in angle brackets; `references`
    holds the oldest first.
    """

    from_name: str | None
    from_address: str
    to_address: str
    subject_template: str | None
    body_template: str
    fields: Mapping[str, object]
    signature_markdown: str | None
    unsubscribe: Unsubscribe | None
    message_id: str
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    thread_subject: str | None = None
    attachments: tuple[Attachment, ...] = ()
