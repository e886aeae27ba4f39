"""Templates of subjects and bodies: a small, closed part of Jinja2 that can only place text (I3).

A template may hold fields, filters, `if`, comparisons, `+` and `~`; the syntax tree is checked against that
list before anything of it runs. The values are a stranger's. So rendering never puts one into the text:
each output becomes a numbered mark (`values.marks` in `Merged.values`), and only after Markdown has been
read are the marks replaced, escaped for the place in which they stand. Filters and conditions see real text.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, StrictUndefined, Template, TemplateError, nodes, pass_context
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailrotate.core.rules.marks import SIGNATURE, UNSUBSCRIBE, fill_plainly, has_mark, mark
from mailrotate.core.rules.text import clean_value, one_line, plain_lines, same_name
from mailrotate.core.values.letter import LONGEST_TEMPLATE, LONGEST_TEXT, UnfitLetter

# Names that are not fields but pieces of the letter, placed whole.
PIECES = {"signature": SIGNATURE, "unsubscribe": UNSUBSCRIBE}
_FILTERS = ("capitalize", "d", "default", "int", "length", "lower", "title", "trim", "truncate", "upper")
_TESTS = ("!=", "==", "defined", "eq", "equalto", "in", "ne", "undefined")
_ALLOWED = (
    nodes.Add,
    nodes.And,
    nodes.Compare,
    nodes.Concat,
    nodes.CondExpr,
    nodes.Const,
    nodes.Filter,
    nodes.If,
    nodes.Keyword,
    nodes.List,
    nodes.Name,
    nodes.Not,
    nodes.Operand,
    nodes.Or,
    nodes.Output,
    nodes.Template,
    nodes.TemplateData,
    nodes.Test,
    nodes.Tuple,
)
_WHAT = {
    nodes.For: "a loop",
    nodes.Call: "a call",
    nodes.Getattr: "an attribute",
    nodes.Getitem: "an index",
    nodes.Assign: "'set'",
    nodes.Mul: "'*'",
    nodes.Pow: "'**'",
}
_ALLOWED_HINT = "allowed are fields, filters, if, comparisons, + and ~"
# A destination that does not say where it leads is no link to us, and would be sent as it is written.
_VAGUE_LINK = re.compile(r"(?<!\\)\]\((?!\s*<?(?:https?://|mailto:|tel:)[^\s{)])", re.IGNORECASE)
# The key under which a rendering collects its values; no template can name it.
_PLACED = " placed"


class MissingField(UnfitLetter):
    """A field that the template shows without a fallback, and that the recipient does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the field '{name}' is missing and the template has no fallback for it")
        self.name = name


@dataclass(frozen=True)
class TemplateProblem:
    """A mistake of a template and the line on which it stands, from 1."""

    line: int
    message: str


@dataclass(frozen=True)
class Merged:
    """A rendered template: `source` has marks where `values` belong."""

    source: str
    values: tuple[str, ...]


def check_template(text: str, *, is_subject: bool = False) -> list[TemplateProblem]:
    """Everything that keeps a template from being used, by line."""
    found = _problems(text, is_subject)
    if not is_subject:
        found += [
            TemplateProblem(
                text.count("\n", 0, link.start()) + 1,
                "a link's address must begin with https://, http://, mailto: or tel:, not with a field",
            )
            for link in _VAGUE_LINK.finditer(text)
        ]
    return sorted(found, key=lambda problem: problem.line)


def fields_needed(text: str) -> frozenset[str]:
    """The fields without which the template may leave a hole, however the conditions turn out.

    A name is optional where `default` follows it directly, or inside an `if` that asks whether it `is
    defined`. Raises UnfitLetter for a template that `check_template` refuses.
    """
    return _compiled(text).needed


def fields_used(text: str) -> frozenset[str]:
    """The fields that a template names, needed or not. Raises as `fields_needed`."""
    return frozenset(_compiled(text).names)


def missing_fields(needed: Iterable[str], fields: Mapping[str, object]) -> list[str]:
    """Return the needed fields that are absent or blank, sorted."""
    return sorted(name for name in needed if name not in PIECES and not _clean(fields.get(name)))


def merge(text: str, fields: Mapping[str, object], pieces: frozenset[str] = frozenset()) -> Merged:
    """Render a template; `pieces` are the marks of those that exist, the others leave nothing.

    A blank field counts as missing. Raises MissingField, or UnfitLetter when it cannot be rendered.
    """
    compiled = _compiled(text)
    known = {name: value for name in set(compiled.names) if (value := _clean(fields.get(name)))}
    if len(text) + sum(len(known.get(name, "")) for name in compiled.names) > LONGEST_TEXT:
        raise UnfitLetter(f"the text with its fields is longer than {LONGEST_TEXT} characters")
    placed: list[str] = []
    marks = {name: _Piece(piece if piece in pieces else "") for name, piece in PIECES.items()}
    try:
        source = compiled.template.render({**known, **marks, _PLACED: placed})
    except UndefinedError as hole:
        raise MissingField(str(hole.message)) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, AssertionError) as trouble:
        raise UnfitLetter(f"the template cannot be rendered: {trouble}") from None
    return Merged(source, tuple(placed))


def merge_subject(text: str, fields: Mapping[str, object]) -> str:
    """One line of text: no value can start another header (RFC 5322 2.2). Raises as `merge`."""
    merged = merge(text, fields)
    return one_line(fill_plainly(merged.source, merged.values))


def _clean(value: object) -> str:
    return "" if value is None else clean_value(str(value))


class _Piece(str):
    """The mark of a piece of the letter, which goes into the text as it is."""

    __slots__ = ()


class _Missing(StrictUndefined):
    """Says the bare name instead of a sentence, for MissingField."""

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name)


@pass_context
def _place(context: Context, value: object) -> str:
    # `pass_context` also keeps Jinja from calling this when it compiles, with constants.
    if isinstance(value, _Piece):
        return value
    if isinstance(value, Undefined):
        return str(value)
    text = plain_lines(str(value))
    if not text:
        return ""
    placed: list[str] = context[_PLACED]
    placed.append(text)
    return mark(len(placed) - 1)


def _environment() -> Environment:
    made = ImmutableSandboxedEnvironment(undefined=_Missing, finalize=_place, autoescape=False)
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.tests = {name: made.tests[name] for name in _TESTS}
    made.globals = {}
    return made


_ENVIRONMENT = _environment()


@dataclass(frozen=True)
class _Compiled:
    template: Template
    names: tuple[str, ...]  # as often as they occur
    needed: frozenset[str]


@lru_cache(maxsize=512)
def _compiled(text: str) -> _Compiled:
    problems = _problems(text)
    if problems:
        raise UnfitLetter(f"line {problems[0].line} of the template: {problems[0].message}")
    tree = _ENVIRONMENT.parse(text)
    for name in tree.find_all(nodes.Name):
        name.name = same_name(name.name)
    names = tuple(name.name for name in tree.find_all(nodes.Name) if name.name not in PIECES)
    needed = frozenset(_needed(tree.body, frozenset())) - PIECES.keys()
    return _Compiled(_ENVIRONMENT.from_string(tree), names, needed)


def _problems(text: str, is_subject: bool = False) -> list[TemplateProblem]:
    """What keeps a template from being rendered."""
    if len(text) > LONGEST_TEMPLATE:
        return [TemplateProblem(1, f"longer than {LONGEST_TEMPLATE} characters")]
    if has_mark(text):
        return [TemplateProblem(1, "holds a character of the private-use area (U+E000 to U+E004)")]
    try:
        tree = _ENVIRONMENT.parse(text)
        found = dict.fromkeys(_node_problems(tree, is_subject))
        if not found:
            _ENVIRONMENT.from_string(tree)
    except TemplateSyntaxError as mistake:
        return [TemplateProblem(mistake.lineno, str(mistake.message).rstrip("."))]
    except (SyntaxError, RecursionError, MemoryError):
        return [TemplateProblem(1, "is nested too deeply")]
    return [TemplateProblem(line, message) for line, message in found]


def _node_problems(tree: nodes.Template, is_subject: bool) -> Iterator[tuple[int, str]]:
    placed = {
        id(child)
        for output in tree.find_all(nodes.Output)
        for child in output.nodes
        if isinstance(child, nodes.Name)
    }
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED):
            what = _WHAT.get(type(node), f"'{type(node).__name__.lower()}'")
            yield node.lineno, f"{what} is not available in a letter; {_ALLOWED_HINT}"
        elif isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            yield node.lineno, f"there is no filter '{node.name}'; allowed are {', '.join(_FILTERS)}"
        elif isinstance(node, nodes.Test) and node.name not in _TESTS:
            yield node.lineno, f"there is no test '{node.name}'; allowed are {', '.join(_TESTS)}"
        elif isinstance(node, nodes.CondExpr) and node.expr2 is None:
            yield node.lineno, "'… if …' needs an 'else', or it leaves a hole"
        elif isinstance(node, nodes.Name):
            yield from _name_problems(node, id(node) in placed, is_subject)


def _name_problems(node: nodes.Name, is_placed: bool, is_subject: bool) -> Iterator[tuple[int, str]]:
    if node.name == "self":
        yield node.lineno, "'self' cannot be the name of a field"
    elif node.name in PIECES and is_subject:
        yield node.lineno, f"'{node.name}' has no place in a subject"
    elif node.name in PIECES and not is_placed:
        yield node.lineno, f"'{node.name}' can only be placed: write {{{{ {node.name} }}}}"


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
