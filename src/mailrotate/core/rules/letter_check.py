"""What is wrong with a text that somebody wrote for letters, by line: its template and its Markdown (D1)."""

import re
from collections.abc import Iterator, Sequence
from enum import Enum

from jinja2 import nodes

from mailrotate.core.rules import markdown_check
from mailrotate.core.rules.marks import has_mark, mark
from mailrotate.core.rules.template_language import (
    ENVIRONMENT,
    PIECES,
    TemplateProblem,
    language_problems,
    placeholder_name,
    tree_of,
)
from mailrotate.core.rules.templates import fields_needed
from mailrotate.core.rules.text import same_name, template_lines
from mailrotate.core.values.letter import LETTER_FIELDS, LONGEST_TEMPLATE

_NAME = r"[^\W\d]\w{0,40}"
# How other programs write a placeholder: `{name}`, `{!name}`, `${name}`, `*|NAME|*`, `%NAME%` or `<<name>>`.
# A percent sign before two hexadecimal digits encodes a character of a URL.
_FOREIGN_FIELD = re.compile(
    rf"(?<![{{\\])\$?\{{!? ?({_NAME}) ?\}}(?!\}})"
    rf"|\*\|({_NAME})\|\*"
    rf"|(?<![\w%])%%?(?![0-9A-Fa-f]{{2}}%)({_NAME})%%?(?!\w)"
    rf"|<<({_NAME})>>"
)


class Kind(Enum):
    """Where a text stands in a letter."""

    SUBJECT = "subject"
    BODY = "body"
    SIGNATURE = "signature"


def check_text(text: str, kind: Kind) -> list[TemplateProblem]:
    """Everything to change in a text, mistakes and warnings, by its line in the file."""
    lines = template_lines(text)
    clean = "\n".join(line for _, line in lines)
    found = language_problems(clean, is_subject=kind is Kind.SUBJECT)
    if kind is Kind.SIGNATURE and not found:
        found += _foreign_names(clean)
    tree = tree_of(clean)
    if tree is not None:
        found += _contents(tree, kind)
    elif len(clean) <= LONGEST_TEMPLATE and not has_mark(clean):
        found += _markdown(*_as_words(clean), kind)
    numbers = [number for number, _ in lines]
    told = [
        TemplateProblem(numbers[min(problem.line, len(numbers)) - 1], problem.message, problem.is_mistake)
        for problem in found
    ]
    return sorted(told, key=lambda problem: problem.line)


def _contents(tree: nodes.Template, kind: Kind) -> Iterator[TemplateProblem]:
    """What to change in what a text places, and in the words around it."""
    yield from _doubtful_names(tree)
    yield from _constants(tree)
    source, lines = _as_rendered(tree)
    for found in _FOREIGN_FIELD.finditer(source):
        line = lines[source.count("\n", 0, found.start())]
        name = next(filter(None, found.groups()))
        own = placeholder_name(name) or name
        said = f"'{found[0]}' is not a field and appears as it is; write {{{{ {own} }}}}"
        yield TemplateProblem(line, said, is_mistake=False)
    yield from _markdown(source, lines, kind)


def _markdown(source: str, lines: Sequence[int], kind: Kind) -> Iterator[TemplateProblem]:
    """What to change in the Markdown of a text; `lines` are the lines of the file, by those of the source."""
    if kind is not Kind.SUBJECT:
        for finding in markdown_check.findings(source):
            yield TemplateProblem(lines[finding.line], finding.message, finding.is_mistake)


# Without what another one may begin in: a file may hold many that never end.
_TAG = re.compile(r"\{\{[^{}]*\}\}|\{%[^%]*%\}|\{#[^#]*#\}")


def _as_words(text: str) -> tuple[str, list[int]]:
    """A text whose tags cannot be read: the words around them, and the line of each line."""
    words = _TAG.sub(lambda tag: mark(0) + "\n" * tag[0].count("\n"), text)
    return words, list(range(1, words.count("\n") + 2))


def _doubtful_names(tree: nodes.Template) -> Iterator[TemplateProblem]:
    for name in tree.find_all(nodes.Name):
        own = placeholder_name(name.name)
        if own and own != same_name(name.name) and name.name != "self":
            said = f"a recipients' file has no field '{name.name}'; write {{{{ {own} }}}}"
            yield TemplateProblem(name.lineno, said, is_mistake=False)


def _constants(tree: nodes.Template) -> Iterator[TemplateProblem]:
    """`{{ none }}` and its like, which Jinja2 takes for values of its own."""
    for output in tree.find_all(nodes.Output):
        for part in output.nodes:
            if isinstance(part, nodes.Const) and isinstance(part.value, bool | None):
                word = str(part.value).lower()
                own = placeholder_name(word)
                said = f"'{word}' cannot be the name of a field; write {{{{ {own} }}}}"
                yield TemplateProblem(part.lineno, said)


def _foreign_names(text: str) -> Iterator[TemplateProblem]:
    """A signature closes letters of every campaign, whose recipients have different fields."""
    needed = fields_needed(text)
    lines = {name.name: name.lineno for name in reversed([*ENVIRONMENT.parse(text).find_all(nodes.Name)])}
    for name, line in lines.items():
        if name in PIECES:
            yield TemplateProblem(line, f"'{name}' has no place in a signature")
        if name in needed:
            yield TemplateProblem(
                line,
                f"'{name}' needs a fallback in a signature, like {{{{ {name} | default(\"\") }}}}; "
                f"every letter has {', '.join(sorted(LETTER_FIELDS))}",
            )


def _as_rendered(tree: nodes.Template) -> tuple[str, list[int]]:
    """The source that Markdown reads, with every branch of every condition, and the line of each line."""
    parts: list[str] = []
    lines = [1]
    for part, line in _pieces(tree):
        parts.append(part)
        lines += range(line + 1, line + 1 + part.count("\n"))
    return "".join(parts), lines


def _pieces(node: nodes.Node) -> Iterator[tuple[str, int]]:
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Output):
            for number, part in enumerate(child.nodes):
                if isinstance(part, nodes.TemplateData):
                    yield part.data, part.lineno
                elif isinstance(part, nodes.Name) and part.name in PIECES:
                    yield PIECES[part.name], part.lineno
                else:
                    yield mark(number), part.lineno
        elif isinstance(child, nodes.If):
            yield from _pieces(child)
