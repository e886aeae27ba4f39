"""What a stranger's headers say: whom the mail answers, whether a machine wrote it, whether it unsubscribes.

The headers come from anybody: they are read by hand, bounded, and nothing in them raises.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime

from mailrotate.core.rules.text import one_line
from mailrotate.core.values.letter import LONGEST_SUBJECT

_MOST_BYTES = 256 * 1024
# Encoded words make a subject longer, by a factor of nine at worst.
_LONGEST_RAW_SUBJECT = 9 * LONGEST_SUBJECT
# Control characters, and those that turn the direction of writing (Unicode TR36 3.2).
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_FIRST_MAIL = datetime(1971, 1, 1, tzinfo=UTC)
_MOST_CITED = 100

_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_MESSAGE_ID = re.compile(r"<[^<>]{1,998}>")
_ADDRESS = re.compile(r"[^\s<>,;:\"()]+@[^\s<>,;:\"()@]+")
# The subject that our List-Unsubscribe asks for, and nothing else.
_UNSUBSCRIBE = re.compile(r"unsubscribe\s+([0-9a-f]{32})", re.IGNORECASE)

# Set by answering machines from before RFC 3834, and since. X-Auto-Response-Suppress is none of them: it asks
# others not to answer, and Exchange writes it into what people send.
_ANSWERING_MACHINES = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-mail-autoreply")
_DAEMONS = ("mailer-daemon", "postmaster")

_Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class InboundMail:
    """What one mail's headers say. `machine` is the sign that no person wrote it, None where there is none.

    `cited_ids` are the Message-IDs it answers, with their angle brackets. `header_id` is its own, or a hash
    of its headers where it has none. `subject` is one harmless line, `written_at` what Date says.
    """

    unsubscribe_token: str | None
    machine: str | None
    cited_ids: tuple[str, ...]
    from_address: str | None
    header_id: str = ""
    subject: str = ""
    written_at: datetime | None = None


def read_headers(raw: bytes) -> InboundMail:
    """Read the headers of a mail; whatever they hold, this does not raise."""
    fields = _fields_of(raw[:_MOST_BYTES])
    bounce, automatic = _bounce_sign(fields), _automatic_sign(fields)
    # RFC 3834 5: `auto-generated` answers nothing; the button of a mail program may send an unsubscribe so.
    answered_by_itself = bounce or (automatic and _first(fields, "auto-submitted") != "auto-generated")
    return InboundMail(
        unsubscribe_token=None if answered_by_itself else _unsubscribe_token(fields),
        machine=bounce or automatic,
        cited_ids=_cited_ids(fields),
        from_address=_from_address(fields),
        header_id=_header_id(fields) or f"sha256:{hashlib.sha256(raw[:_MOST_BYTES]).hexdigest()}",
        subject=_subject(fields),
        written_at=_written_at(fields),
    )


def addressees(raw: bytes) -> tuple[str, ...]:
    """The addresses that a mail's headers name as recipients, in lower case."""
    fields = _fields_of(raw[:_MOST_BYTES])
    named = ", ".join(value for name in ("to", "cc") for value in fields.get(name, ()))
    return tuple(dict.fromkeys(found.lower() for found in _ADDRESS.findall(named[:20_000])))


def _fields_of(raw: bytes) -> _Fields:
    """The header fields by name in lower case, unfolded (RFC 5322 2.2.3), in their order."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    fields: dict[str, list[str]] = {}
    for line in re.sub(r"\n(?=[ \t])", "", text).split("\n"):
        if not line:
            break
        found = _FIELD.fullmatch(line)
        if found is not None:
            fields.setdefault(found[1].lower(), []).append(found[2])
    return fields


def _first(fields: _Fields, name: str) -> str:
    """The first value of that name, without comment and parameters, in lower case; "" for none."""
    value = fields.get(name, ("",))[0]
    return re.split(r"[;(]", value, maxsplit=1)[0].strip().lower()


def _bounce_sign(fields: _Fields) -> str | None:
    if _first(fields, "content-type") == "multipart/report":
        return "Content-Type: multipart/report"
    if any(value.strip() == "<>" for value in fields.get("return-path", ())):
        return "Return-Path: <>"
    if "x-failed-recipients" in fields:
        return "X-Failed-Recipients"
    sender = (_from_address(fields) or "").partition("@")[0]
    return f"From: {sender}" if sender in _DAEMONS else None


def _automatic_sign(fields: _Fields) -> str | None:
    submitted = _first(fields, "auto-submitted")
    if submitted not in ("", "no"):
        return f"Auto-Submitted: {submitted[:40]}"
    precedence = _first(fields, "precedence")
    if precedence in ("bulk", "junk", "auto_reply"):
        return f"Precedence: {precedence}"
    return next((name for name in _ANSWERING_MACHINES if _first(fields, name) not in ("", "no")), None)


def _unsubscribe_token(fields: _Fields) -> str | None:
    subject = fields.get("subject", ("",))[0].strip()
    # Some programs encode every subject (RFC 2047).
    found = None if len(subject) > 200 else _UNSUBSCRIBE.fullmatch(_decoded(subject).strip())
    return None if found is None else found[1].lower()


def _decoded(text: str) -> str:
    """The text with its encoded words (RFC 2047) in clear; as it is where they are none."""
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text


def _subject(fields: _Fields) -> str:
    raw = fields.get("subject", ("",))[0][:_LONGEST_RAW_SUBJECT]
    return one_line(_UNSEEN.sub(" ", _decoded(raw)))[:LONGEST_SUBJECT]


def _header_id(fields: _Fields) -> str | None:
    found = _MESSAGE_ID.search(fields.get("message-id", ("",))[0])
    return None if found is None else one_line("".join(found[0].split()))


def _written_at(fields: _Fields) -> datetime | None:
    """None where Date cannot be read, or names an instant before there was any mail."""
    try:
        written = parsedate_to_datetime(fields.get("date", ("",))[0][:100])
        # RFC 5322 3.3: a zone of -0000 says nothing of the sender's.
        written = written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return written if written >= _FIRST_MAIL else None


def _cited_ids(fields: _Fields) -> tuple[str, ...]:
    values = [*fields.get("in-reply-to", ()), *fields.get("references", ())]
    # Long ids are folded within their brackets by some programs.
    found = ("".join(cited.split()) for value in values for cited in _MESSAGE_ID.findall(value))
    cited = [one for one in dict.fromkeys(found) if one != "<>"]
    if len(cited) > _MOST_CITED:
        # The thread's beginning and its end tell more than the middle.
        cited = cited[: _MOST_CITED // 2] + cited[-_MOST_CITED // 2 :]
    return tuple(cited)


def _from_address(fields: _Fields) -> str | None:
    """The address in From; behind a display name that itself looks like one, the last."""
    value = fields.get("from", ("",))[0][:2000]
    found = _ADDRESS.findall(value)
    if not found:
        # A bounce may come from a bare name (RFC 5321 would not have it).
        bare = value.strip().strip("<>").lower()
        return bare if bare in _DAEMONS else None
    return str(found[-1]).lower()
