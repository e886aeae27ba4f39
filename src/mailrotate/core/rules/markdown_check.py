"""What a Markdown source holds that would arrive as characters: the parser is asked what it did not read.

The reader of letters leaves a link that is none as text; a second reader, which also knows tables, raw HTML
and strikethrough, tells where an author relies on those.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it.common.utils import normalizeReference
from markdown_it.token import Token

from mailrotate.core.rules.markdown_reader import make_reader
from mailrotate.core.rules.marks import VALUE

# Stands for what is not plain text: code, an escaped character, a picture.
_NO_TEXT = "\ufffc"
_SCHEME = r"(?:https?://|mailto:|tel:)"
_ADDRESS_LIKE = rf"(?:{_SCHEME}|www\.|[\w-]+(?:\.[\w-]+)*\.[a-z]{{2,}}[/)\s])"
_INLINE = re.compile(r"\]\(([^()\n]{0,2000})")
_APART = re.compile(rf"\][ \t]+\({_ADDRESS_LIKE}", re.IGNORECASE)
_REFERENCE = re.compile(r"(?<!\w)\[([^\[\]]{1,999})\]\[([^\[\]]{0,999})\]")
_REVERSED = re.compile(rf"\)\[{_ADDRESS_LIKE}", re.IGNORECASE)
_DEFINITION = re.compile(r"^[ \t]*\[([^\[\]\n]{1,999})\]:[ \t]*(\S+)", re.MULTILINE)
_IN_ANGLES = re.compile(rf"<(?:{_SCHEME}|www\.)[^<>\n]{{1,2000}}>", re.IGNORECASE)
_BEGINS_WELL = re.compile(rf"\s*<?{_SCHEME}", re.IGNORECASE)
_BEGINNINGS = "must begin with https://, http://, mailto: or tel:, and not with a field"
_BY_DIALECT = {
    "table_open": "a table arrives as characters; write it as a list or as lines of text",
    "html_block": "HTML arrives as characters; write Markdown, or put a backslash before the <",
    "html_inline": "HTML arrives as characters; write Markdown, or put a backslash before the <",
    "s_open": "~~ arrives as characters: letters have no words that are struck through",
}
_LONGEST_WORDS = 200
_EMPHASIS = ("em_open", "strong_open")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*")
# The text before and after a backslash that Markdown reads as an escape: `C:\_new`, `\\server\files`.
_IN_PATH = re.compile(r"(?:^|[\s(\"'])[A-Za-z]:(?:\\\S*)?$")
_SERVER = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Finding:
    """Something that will not look as it is written; `line` counts from 0."""

    line: int
    message: str
    is_mistake: bool = True


def findings(source: str) -> list[Finding]:
    """Everything in a source that arrives in another way than it is written, by line."""
    env: dict[str, object] = {}
    tokens = _LETTER.parse(source, env)
    inlines = [token for token in tokens if token.type == "inline"]
    found = [finding for token in inlines for finding in _of_inline(token)]
    found += _unused_definitions(env, inlines)
    found += _of_other_dialects(source)
    return sorted(dict.fromkeys(found), key=lambda finding: finding.line)


def _of_inline(token: Token) -> Iterator[Finding]:
    first = _line(token)
    text = _leftover(token)
    breaks = [found.start() for found in re.finditer("\n", text)]
    opening = text.find("[")

    def line_at(position: int) -> int:
        return first + bisect_left(breaks, position)

    for found in _INLINE.finditer(text):
        if 0 <= opening < found.start():
            begin = text.rfind("[", max(0, found.start() - _LONGEST_WORDS), found.start())
            words = _shown(text[begin + 1 : found.start()]) if begin >= 0 else "…"
            yield Finding(line_at(found.start()), f"'[{words}](…)': {_inline_words(found[1])}")
    for found in _APART.finditer(text):
        said = "a blank stands between the words of a link and its address; write [words](https://…)"
        yield Finding(line_at(found.start()), said)
    for found in _REVERSED.finditer(text):
        said = "the brackets of a link are the wrong way round; write [words](https://…)"
        yield Finding(line_at(found.start()), said)
    for found in _REFERENCE.finditer(text):
        label = _shown(found[2] or found[1])
        said = f"the link has no address: there is no usable line '[{label}]: https://…'"
        yield Finding(line_at(found.start()), said)
    for found in _DEFINITION.finditer(text):
        if re.search(rf"[./:@#]|{VALUE.pattern}", found[2]):
            yield Finding(line_at(found.start(1)), _beginning_words(found[2]))
    for found in _IN_ANGLES.finditer(text):
        said = "the text between < and > is not a link; a link needs https:// and has no blanks"
        yield Finding(line_at(found.start()), said)
    yield from _eaten(token)
    yield from _of_paths(token)


def _inline_words(address: str) -> str:
    if not _BEGINS_WELL.match(address):
        return _beginning_words(address)
    if re.search(r"\s", address.strip()):
        return "a link's address cannot hold a blank; leave it out, or write %20"
    return "the link cannot be read; write [words](https://…), with both brackets closed"


def _beginning_words(address: str) -> str:
    fix = f"; write https://{address}" if re.fullmatch(r"www\.[!-~]{1,60}", address, re.IGNORECASE) else ""
    return f"the address of a link or picture {_BEGINNINGS}{fix}"


def _shown(label: str) -> str:
    return VALUE.sub("…", label.replace("\n", " "))[:40]


def _leftover(token: Token) -> str:
    """What the parser left as text, with the line ends of the source."""
    parts = []
    in_autolink = False
    for child in token.children or ():
        match child.type:
            case "softbreak" | "hardbreak":
                parts.append("\n")
            case "text":
                parts.append(_NO_TEXT if in_autolink else child.content)
            case "link_open" | "link_close":
                in_autolink = child.type == "link_open" and child.markup == "autolink"
            case "em_open" | "em_close" | "strong_open" | "strong_close":
                pass
            case _:
                parts.append(_NO_TEXT)
    return "".join(parts)


def _unused_definitions(env: dict[str, object], inlines: list[Token]) -> Iterator[Finding]:
    """A line `[label]: https://…` vanishes from the letter; if no link uses it, so do its words."""
    used = {
        normalizeReference(str(child.meta["label"]))
        for token in inlines
        for child in token.children or ()
        if "label" in child.meta
    }
    references = env.get("references")
    for label, known in references.items() if isinstance(references, dict) else ():
        if label not in used:
            said = f"no link uses the address '[{_shown(label.lower())}]', so this line is left out"
            yield Finding(int(known["map"][0]), said, is_mistake=False)


def _of_other_dialects(source: str) -> Iterator[Finding]:
    for token in _DIALECTS.parse(source):
        if token.type in _BY_DIALECT:
            yield Finding(_line(token), _BY_DIALECT[token.type])
        if token.type == "inline":
            line = _line(token)
            for child in token.children or ():
                line += child.type in ("softbreak", "hardbreak")
                if child.type in _BY_DIALECT:
                    yield Finding(line, _BY_DIALECT[child.type])


def _eaten(token: Token) -> Iterator[Finding]:
    """Emphasis that its author may not have meant: a warning, because many have."""
    children = token.children or []
    line = _line(token)
    for place, child in enumerate(children):
        line += child.type in ("softbreak", "hardbreak")
        if child.type not in _EMPHASIS:
            continue
        inside = children[place + 1].content if place + 1 < len(children) else ""
        if child.markup == "__" and _IDENTIFIER.fullmatch(inside):
            said = rf"'__{inside}__' becomes bold; write \_\_{inside}\_\_ to keep the characters"
            yield Finding(line, said, is_mistake=False)
        elif _ends_in_word(children, place - 1) and _begins_in_word(children, _closing(children, place) + 1):
            marker = child.markup
            said = f"'{marker}' inside words becomes emphasis; write \\{marker[0]} to keep the character"
            yield Finding(line, said, is_mistake=False)


def _of_paths(token: Token) -> Iterator[Finding]:
    """Warn about backslashes that Markdown drops from Windows paths."""
    children = token.children or []
    line = _line(token)
    for place, child in enumerate(children):
        line += child.type in ("softbreak", "hardbreak")
        if not _is_escape(child) or child.content == child.markup:
            continue
        before = children[place - 1].content if place else ""
        if _IN_PATH.search(before) or _begins_server(before, children[place:]):
            said = f"the backslash before '{child.content}' is dropped; put a path between backticks (`)"
            yield Finding(line, said, is_mistake=False)


def _begins_server(before: str, rest: list[Token]) -> bool:
    r"""Whether a path such as `\\server\files` begins here."""
    return (
        rest[0].content == "\\"
        and (not before or before[-1] in " (\"'")
        and len(rest) > 2
        and _SERVER.fullmatch(rest[1].content) is not None
        and _is_escape(rest[2])
    )


def _is_escape(token: Token) -> bool:
    return token.type == "text_special" and token.markup.startswith("\\")


def _closing(children: list[Token], opening: int) -> int:
    level = children[opening].level
    closes = (n for n in range(opening + 1, len(children)) if children[n].nesting < 0)
    return next((n for n in closes if children[n].level == level), len(children))


def _ends_in_word(children: list[Token], place: int) -> bool:
    return place >= 0 and children[place].type == "text" and children[place].content[-1:].isalnum()


def _begins_in_word(children: list[Token], place: int) -> bool:
    return place < len(children) and children[place].type == "text" and children[place].content[:1].isalnum()


def _line(token: Token) -> int:
    return token.map[0] if token.map else 0


_LETTER = make_reader()
_LETTER.disable("text_join")  # an escaped character stays apart from the text around it
_LETTER.options["store_labels"] = True
_DIALECTS = make_reader()
_DIALECTS.options["html"] = True
_DIALECTS.enable(["table", "strikethrough"])
