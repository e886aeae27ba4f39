"""Composes a letter: the words, the headers that go with them, and the bytes that are sent."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from html import escape
from urllib.parse import quote

from mailrotate.core.rules import mime
from mailrotate.core.rules.markdown import NOTHING, Rich, render_markdown
from mailrotate.core.rules.marks import SIGNATURE, UNSUBSCRIBE
from mailrotate.core.rules.mime import message_id_for
from mailrotate.core.rules.templates import merge, merge_subject
from mailrotate.core.rules.text import one_line, plain_lines
from mailrotate.core.values.letter import (
    LONGEST_SUBJECT,
    MOST_ATTACHED_BYTES,
    Letter,
    UnfitLetter,
    Unsubscribe,
)

__all__ = ["Composed", "Words", "compose", "compose_notice", "message_id_for", "words_of"]

# RFC 5322 3.6.4 lets References grow without end; the first and the newest are what threading needs.
_MOST_REFERENCES = 20
_REPLY_PREFIX = re.compile(r"(?:re\s*:\s*)+", re.IGNORECASE)
_PAGE = '<!DOCTYPE html>\n<html>\n<head><meta charset="utf-8"></head>\n<body>\n{}</body>\n</html>\n'


@dataclass(frozen=True)
class Words:
    """What a reader sees of a letter, in both forms."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Composed:
    """A letter ready to leave; `sha256` is that of `raw`, in hexadecimal."""

    subject: str
    raw: bytes
    sha256: str


def compose(letter: Letter, now: datetime) -> Composed:
    """The letter as RFC 5322 bytes with CRLF line ends; the same letter and `now` give the same bytes.

    Raises MissingField, or UnfitLetter for whatever else keeps it from being sent.
    """
    words = words_of(letter)
    if sum(len(attachment.data) for attachment in letter.attachments) > MOST_ATTACHED_BYTES:
        raise UnfitLetter(f"the attachments are larger than {MOST_ATTACHED_BYTES // 1_000_000} MB together")
    # Not random, or the hash would mean nothing.
    seed = sha256(letter.message_id.encode("utf-8", "replace")).hexdigest()
    body = mime.multipart(
        "alternative",
        f"=_a{seed[:32]}",
        [mime.text_part("plain", words.text), mime.text_part("html", words.html)],
    )
    if letter.attachments:
        files = [mime.attachment_part(attachment) for attachment in letter.attachments]
        body = mime.multipart("mixed", f"=_m{seed[:32]}", [body, *files])
    raw = "".join(_headers(letter, words.subject, now)).encode("ascii") + body
    return Composed(words.subject, raw, sha256(raw).hexdigest())


def compose_notice(letter: Letter, text: str, now: datetime) -> Composed:
    """A notice as RFC 5322 bytes: its text as it is, marked as a machine's so that no robot answers it.

    `subject_template` is its subject. Raises UnfitLetter.
    """
    subject = one_line(letter.subject_template or "")[:LONGEST_SUBJECT]
    # RFC 3834 5.
    headers = [*_headers(letter, subject, now), mime.header("Auto-Submitted", "auto-generated")]
    raw = "".join(headers).encode("ascii") + mime.text_part("plain", text)
    return Composed(subject, raw, sha256(raw).hexdigest())


def words_of(letter: Letter) -> Words:
    """Subject, text and HTML of a letter, without a mail around them. Raises as `compose`."""
    pieces = {}
    if letter.signature_markdown and letter.signature_markdown.strip():
        pieces[SIGNATURE] = _signature(letter.signature_markdown, letter.fields)
    if letter.unsubscribe is not None:
        pieces[UNSUBSCRIBE] = _way_out(letter.unsubscribe)
    merged = merge(letter.body_template, letter.fields, frozenset(pieces))
    body = render_markdown(merged.source, merged.values, pieces)
    left = {piece: rich for piece, rich in pieces.items() if piece not in merged.source}
    signature, way_out = left.get(SIGNATURE, NOTHING), left.get(UNSUBSCRIBE, NOTHING)
    texts = [body.text, f"-- \n{signature.text}" if signature.text else "", way_out.text]
    return Words(
        subject=_subject(letter),
        text="\n\n".join(text for text in texts if text) + "\n",
        html=_PAGE.format(
            body.html + (f"<p>-- </p>\n{signature.html}" if signature.text else "") + way_out.html
        ),
    )


def _signature(template: str, fields: Mapping[str, object]) -> Rich:
    try:
        merged = merge(template, fields)
    except UnfitLetter:
        # It was stored before signatures had fields, and is placed as it was written.
        return render_markdown(plain_lines(template))
    return render_markdown(merged.source, merged.values)


def _subject(letter: Letter) -> str:
    if letter.subject_template is not None:
        return merge_subject(letter.subject_template, letter.fields)
    if letter.thread_subject is None:
        raise UnfitLetter("it has no subject and no previous message to answer")
    subject = f"Re: {_REPLY_PREFIX.sub('', one_line(letter.thread_subject), count=1)}"
    return subject[:LONGEST_SUBJECT]


def _headers(letter: Letter, subject: str, now: datetime) -> Sequence[str]:
    if not mime.is_message_id(letter.message_id):
        raise UnfitLetter(f"'{one_line(letter.message_id)}' is not a Message-ID")
    headers = [
        mime.mailbox_header("From", letter.from_address, letter.from_name),
        mime.mailbox_header("To", letter.to_address),
        mime.text_header("Subject", subject),
        mime.header("Date", *format_datetime(now.astimezone(UTC)).split()),
        mime.header("Message-ID", letter.message_id),
    ]
    # A server may have given a message of the thread an id that no header can hold: then it is not cited.
    if letter.in_reply_to is not None and mime.is_message_id(letter.in_reply_to):
        headers.append(mime.header("In-Reply-To", letter.in_reply_to))
    cited = list(dict.fromkeys(filter(mime.is_message_id, letter.references)))
    if len(cited) > _MOST_REFERENCES:
        cited = [cited[0], *cited[1 - _MOST_REFERENCES :]]
    if cited:
        headers.append(mime.header("References", *cited))
    if letter.unsubscribe is not None:
        headers.append(mime.header("List-Unsubscribe", f"<{_mailto(letter.unsubscribe)}>"))
    return [*headers, mime.header("MIME-Version", "1.0")]


def _mailto(unsubscribe: Unsubscribe) -> str:
    # RFC 6068 2: what separates parts of the address or the query is percent-encoded.
    address = quote(mime.ascii_address(unsubscribe.address), safe="@!$'*+")
    return f"mailto:{address}?subject=unsubscribe%20{quote(unsubscribe.token, safe='')}"


def _way_out(unsubscribe: Unsubscribe) -> Rich:
    url = _mailto(unsubscribe)
    return Rich(
        html=f'<p>To stop these messages, <a href="{escape(url)}">unsubscribe</a>.</p>\n',
        text=f"To stop these messages, unsubscribe by mail: {url}",
    )
