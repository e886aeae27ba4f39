"""Which mail is new in an open folder, and its headers: nothing that a server leaves out is passed over."""

import imaplib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime

from imap_tools.errors import UnexpectedCommandStatusError

from mailrotate.core.values.mail import InboxHeaders
from mailrotate.providers.imap_wire import HEADER_BYTES, said_in, text_of

# So many UIDs are asked for at a time that the answer stays below its limits, also with a line for each.
_SPAN = 20_000
# More than anybody reads in one session; the next reading goes on behind them.
_MOST_UIDS = 200_000
_PARTS = f"(UID INTERNALDATE BODY.PEEK[HEADER]<0.{HEADER_BYTES}>)"
# So many messages in a row refused, and none given: then it is the folder that cannot be read.
_REFUSED_IN_A_ROW = 3
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UID = re.compile(rb"\bUID +(\d+)", re.IGNORECASE)
_ARRIVED = re.compile(rb'\bINTERNALDATE "([^"]{1,40})"', re.IGNORECASE)
# A server may give a short header as a quoted string.
_QUOTED_HEADER = re.compile(rb'BODY\[HEADER\]\S* "((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_ESCAPED = re.compile(rb"\\(.)")
_LEFT_OUT = "the server leaves it out"


def new_uids(client: imaplib.IMAP4, first: int, last: int, count: int) -> list[int]:
    """Return the UIDs from `first` to `last`, ascending, of a folder that holds `count` messages.

    Some servers cap the answer to a SEARCH, or leave it empty: if the message before the found ones is
    new as well, FETCH is asked for what is there.
    """
    found, is_all = _by_spans(client, _search, first, last)
    before = count - len(found)
    if is_all and before > 0 and (first == 1 or _uid_at(client, before) >= first):
        found |= _by_spans(client, _listed, first, last)[0]
    return sorted(found)


def _by_spans(
    client: imaplib.IMAP4, ask: Callable[[imaplib.IMAP4, int, int], set[int]], first: int, last: int
) -> tuple[set[int], bool]:
    """Ask for some UIDs at a time; return what is there, and whether that is all."""
    found: set[int] = set()
    start, span = first, _SPAN
    while start <= last and len(found) < _MOST_UIDS:
        end = min(start + span - 1, last)
        some = ask(client, start, end)
        found |= some
        # Some servers skip millions of numbers.
        start, span = end + 1, _SPAN if some else span * 2
    return found, start > last


def uids_since(client: imaplib.IMAP4, day: date) -> list[int]:
    """Return the UIDs of the messages that arrived in the open folder on `day` or later, ascending."""
    # The name of a month is English, whatever the locale (RFC 3501 9, date-month).
    return sorted(_found(client, f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year}"))


def headers(client: imaplib.IMAP4, uids: Sequence[int], count: int) -> Iterator[InboxHeaders]:
    """Yield the headers of these messages in their order, with `trouble` for those that are not given.

    What an answer leaves out or refuses is asked for singly. Raises if the server gives no message at all.
    """
    given, said = _ask(client, uids)
    is_served, troubles = bool(given), dict[int, str]()
    for uid in [uid for uid in uids if uid not in given]:
        some, said = _ask(client, [uid])
        given |= some
        is_served = is_served or bool(some)
        if not some:
            troubles[uid] = said or _LEFT_OUT
        if not is_served and len(troubles) in (len(uids), _REFUSED_IN_A_ROW):
            # Whether it is about these messages or about the folder, another message tells.
            is_served = _gives_another(client, uids, count)
            if not is_served:
                raise UnexpectedCommandStatusError(_refusal(troubles[uid]), "OK")
    for uid in uids:
        if uid in given:
            yield given[uid]
        else:
            is_gone = troubles[uid] == _LEFT_OUT and not _search(client, uid, uid)
            yield InboxHeaders(uid, b"", trouble=None if is_gone else troubles[uid])


def number(client: imaplib.IMAP4, name: str) -> int | None:
    """Return a number that the server gave with its last answer, such as UIDNEXT."""
    values = client.response(name)[1]
    value = values[-1] if values else None
    return int(value) if isinstance(value, bytes) and value.isdigit() and len(value) < 20 else None


def _search(client: imaplib.IMAP4, first: int, last: int) -> set[int]:
    # Both ends are given: `n:*` also matches a last message with a UID below n.
    return {uid for uid in _found(client, f"UID {first}:{last}") if first <= uid <= last}


def _found(client: imaplib.IMAP4, criteria: str) -> Iterator[int]:
    answer = client.uid("SEARCH", criteria)
    if answer[0] != "OK":
        raise UnexpectedCommandStatusError(answer, "OK")
    # A server may answer in several lines, and end one with `(MODSEQ n)` (RFC 7162 3.1.5).
    words = [word for line in answer[1] if line for word in line.partition(b"(")[0].split()]
    return filter(None, map(_whole, words))


def _uid_at(client: imaplib.IMAP4, position: int) -> int:
    """The UID of the message with this number in the folder; 0 if the server does not say."""
    try:
        answer = client.fetch(str(position), "(UID)")
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:
        return 0
    uids = _uids(answer[1]) if answer[0] == "OK" else []
    return uids[0] if uids else 0


def _listed(client: imaplib.IMAP4, first: int, last: int) -> set[int]:
    answer = client.uid("FETCH", f"{first}:{last}", "(UID)")
    return {uid for uid in _uids(answer[1]) if first <= uid <= last} if answer[0] == "OK" else set()


def _uids(answer: Sequence[object]) -> list[int]:
    parts = (part[0] if isinstance(part, tuple) else part for part in answer)
    found = (_UID.search(part) for part in parts if isinstance(part, bytes))
    return [_whole(one[1]) for one in found if one]


def _whole(word: bytes) -> int:
    # A UID has 32 bits (RFC 3501 2.3.1.1); what is longer is none.
    return int(word) if word.isdigit() and len(word) < 20 else 0


def _ask(client: imaplib.IMAP4, uids: Sequence[int]) -> tuple[dict[int, InboxHeaders], str]:
    """Fetch headers; return what was given and the words of a refusal."""
    try:
        status, answer = client.uid("FETCH", ",".join(map(str, uids)), _PARTS)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as refusal:
        return {}, said_in(refusal)
    if status != "OK":
        return {}, f"{status} {text_of(answer[-1] if answer else b'')}"
    return {one.uid: one for one in _given(answer) if one.uid in uids}, ""


def _given(answer: Sequence[object]) -> Iterator[InboxHeaders]:
    """Yield the messages of one FETCH response; the UID may come before or after the headers."""
    for position, part in enumerate(answer):
        if isinstance(part, tuple):
            after = answer[position + 1] if position + 1 < len(answer) else b""
            words, raw = part[0] + b" " + (after if isinstance(after, bytes) else b""), part[1]
        elif isinstance(part, bytes) and (quoted := _QUOTED_HEADER.search(part)):
            words, raw = part.replace(quoted[0], b""), _ESCAPED.sub(rb"\1", quoted[1])
        else:
            continue
        uid, arrived = _UID.search(words), _ARRIVED.search(words)
        if uid is not None:
            yield InboxHeaders(_whole(uid[1]), raw, None if arrived is None else _instant(arrived[1]))


def _instant(date: bytes) -> datetime | None:
    try:
        return parsedate_to_datetime(text_of(date)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _gives_another(client: imaplib.IMAP4, uids: Sequence[int], count: int) -> bool:
    """Whether the server gives the oldest or the newest message, where that is not one of these."""
    others = {_uid_at(client, position) for position in (1, count) if position > 0} - {0, *uids}
    return any(_ask(client, [uid])[0] for uid in sorted(others))


def _refusal(said: str) -> tuple[str, list[bytes]]:
    status, _, words = said.partition(" ")
    return (status, [words.encode()]) if status in ("NO", "BAD") else ("NO", [said.encode()])
