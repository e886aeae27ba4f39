"""What a stranger's headers say: whom the mail answers, whether a machine wrote it, whether it unsubscribes.

The headers come from anybody: they are read by hand, bounded, and nothing in them raises.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from urllib.parse import unquote

from mailrotate.core.rules.encoded_words import in_clear
from mailrotate.core.rules.text import one_line
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.letter import LONGEST_SUBJECT

_MOST_BYTES = 256 * 1024
# Encoded words make a subject longer, by a factor of nine at worst.
_LONGEST_RAW_SUBJECT = 9 * LONGEST_SUBJECT
# Control characters, and those that turn the direction of writing (Unicode TR36 3.2).
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# What programs put between letters without anybody seeing it.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_FIRST_MAIL = datetime(1971, 1, 1, tzinfo=UTC)
_MOST_CITED = 100
_LONGEST_CITATION = 32 * 1024

_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_MESSAGE_ID = re.compile(r"<[^<>]{1,998}>")
_ADDRESS = re.compile(r"[^\s<>,;:\"()]+@[^\s<>,;:\"()@]+")
# A token of ours, and whatever is stuck to it.
_DIGITS = re.compile(r"[0-9a-f]{32,}")
_TOKEN_LENGTH = 32
# What may be stuck to a token, such as the last letter of `%3C`; more digits in a row are something else.
_MOST_STUCK = 8
_WHOLE_TOKEN = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
# The first word of the subject that our List-Unsubscribe asks for.
_UNSUBSCRIBE = "unsubscribe"

# Set by answering machines from before RFC 3834, and since. X-Auto-Response-Suppress is none of them: it asks
# others not to answer, and Exchange writes it into what people send.
_ANSWERING_MACHINES = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-mail-autoreply")
_DAEMONS = ("mailer-daemon", "postmaster")

_Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class InboundMail:
    """What one mail's headers say. `machine` is the sign that no person wrote it, None where there is none.

    `is_doubtful`: the sign is one that people's mail carries too; it counts only where nothing of ours is
    cited. `cited_ids` are the Message-IDs it answers, with their angle brackets, and `cited_tokens` all that
    may be a token of ours in the headers that cite. `own_tokens` are those in its own Message-ID.
    `header_id` is its own, or a hash of its headers where it has none. `subject` is one harmless line,
    `written_at` what Date says. `says_unsubscribe`: the subject holds the word beside the token.
    """

    unsubscribe_token: str | None
    machine: str | None
    cited_ids: tuple[str, ...]
    from_address: str | None
    header_id: str = ""
    subject: str = ""
    written_at: datetime | None = None
    is_doubtful: bool = False
    cited_tokens: tuple[str, ...] = ()
    own_tokens: tuple[str, ...] = ()
    says_unsubscribe: bool = False


def read_headers(raw: bytes, own: Collection[str] = ()) -> InboundMail:
    """Read the headers of a mail to the addresses `own`, in canonical form; nothing in them raises."""
    fields = _fields_of(raw[:_MOST_BYTES])
    bounce, automatic = _bounce_sign(fields), _automatic_sign(fields)
    null_path, bulk = _null_path(fields), _bulk_sign(fields)
    # RFC 3834 5: `auto-generated` answers nothing; the button of a mail program may send an unsubscribe so.
    answered_by_itself = bounce or (automatic and _first(fields, "auto-submitted") != "auto-generated")
    # What is addressed to us with our token is a wish, whatever program carried it.
    token = None if answered_by_itself and not _is_to(fields, own) else _unsubscribe_token(fields)
    return InboundMail(
        unsubscribe_token=token,
        machine=bounce or null_path or automatic or bulk,
        # One alone is also put on by mailing systems and relays; both together are a machine's.
        is_doubtful=not (bounce or automatic) and (null_path is None) != (bulk is None),
        cited_ids=_cited_ids(fields),
        cited_tokens=_tokens_in([*fields.get("in-reply-to", ()), *fields.get("references", ())]),
        own_tokens=_tokens_in(fields.get("message-id", ())),
        says_unsubscribe=token is not None and _UNSUBSCRIBE in _plain_subject(fields),
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
    if "x-failed-recipients" in fields:
        return "X-Failed-Recipients"
    sender = (_from_address(fields) or "").partition("@")[0]
    return f"From: {sender}" if sender in _DAEMONS else None


def _automatic_sign(fields: _Fields) -> str | None:
    submitted = _first(fields, "auto-submitted")
    if submitted not in ("", "no"):
        return f"Auto-Submitted: {submitted[:40]}"
    if _first(fields, "precedence") == "auto_reply":
        return "Precedence: auto_reply"
    return next((name for name in _ANSWERING_MACHINES if _first(fields, name) not in ("", "no")), None)


def _null_path(fields: _Fields) -> str | None:
    is_null = any(value.strip() == "<>" for value in fields.get("return-path", ()))
    return "Return-Path: <>" if is_null else None


def _bulk_sign(fields: _Fields) -> str | None:
    precedence = _first(fields, "precedence")
    return f"Precedence: {precedence}" if precedence in ("bulk", "junk") else None


def _is_to(fields: _Fields, own: Collection[str]) -> bool:
    named = [
        value[:2000].lower() for name in ("to", "cc", "delivered-to") for value in fields.get(name, ())[:9]
    ]
    return any(canonical_address(one) in own for value in named for one in _ADDRESS.findall(value))


def _plain_subject(fields: _Fields) -> str:
    """The subject in small letters, without what programs do to it on its way."""
    subject = in_clear(fields.get("subject", ("",))[0][:_LONGEST_RAW_SUBJECT])
    # `%20`, `%2520`, `+` and `=20` come from links and from subjects that were encoded twice.
    return _INVISIBLE.sub("", unescape(unquote(unquote(subject))).replace("=20", " ")).lower()


def _unsubscribe_token(fields: _Fields) -> str | None:
    # The word may touch the token, and its last letter could be a digit of one.
    subject = _plain_subject(fields).replace(_UNSUBSCRIBE, "|")
    # A gateway may have folded the line within the token.
    found = _WHOLE_TOKEN.search(subject) or _WHOLE_TOKEN.search("".join(subject.split()))
    return None if found is None else found[0]


def _tokens_in(values: Sequence[str]) -> tuple[str, ...]:
    """All that may be a token of ours, however it was encoded, folded or escaped on its way."""
    value = " ".join(values)
    if len(value) > _LONGEST_CITATION:
        value = f"{value[: _LONGEST_CITATION // 2]} {value[-_LONGEST_CITATION // 2 :]}"
    return tuple(_both_ends([*dict.fromkeys(_tokens_of(value))]))


def _tokens_of(value: str) -> Iterator[str]:
    for text in (value, in_clear(value)):
        for written in (text.lower(), "".join(unquote(text).lower().split())):
            for digits in _DIGITS.findall(written):
                stuck = len(digits) - _TOKEN_LENGTH
                yield from (digits[n : n + _TOKEN_LENGTH] for n in range(stuck + 1) if stuck <= _MOST_STUCK)


def _both_ends(found: list[str]) -> list[str]:
    """The thread's beginning and its end tell more than the middle."""
    if len(found) <= _MOST_CITED:
        return found
    return found[: _MOST_CITED // 2] + found[-_MOST_CITED // 2 :]


def _subject(fields: _Fields) -> str:
    raw = fields.get("subject", ("",))[0][:_LONGEST_RAW_SUBJECT]
    return one_line(_UNSEEN.sub(" ", in_clear(raw)))[:LONGEST_SUBJECT]


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
    return tuple(_both_ends([one for one in dict.fromkeys(found) if one != "<>"]))


def _from_address(fields: _Fields) -> str | None:
    """The address in From; behind a display name that itself looks like one, the last."""
    value = fields.get("from", ("",))[0][:2000]
    found = _ADDRESS.findall(value)
    if not found:
        # A bounce may come from a bare name (RFC 5321 would not have it).
        bare = value.strip().strip("<>").lower()
        return bare if bare in _DAEMONS else None
    return str(found[-1]).lower()
