"""Parse the command line: global options anywhere, plain values, and "did you mean"."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from mailrotate.cli.call import call_of
from mailrotate.cli.placeholders import former_names, hide_types_of_flags

# The root declares the global options, in the help panel of this name; by the panel the others find them.
GLOBAL_PANEL = "Global options"
GLOBAL_LINE = f"{GLOBAL_PANEL}: --db, --as, --json, --debug, --no-color (mailrotate --help)"
_SUGGESTION_COUNT = 3
_NUMBER = re.compile(r"[0-9]{1,9}")

if TYPE_CHECKING:
    # The mixin comes before Typer's command or group in the base classes; these have no public common base.
    _Reader = TyperCommand
else:
    _Reader = object


class _GlobalAnywhere(_Reader):
    """Reads the global options at every level of a command line, into the one `Call`.

    Each level's own parser does it, so `--json` as the value of another option or after `--` is left alone.
    Given twice, the last value wins.
    """

    def make_parser(self, ctx: Any) -> Any:
        parser = super().make_parser(ctx)
        for option in _inherited_options(ctx):
            option.add_to_parser(parser, ctx)
        for param in self.params:
            if isinstance(param, TyperOption) and (old := former_names(param)):
                parser.add_option(param, old, dest=param.name, nargs=param.nargs)
        return parser

    def get_params(self, ctx: Any) -> list[Any]:
        """Completion offers the global options at every level; help lists them at the root only."""
        own = super().get_params(ctx)
        hide_types_of_flags(own)
        _take_plainly(own)
        return [*own, *_inherited_options(ctx)] if ctx.resilient_parsing else own

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        # First of all: `--help --no-color` prints the help before it comes to the second option.
        _take_global_options(ctx, given)
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            _take_global_options(ctx, given, beyond_command=True)
            if hasattr(error, "possibilities") and not error.possibilities:
                error.possibilities = self._options_meant(ctx, error, given)
            raise

    def _options_meant(self, ctx: Any, error: Any, given: Sequence[str]) -> list[str]:
        from mailrotate.cli.synonyms import options_meant

        # For `-json`, the parser's message names only the first letter.
        word = next(word for word in given if word.startswith(error.option_name))
        params = [*self.get_params(ctx), *_inherited_options(ctx)]
        return options_meant(word, {name for param in params for name in param.opts})


class Verb(_GlobalAnywhere, TyperCommand):
    """A command (as opposed to a group)."""


class Noun(_GlobalAnywhere, TyperGroup):
    """A group of commands. It names the command that an unknown word was probably meant for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            if ctx.resilient_parsing:
                # For completion: a shell has no place for an error message, and nothing can follow.
                return args[0], Verb(args[0]), args[1:]
            # The rest of the line is not parsed, but --json in it decides the format of the error.
            _take_global_options(ctx, args, beyond_command=True)
            found = self._commands_meant(ctx, args[0])
            meant = f"; did you mean {' or '.join(found)}?" if found else ""
            raise typer.BadParameter(f"there is no command '{ctx.command_path} {args[0]}'{meant}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def _commands_meant(self, ctx: Any, word: str) -> list[str]:
        from mailrotate.cli.synonyms import commands_meant, verbs_meant

        verbs = self.list_commands(ctx)
        found = commands_meant(word) if ctx.parent is None else verbs_meant(word, verbs)
        found = found or list(_same_verb_elsewhere(ctx, word))[:_SUGGESTION_COUNT]
        return found or get_close_matches(word, verbs, n=_SUGGESTION_COUNT)


def _take_global_options(ctx: Any, args: Sequence[str], *, beyond_command: bool = False) -> None:
    """Read the global options of this level; with `beyond_command` also those of words that are never parsed.

    Unknown options and missing values are for the proper parsing to report.
    """
    strict, ctx.resilient_parsing = not ctx.resilient_parsing, True
    parser = ctx.command.make_parser(ctx)
    parser.ignore_unknown_options = True
    parser.allow_interspersed_args |= beyond_command
    found, _, _ = parser.parse_args(list(args))
    ctx.resilient_parsing = not strict
    call_of(ctx).take({name: found[name] for name in map(_name_of, _global_options(ctx)) if name in found})


def _name_of(option: Any) -> str:
    return str(option.name)


def _global_options(ctx: Any) -> list[Any]:
    return [each for each in ctx.find_root().command.params if each.rich_help_panel == GLOBAL_PANEL]


def _inherited_options(ctx: Any) -> list[Any]:
    return [] if ctx.parent is None else _global_options(ctx)


def _same_verb_elsewhere(ctx: Any, verb: str) -> Iterator[str]:
    """Suggest the same verb of another noun: `recipient import` for `campaign import`."""
    root = ctx.find_root()
    for name in root.command.list_commands(root):
        noun = root.command.get_command(root, name)
        if isinstance(noun, Noun) and verb in noun.list_commands(root):
            yield f"{name} {verb}"


def _take_plainly(params: Iterable[Any]) -> None:
    """Take what needs no conversion past Typer, which converts with Pydantic; twice has no effect.

    Importing Pydantic takes longer than importing Typer, and most options are absent, text or a small number.
    """
    for param in params:
        if "process_value" not in vars(param):
            param.process_value = _plainly(param, param.process_value)


def _plainly(param: Any, convert: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def process(ctx: Any, value: Any) -> Any:
        if value is None and not param.required:
            plain: object = () if param.multiple or param.nargs == -1 else None
        elif isinstance(value, str) and _is_plain(param, value):
            plain = value if param.type_descriptor.annotation is str else int(value)
        else:
            return convert(ctx, value)
        return plain if param.callback is None else param.callback(ctx, param, plain)

    return process


def _is_plain(param: Any, value: str) -> bool:
    """Whether a value is valid as it is; whatever is not, Typer refuses in its own words."""
    wanted, info = param.type_descriptor.annotation, param.type_descriptor.parameter_info
    if info.parser is not None:
        return False
    if wanted is int and _NUMBER.fullmatch(value):
        least, most = info.min, info.max
        return (least is None or int(value) >= least) and (most is None or int(value) <= most)
    return wanted is str
