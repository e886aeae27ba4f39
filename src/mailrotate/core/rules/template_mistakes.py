"""The parser's complaints about `{% … %}` in words, with the line of the tag to change."""

import re
from collections.abc import Callable, Iterator

# In time that grows with the text alone: what was taken is not given back, and a tag ends before the next.
_TAG = re.compile(r"\{%[-+]?+\s*+(\w*+)(?:(?!\{%)[^\n])*?%\}")
_TO_CLOSE = re.compile(r"The innermost block that needs to be closed is '(\w+)'")
_UNKNOWN = re.compile(r"Encountered unknown tag '(\w+)'")
_WORDS = {
    "Missing end of comment tag": "'{#' has no '#}'",
    "Missing end of raw directive": "'{% raw %}' has no '{% endraw %}'",
    "tag name expected": "'{% %}' is empty",
    "unexpected end of template, expected 'end of statement block'": "'{%' has no '%}'",
}


def tag_mistake(
    text: str, line: int, said: str, allowed: str, is_readable: Callable[[str], bool]
) -> tuple[int, str]:
    """Return the line and the words for what the parser said of a line.

    `text` has no notes and no raw parts. `allowed` names what a letter may use.
    """
    to_close, unknown = _TO_CLOSE.search(said), _UNKNOWN.match(said)
    if to_close is not None and (to_close[1] != "if" or unknown is None):
        name = to_close[1]
        words = "'{% if %}' has no '{% endif %}'" if name == "if" else _unavailable(name, allowed)
        return _open_at(text, name) or line, words
    if unknown is not None:
        return line, _unknown_words(unknown[1], to_close is not None, allowed)
    unread = next((tag for at, tag in _tags(text) if at == line and not is_readable(tag)), None)
    if said not in _WORDS and unread is not None:
        return line, f"'{unread}' cannot be read; a condition looks like {{% if company %}}"
    return line, _WORDS.get(said, said)


def _unknown_words(tag: str, is_inside: bool, allowed: str) -> str:
    if is_inside and tag.startswith("end"):
        return f"'{{% {tag} %}}' stands where '{{% endif %}}' must be"
    if tag in ("else", "elif", "endif"):
        return f"'{{% {tag} %}}' has no '{{% if … %}}' before it"
    return _unavailable(tag, allowed)


def _unavailable(tag: str, allowed: str) -> str:
    return f"'{{% {tag} %}}' is not available in a letter; {allowed}"


def _open_at(text: str, name: str) -> int | None:
    """The line of the innermost block of this name that is not closed."""
    lines: list[int] = []
    for line, tag in _tags(text):
        word = _TAG.match(tag)
        if word is not None and word[1] == name:
            lines.append(line)
        elif word is not None and word[1] == f"end{name}" and lines:
            lines.pop()
    return lines[-1] if lines else None


def _tags(text: str) -> Iterator[tuple[int, str]]:
    line, end = 1, 0
    for tag in _TAG.finditer(text):
        line += text.count("\n", end, tag.start())
        end = tag.start()
        yield line, tag[0]
