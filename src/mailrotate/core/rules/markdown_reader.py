"""Reads Markdown as people write it in letters: CommonMark, less what eats the characters of bare text.

What differs from CommonMark, and why, stands at each rule below. Everything else is markdown-it's.
"""

import re
from bisect import bisect_right
from functools import lru_cache
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.rules_inline.state_inline import Delimiter, StateInline

from mailrotate.core.rules.marks import VALUE, as_url_mark, as_value_mark

# The scheme and the first letter are the author's: a value alone never becomes a link.
_LINK = re.compile(r"(?:https?://|mailto:|tel:)[A-Za-z0-9\[+]", re.IGNORECASE)
# RFC 3986 2.2 and 2.3; what is already percent-encoded stays.
_URL_SAFE = "%:/?#[]@!$&'()*+,;=-._~"
_WORD = "[^\\W_]|[\ue000-\ue004]"
_BARE_URL = r"(?<!\w)(?:(?:https?|ftp)://|mailto:|tel:|www\.)[^\s<>\[\]`\"\\]++"
_BARE_ADDRESS = r"(?<![\w.%+'-])[\w.%+'-]++@(?:[^\W_]|-)++(?:\.(?:[^\W_]|-)++)++"
_BARE = re.compile(f"{_BARE_URL}|{_BARE_ADDRESS}", re.IGNORECASE)
# What may follow a URL in a sentence, or close the emphasis around it.
_AFTER_URL = "*_~.,:;!?'"
_GLUED_BEFORE = re.compile(rf"(?:{_WORD})[-./\\:@#&%+~=|]?\Z|(?<![_*])[@/\\]\Z")
_GLUED_AFTER = re.compile(rf"[-./\\:@#&%+~=|]?(?:{_WORD})")
_NO_BEGINNING = re.compile(r"[/\\]|\.\w")
_NO_END = re.compile(r"[/\\]\Z")
_OPENING, _CLOSING = tuple("([{\"'„“«‘"), tuple(")]}\"'”»’")


def make_reader() -> MarkdownIt:
    """Build a reader of letters: raw HTML is text, and nothing is a link that is not written as one."""
    made = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True})
    made.normalizeLink = _encode_link  # type: ignore[method-assign]  # markdown-it's documented hook
    made.normalizeLinkText = lambda link: as_value_mark(link)  # type: ignore[method-assign]  # likewise
    made.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]  # likewise
    # A line of dashes under a paragraph closes a letter (RFC 3676 4.3); it does not make a heading.
    made.disable("lheading")
    made.inline.ruler.before("text", "bare", _keep_bare)
    made.inline.ruler.at("emphasis", _emphasise)
    return made


def _encode_link(url: str) -> str:
    """As markdown-it does, but that marks come through and become those of a link's address."""
    end, parts = 0, []
    for found in VALUE.finditer(url):
        parts += [quote(url[end : found.start()], safe=_URL_SAFE), as_url_mark(found[0])]
        end = found.end()
    return "".join([*parts, quote(url[end:], safe=_URL_SAFE)])


def _keep_bare(state: StateInline, silent: bool) -> bool:
    """Leave a bare URL or mail address as it is written: `_`, `*` and `&` are parts of it."""
    starts, ends = _bare_words(state.src)
    found = bisect_right(starts, state.pos) - 1
    if found < 0 or ends[found] <= state.pos:
        return False
    end = min(ends[found], state.posMax)
    if not silent:
        state.pending += state.src[state.pos : end]
    state.pos = end
    return True


@lru_cache(maxsize=4)
def _bare_words(text: str) -> tuple[list[int], list[int]]:
    """Where each bare URL and address starts and ends."""
    starts, ends = [], []
    for found in _BARE.finditer(text):
        start, word = found.start(), found[0]
        if "@" in word and (lead := len(word) - len(word.lstrip("_"))):
            # `_anna@example.org_` is an emphasised address, `_anna_@example.org` an address.
            start += lead if text.startswith(word[:lead], found.end()) else 0
        starts.append(start)
        ends.append(found.start() + len(word.rstrip(_AFTER_URL)))
    return starts, ends


def _emphasise(state: StateInline, silent: bool) -> bool:
    """CommonMark's delimiter runs (6.2), but a lone `*` or any `_` inside a word is a character.

    Words here are also paths, file names and sums: `10*20*30`, `__init__.py`, `src/*/x/*/y`.
    """
    start = state.pos
    marker = state.src[start]
    if silent or marker not in ("_", "*"):
        return False
    run = state.scanDelims(start, marker == "*")
    opens, closes = _flanks(state.src, start, start + run.length, marker)
    for _ in range(run.length):
        state.push("text", "", 0).content = marker
        state.delimiters.append(
            Delimiter(
                marker=ord(marker),
                length=run.length,
                token=len(state.tokens) - 1,
                end=-1,
                open=run.can_open and opens,
                close=run.can_close and closes,
            )
        )
    state.pos += run.length
    return True


def _flanks(text: str, start: int, end: int, marker: str) -> tuple[bool, bool]:
    """Whether a run of markers may open and may close an emphasis where it stands."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before.endswith(_OPENING) and after.startswith(_CLOSING):
        return False, False  # `(*)`: the marker is what is quoted
    if before[-1:].isdigit() and after[:1].isdigit():
        return False, False  # `2**10`
    opens = _NO_BEGINNING.match(after) is None
    closes = _NO_END.search(before) is None
    if marker == "_" or end - start == 1:
        opens = opens and _GLUED_BEFORE.search(before) is None
        closes = closes and _GLUED_AFTER.match(after) is None
    return opens, closes
