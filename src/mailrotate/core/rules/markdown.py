"""Convert Markdown to HTML and to plain text, the two forms of a letter.

Raw HTML is text, and nothing is a link that is not written as one. A line end in the source is a line end
in both forms, as people write letters; CommonMark leaves that to the renderer (section 6.7).
A source is read once: values are still marks then (`rules/marks.py`), so all letters of one template share
the two skeletons that reading gives, and only the values are set in for each.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from mailrotate.core.rules.marks import SIGNATURE, UNSUBSCRIBE, URL_VALUE, VALUE, as_url_mark, as_value_mark

_LINK = re.compile(r"(?:https?://|mailto:|tel:)[A-Za-z0-9\[+]", re.IGNORECASE)
# RFC 3986 2.2 and 2.3; what is already percent-encoded stays.
_URL_SAFE = "%:/?#[]@!$&'()*+,;=-._~"
_PIECES = f"[{SIGNATURE}{UNSUBSCRIBE}]"
_PIECE_LINE = re.compile(f"^ {{0,3}}({_PIECES})[ \t]*$", re.MULTILINE)
_MARK = f"{VALUE.pattern}|{URL_VALUE.pattern}|({_PIECES})"
_TEXT_SLOT = re.compile(_MARK)
# A piece that is a paragraph brings its own; an attribute holds no `>`, so a tag ends at the first.
_HTML_SLOT = re.compile(f"{_MARK}|<p>({_PIECES})</p>\n?|(<[^>]*>)")


class Slot(NamedTuple):
    """A place that is filled in later: a `value`, `url` value, `attribute` value, `piece` or `block`."""

    kind: str
    name: str  # a number, or the mark of a piece


Skeleton = tuple[str | Slot, ...]


@dataclass(frozen=True)
class Rich:
    """The same text as HTML and as plain text."""

    html: str
    text: str


NOTHING = Rich("", "")


def render_markdown(
    source: str, values: Sequence[str] = (), pieces: Mapping[str, Rich] | None = None
) -> Rich:
    """Both forms of a source, with `values` where it has marks and `pieces` by their marks."""
    html, text = _skeletons(source)
    known = pieces or {}
    return Rich(
        "".join(part if isinstance(part, str) else _html_of(part, values, known) for part in html),
        "".join(part if isinstance(part, str) else _text_of(part, values, known) for part in text).rstrip(),
    )


def _html_of(slot: Slot, values: Sequence[str], pieces: Mapping[str, Rich]) -> str:
    match slot.kind:
        case "block":
            return pieces.get(slot.name, NOTHING).html
        case "piece":
            # Inside a paragraph there is no room for another.
            html = pieces.get(slot.name, NOTHING).html.strip()
            return html.replace("</p>\n<p>", "<br />\n").removeprefix("<p>").removesuffix("</p>")
        case "url":
            return quote(_value(slot, values), safe="")
        case "attribute":
            return escape(_value(slot, values).replace("\n", " "))
        case _:
            return escape(_value(slot, values)).replace("\n", "<br />\n")


def _text_of(slot: Slot, values: Sequence[str], pieces: Mapping[str, Rich]) -> str:
    if slot.kind == "piece":
        return pieces.get(slot.name, NOTHING).text
    return quote(_value(slot, values), safe="") if slot.kind == "url" else _value(slot, values)


def _value(slot: Slot, values: Sequence[str]) -> str:
    # An author can write a mark as an entity (`&#xE000;`); it stands for nothing.
    number = int(slot.name[:6])
    return values[number] if number < len(values) else ""


@lru_cache(maxsize=512)
def _skeletons(source: str) -> tuple[Skeleton, Skeleton]:
    tokens = _MARKDOWN.parse(_PIECE_LINE.sub(r"\n\1\n", source))
    html: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    text = _block(SyntaxTreeNode(tokens))
    return _joined(_html_parts(html)), _joined(_parts(_TEXT_SLOT, text))


def _html_parts(html: str) -> Iterator[str | Slot]:
    for part in _parts(_HTML_SLOT, html):
        if isinstance(part, Slot) and part.kind == "tag":
            for inside in _parts(_TEXT_SLOT, part.name):
                is_value = isinstance(inside, Slot) and inside.kind == "value"
                yield Slot("attribute", inside[1]) if is_value else inside
        else:
            yield part


def _parts(pattern: re.Pattern[str], text: str) -> Iterator[str | Slot]:
    end = 0
    for found in pattern.finditer(text):
        yield text[end : found.start()]
        end = found.end()
        kind = ("value", "url", "piece", "block", "tag")[(found.lastindex or 1) - 1]
        yield Slot(kind, found[found.lastindex or 1])
    yield text[end:]


def _joined(parts: Iterator[str | Slot]) -> Skeleton:
    joined: list[str | Slot] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return tuple(joined)


# --- plain text, from the tree of tokens


def _block(node: SyntaxTreeNode) -> str:
    match node.type:
        case "paragraph" | "heading":
            return "".join(map(_inline, node.children[0].children))
        case "blockquote":
            return _indented(_blocks(node), "> ", "> ")
        case "bullet_list" | "ordered_list":
            return _list(node)
        case "fence" | "code_block":
            return _indented(node.content.rstrip("\n"), "    ", "    ")
        case "hr":
            return "-" * 20
        case _:
            return _blocks(node)


def _blocks(node: SyntaxTreeNode) -> str:
    # What a tight list holds is hidden paragraphs, with no blank line between them.
    tight = any(child.type == "paragraph" and child.hidden for child in node.children)
    return ("\n" if tight else "\n\n").join(map(_block, node.children))


def _list(node: SyntaxTreeNode) -> str:
    first = int(node.attrs.get("start", 1))
    loose = any(p.type == "paragraph" and not p.hidden for item in node.children for p in item.children)
    items = []
    for number, item in enumerate(node.children, first):
        bullet = f"{number}. " if node.type == "ordered_list" else "- "
        items.append(_indented(_blocks(item), bullet, " " * len(bullet)))
    return ("\n\n" if loose else "\n").join(items)


def _indented(text: str, first: str, others: str) -> str:
    lines = text.split("\n")
    return "\n".join(((others if n else first) + line).rstrip() for n, line in enumerate(lines))


def _inline(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "code_inline":
            return node.content
        case "softbreak" | "hardbreak":
            return "\n"
        case "image":
            return _with_address("".join(map(_inline, node.children)), str(node.attrs["src"]))
        case "link":
            return _with_address("".join(map(_inline, node.children)), str(node.attrs["href"]))
        case _:
            return "".join(map(_inline, node.children))


def _with_address(words: str, url: str) -> str:
    bare = as_value_mark(url)
    if words in (bare, bare.removeprefix("mailto:")):
        return words
    return f"{words} ({url})".lstrip()


# --- the reader


def _encode_link(url: str) -> str:
    """As markdown-it does, but that marks come through and become those of a link's address."""
    end, parts = 0, []
    for found in VALUE.finditer(url):
        parts += [quote(url[end : found.start()], safe=_URL_SAFE), as_url_mark(found[0])]
        end = found.end()
    return "".join([*parts, quote(url[end:], safe=_URL_SAFE)])


def _reader() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True})
    made.normalizeLink = _encode_link  # type: ignore[method-assign]  # markdown-it's documented hook
    made.normalizeLinkText = lambda link: as_value_mark(link)  # type: ignore[method-assign]  # likewise
    # The scheme and the first letter are the author's: no value alone becomes a link.
    made.validateLink = lambda url: _LINK.match(url) is not None  # type: ignore[method-assign]  # likewise
    return made


_MARKDOWN = _reader()
