"""What a template may say: a small, closed part of Jinja2 that can only place text (I3).

A template may hold fields, filters, `if`, comparisons, `+` and `~`; the syntax tree is checked against that
list before anything of it runs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment, StrictUndefined, nodes, pass_context
from jinja2.exceptions import TemplateSyntaxError
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailrotate.core.rules.marks import SIGNATURE, UNSUBSCRIBE, has_mark, mark
from mailrotate.core.rules.template_mistakes import tag_mistake
from mailrotate.core.rules.text import clean_value, plain_lines, same_name
from mailrotate.core.values.letter import LETTER_FIELDS, LONGEST_TEMPLATE

# Names that are not fields but pieces of the letter, placed whole.
PIECES = {"signature": SIGNATURE, "unsubscribe": UNSUBSCRIBE}
# The key under which a rendering collects its values; no template can name it.
PLACED = " placed"
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
# Parts in which braces mean nothing: notes, and what is to appear as it is written.
_INERT = re.compile(r"(\{#)|\{%[-+]?\s*raw\s*-?%\}")
_END_OF_NOTE = re.compile(r"#\}")
_END_OF_RAW = re.compile(r"\{%-?\s*endraw\s*[-+]?%\}")
_UNCLOSED = re.compile(r"\{\{(?![^{}\n]*\}\})")
_THREE_BRACES = re.compile(r"\{\{\{ ?(\w{1,40}) ?\}\}\}")
_PLACEHOLDER = re.compile(r"\{\{[-+]?([^{}\n]{0,200}?)[-+]?\}\}")
# A name that people type in braces and that Jinja2 does not read as one.
_SPOKEN_NAME = re.compile(r"[\w.\- /'’&#:]+")
# What a name gets before it that a template cannot use: `2nd_line` becomes `field_2nd_line`.
_PREFIX = "field_"
# A longer name is never one of the words that a template reserves.
_LONGEST_WORD = 40
_MOST_PLACEHOLDERS = 50
_DEEPEST = 50


@dataclass(frozen=True)
class TemplateProblem:
    """Something to change in a template, and the line on which it stands, from 1.

    A mistake keeps the template from being used; anything else is a warning.
    """

    line: int
    message: str
    is_mistake: bool = True


class Piece(str):
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
    if isinstance(value, Piece):
        return value
    if isinstance(value, Undefined):
        return str(value)
    text = plain_lines(str(value))
    if not text:
        return ""
    placed: list[str] = context[PLACED]
    placed.append(text)
    return mark(len(placed) - 1)


def _environment() -> Environment:
    made = ImmutableSandboxedEnvironment(undefined=_Missing, finalize=_place, autoescape=False)
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.tests = {name: made.tests[name] for name in _TESTS}
    made.globals = {}
    return made


ENVIRONMENT = _environment()


def language_problems(text: str, *, is_subject: bool = False) -> list[TemplateProblem]:
    """Everything that keeps a template from being rendered."""
    if len(text) > LONGEST_TEMPLATE:
        return [TemplateProblem(1, f"longer than {LONGEST_TEMPLATE} characters")]
    if has_mark(text):
        return [TemplateProblem(1, "contains a character of the private-use area (U+E000 to U+E004)")]
    try:
        tree = _parsed(text)
        found = dict.fromkeys(_node_problems(tree, is_subject))
        if not found:
            ENVIRONMENT.from_string(tree)
    except TemplateSyntaxError as mistake:
        said = str(mistake.message).rstrip(".")
        meant = tag_mistake(_without_inert(text), mistake.lineno, said, _ALLOWED_HINT, _is_readable_tag)
        return _unreadable_placeholders(text) or [TemplateProblem(*meant)]
    except (SyntaxError, RecursionError, MemoryError):
        return [TemplateProblem(1, "is nested too deeply")]
    spoken = {problem.line: problem for problem in _unreadable_placeholders(text)} if found else {}
    told = (spoken.get(line) or TemplateProblem(line, message) for line, message in found)
    return list(dict.fromkeys(told))


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
        yield node.lineno, f"'self' cannot be the name of a field; write {{{{ {_PREFIX}self }}}}"
    elif node.name in PIECES and is_subject:
        yield node.lineno, f"'{node.name}' has no place in a subject"
    elif node.name in PIECES and not is_placed:
        yield node.lineno, f"'{node.name}' can only be placed: write {{{{ {node.name} }}}}"


def _parsed(text: str) -> nodes.Template:
    """The syntax tree. Raises TemplateSyntaxError, and RecursionError for a tree of more than `_DEEPEST`
    levels: Jinja reads such a tree, but not every function can walk it, and a runner has less room."""
    tree = ENVIRONMENT.parse(text)
    level: list[nodes.Node] = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return tree
    raise RecursionError


def tree_of(text: str) -> nodes.Template | None:
    """The syntax tree of a template that can be read, whether or not all of it is allowed."""
    if len(text) > LONGEST_TEMPLATE or has_mark(text):
        return None
    try:
        return _parsed(text)
    except (TemplateSyntaxError, RecursionError):
        return None


def field_name(words: str) -> str:
    """Return the name of a field as people write it: `First Name` and `first-name` become `first_name`.

    Empty for words without letters and digits.
    """
    lower = same_name(same_name(clean_value(words)).lower()).replace("\u200d", "")
    return re.sub("_+", "_", "".join(c if _is_of_name(c) else "_" for c in lower)).strip("_")


def _is_of_name(character: str) -> bool:
    # With its marks a letter is whole: vowels of many scripts are marks. `isidentifier` is Python's own list
    # of what may follow the first character of a name (UAX #31), which Jinja asks too.
    return f"a{character}".isidentifier()


def usable_name(words: str) -> str:
    """Return the name of a column's field, in a file and in a template: `field_name`, changed where a
    template could not use it; empty as there."""
    name = field_name(words)
    return name if not name or is_usable(name) else f"{_PREFIX}{name}"


def placeholder_name(words: str) -> str:
    """Return the name to write in a template for what a person has written: as `usable_name` for a column,
    but a piece or a field of every letter has its own."""
    name = field_name(words)
    return name if name in {*PIECES, *LETTER_FIELDS} else usable_name(name)


def is_usable(name: str) -> bool:
    """Whether `{{ name }}` is replaced by the field of that name."""
    if not name.isidentifier() or len(name) > _LONGEST_WORD:
        return name.isidentifier()
    tree = tree_of(f"{{{{ {name} }}}}")
    named = [] if tree is None else [found.name for found in tree.find_all(nodes.Name)]
    return named == [name] and name not in {"self", *PIECES, *LETTER_FIELDS}


def _unreadable_placeholders(text: str) -> list[TemplateProblem]:
    """Each `{{ … }}` that cannot be read, in words instead of the parser's."""
    braces = _without_inert(text)
    found: list[TemplateProblem] = []
    line, end = 1, 0
    for placeholder in _PLACEHOLDER.finditer(braces):
        line += braces.count("\n", end, placeholder.start())
        end = placeholder.start()
        inside = placeholder[1].strip()
        if not _is_readable(inside):
            found.append(TemplateProblem(line, _placeholder_words(inside)))
            if len(found) == _MOST_PLACEHOLDERS:
                break
    for placeholder in () if found else _THREE_BRACES.finditer(braces):
        line = braces.count("\n", 0, placeholder.start()) + 1
        said = f"'{placeholder[0]}' has three braces; write {{{{ {placeholder[1]} }}}}"
        found.append(TemplateProblem(line, said))
    unclosed = None if found else _UNCLOSED.search(braces)
    if unclosed is not None:
        line = braces.count("\n", 0, unclosed.start()) + 1
        found.append(TemplateProblem(line, "'{{' has no '}}' on the same line"))
    return found


def _without_inert(text: str) -> str:
    """The text without notes and raw parts, but with their line ends."""
    kept, end = [], 0
    while start := _INERT.search(text, end):
        close = (_END_OF_NOTE if start[1] else _END_OF_RAW).search(text, start.end())
        if close is None:
            break
        kept += [text[end : start.start()], "\n" * text.count("\n", start.start(), close.end())]
        end = close.end()
    return "".join([*kept, text[end:]])


def _is_readable(expression: str) -> bool:
    """Whether a template may hold it, or it is no name that a person would type."""
    try:
        tree = ENVIRONMENT.parse(f"{{{{ {expression} }}}}")
    except TemplateSyntaxError:
        return False
    except RecursionError:
        return True  # reported as nested too deeply
    allowed = all(isinstance(node, _ALLOWED) for node in tree.find_all(nodes.Node))
    return allowed or _SPOKEN_NAME.fullmatch(expression.partition("|")[0]) is None


def _is_readable_tag(tag: str) -> bool:
    """Whether this tag of a condition is right when read alone."""
    wholes = (f"{tag}{{% endif %}}", f"{{% if x %}}{tag}{{% endif %}}", f"{{% if x %}}{tag}")
    return any(tree_of(whole) is not None for whole in wholes)


def _placeholder_words(inside: str) -> str:
    written = f"{{{{ {inside} }}}}"
    if not inside:
        return "'{{ }}' names no field; write a field's name, like {{ first_name }}"
    name, pipe, rest = inside.partition("|")
    if not _SPOKEN_NAME.fullmatch(name) or not field_name(name):
        return f"'{written}' cannot be read; write a field's name, like {{{{ first_name }}}}"
    own = placeholder_name(name)
    fix = f"{{{{ {own}{f' | {rest.strip()}' if pipe else ''} }}}}"
    if name[:1].isdigit():
        return f"'{written}': the name of a field cannot begin with a digit; write {fix}"
    if own != field_name(name):
        return f"'{name.strip()}' cannot be the name of a field; write {fix}"
    return f"'{written}': the name of a field has no blanks or signs; write {fix}"
