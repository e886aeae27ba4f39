"""Templates of subjects, bodies and signatures: which fields they need, and the text that they give.

The values are a stranger's. So rendering never puts one into the text: each output becomes a numbered mark
(`rules/marks.py`), and only after Markdown has been read are the marks replaced, escaped for the place in
which they stand. Filters and conditions see real text.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import UndefinedError

from mailrotate.core.rules.marks import fill_plainly
from mailrotate.core.rules.template_language import ENVIRONMENT, PIECES, PLACED, Piece, language_problems
from mailrotate.core.rules.text import clean_value, one_line, same_name, template_lines
from mailrotate.core.values.letter import LETTER_FIELDS, LONGEST_SUBJECT, LONGEST_TEXT, UnfitLetter


class MissingField(UnfitLetter):
    """A field that the template shows without a fallback, and that the recipient does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the field '{name}' is missing and the template has no fallback for it")
        self.name = name


@dataclass(frozen=True)
class Merged:
    """A rendered template: `source` has marks where `values` belong."""

    source: str
    values: tuple[str, ...]


def letter_fields(email: str, sender_name: str, sender_email: str) -> dict[str, str]:
    """The values of LETTER_FIELDS for one letter; a sender without a name is called as in the address."""
    called = one_line(sender_name) or sender_email.partition("@")[0]
    return {
        "email": email,
        "sender_name": called,
        "sender_first_name": _first_name(called),
        "sender_email": sender_email,
    }


def _first_name(name: str) -> str:
    """`Anna` of `Anna Example`, `Example, Anna` and `Dr. Anna Example`."""
    last, comma, first = name.partition(",")
    words = (first if comma and first.strip() else last).split()
    return next((word for word in words if not word.endswith(".")), words[0] if words else name)


def fields_needed(*texts: str | None) -> frozenset[str]:
    """The fields without which one of the templates may leave a hole, however the conditions turn out.

    A name is optional where `default` follows it directly, or inside an `if` that asks whether it `is
    defined`; those that every letter has are never needed. Raises UnfitLetter for a template that the
    check refuses.
    """
    needed = frozenset[str]().union(*(_compiled(text).needed for text in texts if text is not None))
    return needed - LETTER_FIELDS


def missing_fields(needed: Iterable[str], fields: Mapping[str, object]) -> list[str]:
    """Return the needed fields that are absent or blank, sorted."""
    return sorted(name for name in needed if name not in PIECES and not _clean(fields.get(name)))


def only_places(text: str) -> bool:
    """Whether rendering depends on nothing but the presence of the needed fields, and on lengths."""
    return _compiled(text).only_places


def names_of(text: str) -> tuple[str, ...]:
    """The fields that the template names, each as often as it does."""
    return _compiled(text).names


def has_words(text: str) -> bool:
    """Whether the template has words of its own, outside of every field and condition."""
    return _compiled(text).has_words


def merge(text: str, fields: Mapping[str, object], pieces: frozenset[str] = frozenset()) -> Merged:
    """Render a template; `pieces` are the marks of those that exist, the others leave nothing.

    A blank field counts as missing. Raises MissingField, or UnfitLetter when it cannot be rendered.
    """
    compiled = _compiled(text)
    known = {name: value for name in set(compiled.names) if (value := _clean(fields.get(name)))}
    if len(text) + sum(len(known.get(name, "")) for name in compiled.names) > LONGEST_TEXT:
        raise UnfitLetter(f"the text with its fields is longer than {LONGEST_TEXT} characters")
    placed: list[str] = []
    marks = {name: Piece(piece if piece in pieces else "") for name, piece in PIECES.items()}
    try:
        source = compiled.template.render({**known, **marks, PLACED: placed})
    except UndefinedError as hole:
        raise MissingField(str(hole.message)) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, AssertionError) as trouble:
        raise UnfitLetter(f"the template cannot be rendered: {trouble}") from None
    return Merged(source, tuple(placed))


def merge_subject(text: str, fields: Mapping[str, object]) -> str:
    """One line of text: no value can start another header (RFC 5322 2.2).

    Raises as `merge`, and UnfitLetter for a subject that is blank or too long.
    """
    merged = merge(text, fields)
    subject = one_line(fill_plainly(merged.source, merged.values))
    if not subject or len(subject) > LONGEST_SUBJECT:
        raise UnfitLetter(f"the subject must have 1 to {LONGEST_SUBJECT} characters, not {len(subject)}")
    return subject


def _clean(value: object) -> str:
    return "" if value is None else clean_value(str(value))


@dataclass(frozen=True)
class _Compiled:
    template: Template
    names: tuple[str, ...]  # as often as they occur
    needed: frozenset[str]
    only_places: bool
    has_words: bool


@lru_cache(maxsize=512)
def _compiled(text: str) -> _Compiled:
    clean = "\n".join(line for _, line in template_lines(text))
    problems = language_problems(clean)
    if problems:
        raise UnfitLetter(f"line {problems[0].line} of the template: {problems[0].message}")
    tree = ENVIRONMENT.parse(clean)
    for name in tree.find_all(nodes.Name):
        name.name = same_name(name.name)
    names = tuple(name.name for name in tree.find_all(nodes.Name) if name.name not in PIECES)
    needed = frozenset(_needed(tree.body, frozenset())) - PIECES.keys()
    placed = (part for output in tree.body if isinstance(output, nodes.Output) for part in output.nodes)
    has_words = any(isinstance(part, nodes.TemplateData) and part.data.strip() for part in placed)
    return _Compiled(ENVIRONMENT.from_string(tree), names, needed, _only_places(tree), has_words)


def _only_places(tree: nodes.Template) -> bool:
    """Whether the template is text, names and names with a constant fallback: none of that can fail."""
    return all(
        isinstance(output, nodes.Output) and all(map(_is_placed, output.nodes)) for output in tree.body
    )


def _is_placed(node: nodes.Node | None) -> bool:
    match node:
        case nodes.TemplateData() | nodes.Name() | nodes.Const():
            return True
        case nodes.Filter(name="default" | "d", args=[nodes.Const(value=str())], kwargs=[]):
            return _is_placed(node.node)
        case nodes.Filter(name="upper" | "lower" | "title" | "capitalize", args=[], kwargs=[]):
            return _is_placed(node.node)
        case _:
            return False


def _needed(parts: Iterable[nodes.Node], proven: frozenset[str]) -> Iterator[str]:
    for node in parts:
        yield from _needed_by(node, proven)


def _needed_by(node: nodes.Node, proven: frozenset[str]) -> Iterator[str]:
    """The names that `node` cannot do without, given that the `proven` ones are there."""
    match node:
        case nodes.Name():
            if node.name not in proven:
                yield node.name
        case nodes.Filter(name="default" | "d"):
            yield from _needed_softly(node, proven)
        case nodes.Test(name="defined" | "undefined", node=nodes.Name()):
            pass
        case nodes.If():
            yield from _needed_by(node.test, proven)
            yield from _needed(node.body, proven | _proven(node.test, True))
            without = proven | _proven(node.test, False)
            for branch in node.elif_:
                yield from _needed_by(branch, without)
                without |= _proven(branch.test, False)
            yield from _needed(node.else_, without)
        case nodes.CondExpr():
            yield from _needed_by(node.test, proven)
            yield from _needed_by(node.expr1, proven | _proven(node.test, True))
            if node.expr2 is not None:
                yield from _needed_by(node.expr2, proven | _proven(node.test, False))
        case nodes.And() | nodes.Or():
            yield from _needed_by(node.left, proven)
            yield from _needed_by(node.right, proven | _proven(node.left, isinstance(node, nodes.And)))
        case _:
            yield from _needed(node.iter_child_nodes(), proven)


def _needed_softly(node: nodes.Node, proven: frozenset[str]) -> Iterator[str]:
    """As `_needed_by`, of what stands directly before a `default`: there a name may be missing."""
    if isinstance(node, nodes.Filter) and node.name in ("default", "d"):
        if node.node is not None:
            yield from _needed_softly(node.node, proven)
        yield from _needed((*node.args, *node.kwargs), proven)
    elif not isinstance(node, nodes.Name):
        yield from _needed_by(node, proven)


def _proven(test: nodes.Node, outcome: bool) -> frozenset[str]:
    """The names that are there for certain once `test` has come out so."""
    match test:
        case nodes.Test(name="defined" | "undefined", node=nodes.Name(name=name)):
            return frozenset([name]) if (test.name == "defined") is outcome else frozenset()
        case nodes.Not():
            return _proven(test.node, not outcome)
        case nodes.And() | nodes.Or():
            left, right = _proven(test.left, outcome), _proven(test.right, outcome)
            return left | right if isinstance(test, nodes.And) is outcome else left & right
        case _:
            return frozenset()
