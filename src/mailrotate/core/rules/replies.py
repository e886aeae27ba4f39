"""What a server's answer means: whom it concerns and for how long (F4).

The rules are data, `replies.toml`, dated and with their sources. They are tried in its order: the server's
words, then the enhanced status and the phase, then the reply code and the phase. Words about the sender come
before anything about the recipient, and no code alone ends a recipient: that takes words, or a status, that
say that the address does not exist.

Words are read sentence by sentence: a rule names what a sentence must speak of (the recipient, an absence),
and `reply_words.toml` lists the words for it in many languages. So a wording that is new is still read by its
meaning.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import cache, partial
from importlib.resources import files
from typing import Any

from mailrotate.core.values.duration import parse_duration
from mailrotate.core.values.hint import Hint
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import Phase, ReplyClass, Who

# Whom an answer of a class concerns, where its rule names nobody else.
_WHO = {
    ReplyClass.NET: Who.NETWORK,
    ReplyClass.RETRY: Who.MESSAGE,
    ReplyClass.SOFT: Who.RECIPIENT,
    ReplyClass.HARD: Who.RECIPIENT,
    ReplyClass.LIMIT: Who.MAILBOX,
    ReplyClass.AUTH: Who.MAILBOX,
    ReplyClass.SENDER: Who.MAILBOX,
    ReplyClass.MESSAGE: Who.MESSAGE,
    ReplyClass.UNKNOWN: Who.MESSAGE,
}
_FROM_MAIL = frozenset((Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT))
_FROM_AUTH = _FROM_MAIL | {Phase.AUTH, Phase.PERMISSION}
# Before MAIL no recipient and no content has been named: these classes cannot apply.
_ONLY_FROM_MAIL = (ReplyClass.SOFT, ReplyClass.HARD, ReplyClass.MESSAGE)

_STATUS = r"#?([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)"
_REPLY = re.compile(rf"\s*(?:smtp;\s*)?(?:([2-5]\d\d)(?:[ ,-]|$))?\s*(?:{_STATUS})?", re.IGNORECASE)
# qmail puts the status at the end: `sorry, no mailbox here by that name (#5.1.1)`.
_LAST_STATUS = re.compile(r"\(#([245]\.\d{1,3}\.\d{1,3})\b")
# Servers begin each line of a longer answer with the same numbers; the words run on behind them.
_NUMBERS = re.compile(
    rf"(?:^\s*|(?<!\S))[2-5]\d\d-(?:{_STATUS})?|^\s*[2-5]\d\d(?:[ ,]|$)|(?<!\S)\(?{_STATUS}\)?(?!\S)",
    re.IGNORECASE | re.MULTILINE,
)
# A person copies an answer with what Postfix writes around it: which host said it, and to which command.
_LOGGED_BEFORE = re.compile(r"^(?!\s*[245]\d\d\b).{0,300}?\bsaid:\s+(?=[245]\d\d\b)", re.DOTALL)
_LOGGED_BEHIND = re.compile(r"\(in reply to [^()]{1,40}\)", re.IGNORECASE)
# What an address, a link or a host name is made of says nothing: `<no-such-user@example.com>`,
# `…/mail/?p=NoSuchUser`, `mx.spam-filter.example.com`; unless it is the name of a list of refused senders.
_NO_ADDRESS = r"\s<>()\[\]:;,\"'"
_ADDRESS = re.compile(rf"(?<![^{_NO_ADDRESS}])[^{_NO_ADDRESS}]+@[^{_NO_ADDRESS}]+")
_LINK = re.compile(r"\b(?:https?:// ?|www\.)\S+", re.IGNORECASE)
_HOST = re.compile(
    r"(?<![\w.-])(?:[a-z0-9-]+\.){2,}[a-z]{2,}\b|(?<![\w.-])[a-z0-9-]+\.(?:com|net|org|info|biz)\b"
)
_BLOCKLIST = re.compile(
    r"(?:^|[./-])(?:[dpsx]bl|rbl|dnsbl|zen|spamhaus|spamcop|sorbs|barracudacentral|surbl|uribl|ordb|abuseat|abusix"
    r"|uceprotect|invaluement|hostkarma|mailspike|denyip)\b",
    re.IGNORECASE,
)
_LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "\u2019": "'"}
)
# Sentences end at a full stop; a colon mostly stands between a thing and what is said of it.
_END = re.compile(r"[.;!?]+(?=\s|$)|\s-{1,3}\s")
# Different writings of the same word.
_SAME = (
    (re.compile(r"(?<=[a-z])(?=[A-Z][a-z])"), " "),
    (re.compile(r"\[?\b\d{1,3}(?:\.\d{1,3}){3}\b\]?"), "ip"),
    (re.compile(r"\bca(?:n|n')?not\b|\bcan'?t\b", re.IGNORECASE), "can not"),
    (
        re.compile(
            r"\b(do|does?|dos|is|are|was|were|has|have|had|did|could|wo|ca|would|should)'?n'?t\b",
            re.IGNORECASE,
        ),
        r"\1 not",
    ),
    (re.compile(r"\be-mail", re.IGNORECASE), "email"),
)
# These are written without spaces, or are of several languages at once: a word can begin anywhere.
_WITHOUT_SPACES = ("chinese", "japanese", "korean", "other")
# A server may say more than this, but what it means it says first.
_LONGEST_WORDS = 2000


@dataclass(frozen=True)
class ReplyVerdict:
    """What an answer means, which rule says so, and what to do; `hold_for` is how long a limit lasts."""

    reply_class: ReplyClass
    who: Who
    code: int | None
    enhanced: str | None
    hint: Hint
    hold_for: timedelta | None
    rule: str


class _Said:
    """What an answer says in words, and which of its sentences speak of what."""

    def __init__(self, text: str) -> None:
        self.whole = plain(text)
        self._sentences = _sentences(self.whole)
        self._found: dict[str, frozenset[int]] = {}

    def in_a_sentence(self, words: Iterable[frozenset[str]], no_words: frozenset[str]) -> bool:
        """Whether one sentence speaks of one subject of each set, and of none of the others."""
        found = frozenset.intersection(*map(self._on_any, words))
        return bool(found and found - self._on_any(no_words))

    def _on_any(self, subjects: frozenset[str]) -> frozenset[int]:
        return frozenset[int]().union(*map(self._on, subjects))

    def _on(self, subject: str) -> frozenset[int]:
        """The places of the sentences that speak of a subject."""
        if subject not in self._found:
            words = _words(subject)
            self._found[subject] = frozenset(
                place for place, sentence in enumerate(self._sentences) if words.search(sentence)
            )
        return self._found[subject]


def _sentences(words: str) -> list[str]:
    """The sentences of an answer, each word in one writing."""
    for writing, same in _SAME:
        words = writing.sub(same, words)
    return [sentence.strip(" <>()[]{}:,*'\"") for sentence in _END.split(words)]


@dataclass(frozen=True)
class Rule:
    """One rule of `replies.toml`; an empty condition always holds."""

    name: str
    reply_class: ReplyClass
    who: Who
    hint: Hint
    hold_for: timedelta | None
    source: str
    phases: frozenset[Phase]
    providers: tuple[str, ...]
    codes: tuple[str, ...]
    enhanced: tuple[str, ...]
    text: re.Pattern[str] | None
    words: tuple[frozenset[str], ...]
    no_words: frozenset[str]

    def matches(self, phase: Phase, provider: str, code: str, enhanced: str, said: _Said) -> bool:
        return (
            phase in self.phases
            and (not self.providers or provider in self.providers)
            and (not self.codes or any(fnmatchcase(code, pattern) for pattern in self.codes))
            and (not self.enhanced or any(fnmatchcase(enhanced, pattern) for pattern in self.enhanced))
            and (self.text is None or self.text.search(said.whole) is not None)
            and (not self.words or said.in_a_sentence(self.words, self.no_words))
        )


@cache
def rules() -> Mapping[str, tuple[Rule, ...]]:
    """All rules in their order: `smtp` for answers with a code, `codeless` for the others."""
    return {kind: tuple(map(_rule, _data()[kind])) for kind in ("smtp", "codeless")}


def hint_for(reply_class: ReplyClass) -> Hint:
    """What to do about an answer of this class, whatever its words."""
    return Hint.of(_data()["hints"][reply_class])


@cache
def _data(name: str = "replies.toml") -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text("utf-8"))


@cache
def _words(subject: str) -> re.Pattern[str]:
    """The words for a subject of `reply_words.toml` in every language."""
    return _pattern(
        "|".join(
            "|".join(words) if language in _WITHOUT_SPACES else rf"\b(?:{'|'.join(words)})"
            for language, words in _data("reply_words.toml")[subject].items()
        )
    )


def _subjects(names: str) -> frozenset[str]:
    """Take apart "host | sender": subjects of which one is enough."""
    return frozenset(name.strip() for name in names.split("|"))


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(_without_accents(text), re.IGNORECASE)


def _rule(row: Mapping[str, Any]) -> Rule:
    reply_class = ReplyClass(row["class"])
    phases = frozenset(map(Phase, row["phases"])) if "phases" in row else _FROM_AUTH
    if Phase.DATA in phases:
        phases |= {Phase.DOT}
    if reply_class in _ONLY_FROM_MAIL:
        phases &= _FROM_MAIL
    return Rule(
        name=row["name"],
        reply_class=reply_class,
        who=Who(row["who"]) if "who" in row else _WHO[reply_class],
        hint=Hint.of(row["hint"]) if "hint" in row else hint_for(reply_class),
        hold_for=parse_duration(row["hold_for"]) if "hold_for" in row else None,
        source=_data()["sources"][row["source"]],
        phases=phases,
        providers=tuple(row.get("provider", ())),
        codes=tuple(row.get("code", ())),
        enhanced=tuple(row.get("enhanced", ())),
        text=_pattern(row["text"]) if "text" in row else None,
        words=tuple(map(_subjects, row.get("words", ()))),
        no_words=frozenset(row.get("no_words", ())),
    )


def classify(reply: ServerReply, provider: str) -> ReplyVerdict:
    """Say what the answer means. `provider` is the mailbox's, for the few answers that differ by it."""
    enhanced = reply.enhanced or parse_reply(reply.text, reply.phase).enhanced
    # A status without a code is still a server's answer: its first digit says as much.
    code = f"{enhanced[0]}??" if reply.code is None and enhanced else str(reply.code or "")
    said = _Said(reply.text)
    kind = "smtp" if code else "codeless"
    rule = next(
        rule for rule in rules()[kind] if rule.matches(reply.phase, provider, code, enhanced or "", said)
    )
    return ReplyVerdict(rule.reply_class, rule.who, reply.code, enhanced, rule.hint, rule.hold_for, rule.name)


def plain(text: str) -> str:
    """The words of an answer: no code, status, link or accent; for an address or host only what it is."""
    said = _LOGGED_BEHIND.sub("", _LOGGED_BEFORE.sub("", text[:_LONGEST_WORDS]))
    words = _ADDRESS.sub("address", said)
    words = _HOST.sub(partial(_named, "name"), _LINK.sub(partial(_named, ""), words))
    return _without_accents(" ".join(_NUMBERS.sub(" ", words).replace("_", " ").split()))


def _named(kind: str, found: re.Match[str]) -> str:
    """What stands for a link or a host name in the words of an answer."""
    return "blocklist" if _BLOCKLIST.search(found[0]) else kind


def _without_accents(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return unicodedata.normalize("NFC", "".join(one for one in letters if not unicodedata.combining(one)))


def parse_reply(text: str, phase: Phase) -> ServerReply:
    """Take apart an answer as a person copies it from a log or a bounce, like `550-5.1.1 No such user`."""
    found = _REPLY.match(_LOGGED_BEFORE.sub("", text))
    assert found is not None  # every part is optional
    code, enhanced = found.groups()
    if enhanced is None and (last := _LAST_STATUS.search(text)) is not None:
        enhanced = last.group(1)
    return ServerReply(phase, None if code is None else int(code), enhanced, text)
