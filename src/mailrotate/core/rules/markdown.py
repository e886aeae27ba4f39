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

from markdown_it.tree import SyntaxTreeNode

from mailrotate.core.rules.markdown_reader import make_reader
from mailrotate.core.rules.marks import SIGNATURE, UNSUBSCRIBE, URL_VALUE, VALUE, as_value_mark

_PIECES = f"[{SIGNATURE}{UNSUBSCRIBE}]"
_PIECE_LINE = re.compile(f"^ {{0,3}}({_PIECES})[ \t]*$", re.MULTILINE)
_MARK = f"{VALUE.pattern}|{URL_VALUE.pattern}|({_PIECES})"
_TEXT_SLOT = re.compile(_MARK)
# A piece that is a paragraph brings its own; an attribute holds no `>`, so a tag ends at the first.
_HTML_SLOT = re.compile(f"{_MARK}|<p>({_PIECES})</p>\n?|(<[^>]*>)")


class Line(NamedTuple):
    """A line of plain text; `hang` stands before each further line that a value brings into it."""

    text: str
    hang: str = ""


class Slot(NamedTuple):
    """A place that is filled in later: a `value`, `url` value, `attribute` value, value in `code`, `piece`
    or `block`."""

    kind: str
    name: str  # a number, or the mark of a piece
    hang: str = ""  # as in Line


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
        case "code":
            return escape(_value(slot, values))
        case _:
            return escape(_value(slot, values)).replace("\n", "<br />\n")


def _text_of(slot: Slot, values: Sequence[str], pieces: Mapping[str, Rich]) -> str:
    if slot.kind == "url":
        return quote(_value(slot, values), safe="")
    text = pieces.get(slot.name, NOTHING).text if slot.kind == "piece" else _value(slot, values)
    first, *others = text.split("\n") if slot.hang else [text]
    return "\n".join([first, *((slot.hang + line).rstrip() for line in others)])


def _value(slot: Slot, values: Sequence[str]) -> str:
    # An author can write a mark as an entity (`&#xE000;`); it stands for nothing.
    number = int(slot.name[:6])
    return values[number] if number < len(values) else ""


@lru_cache(maxsize=512)
def _skeletons(source: str) -> tuple[Skeleton, Skeleton]:
    tokens = _MARKDOWN.parse(_PIECE_LINE.sub(r"\n\1\n", source))
    html: str = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    return _joined(_html_parts(html)), _joined(_text_parts(_block(SyntaxTreeNode(tokens))))


def _text_parts(lines: Sequence[Line]) -> Iterator[str | Slot]:
    for n, line in enumerate(lines):
        yield "\n" if n else ""
        for part in _parts(_TEXT_SLOT, line.text):
            yield part._replace(hang=line.hang) if isinstance(part, Slot) else part


def _html_parts(html: str) -> Iterator[str | Slot]:
    value_kind = "value"
    for part in _parts(_HTML_SLOT, html):
        if isinstance(part, str):
            yield part
        elif part.kind == "tag":
            value_kind = {"<pre>": "code", "</pre>": "value"}.get(part.name, value_kind)
            for inside in _parts(_TEXT_SLOT, part.name):
                is_value = isinstance(inside, Slot) and inside.kind == "value"
                yield Slot("attribute", inside[1]) if is_value else inside
        else:
            yield part._replace(kind=value_kind) if part.kind == "value" else part


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


def _block(node: SyntaxTreeNode) -> list[Line]:
    match node.type:
        case "paragraph" | "heading":
            text = "".join(map(_inline, node.children[0].children))
            return [Line("-- " if line == "--" else line) for line in text.split("\n")]
        case "blockquote":
            return _indented(_blocks(node), "> ", "> ")
        case "bullet_list" | "ordered_list":
            return _list(node)
        case "fence" | "code_block":
            return _indented([Line(line) for line in node.content.rstrip("\n").split("\n")], "    ", "    ")
        case "hr":
            return [Line("-" * 20)]
        case _:
            return _blocks(node)


def _blocks(node: SyntaxTreeNode) -> list[Line]:
    # What a tight list holds is hidden paragraphs, with no blank line between them.
    tight = any(child.type == "paragraph" and child.hidden for child in node.children)
    return _stacked([_block(child) for child in node.children], spaced=not tight)


def _list(node: SyntaxTreeNode) -> list[Line]:
    first = int(node.attrs.get("start", 1))
    loose = any(p.type == "paragraph" and not p.hidden for item in node.children for p in item.children)
    items = []
    for number, item in enumerate(node.children, first):
        bullet = f"{number}{item.markup} " if node.type == "ordered_list" else "- "
        items.append(_indented(_blocks(item), bullet, " " * len(bullet)))
    return _stacked(items, spaced=loose)


def _stacked(blocks: Sequence[list[Line]], *, spaced: bool) -> list[Line]:
    """The blocks below each other, with a blank line between two if they are `spaced`."""
    return [
        line
        for n, block in enumerate(blocks)
        for line in ([Line("")] if n and spaced else []) + (block or [])
    ]


def _indented(lines: Sequence[Line], first: str, others: str) -> list[Line]:
    return [
        Line(((others if n else first) + line.text).rstrip(), others + line.hang)
        for n, line in enumerate(lines or [Line("")])
    ]


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


_MARKDOWN = make_reader()
