"""What stands for a value in help: a word with a meaning, in place of a type such as `<int range>`."""

from collections.abc import Iterable
from typing import Any

from typer.core import TyperArgument

# Names that an option with this placeholder had before: they still work, and no help shows them.
_FORMER = {("--for", "USER"): ("--user",)}


def put_in(command: Any) -> None:
    """Give each parameter its placeholder, and the command a summary of one whole sentence."""
    for param in command.params:
        if isinstance(param, TyperArgument):
            # Its name is its placeholder.
            param.display_type_rich = _no_type  # type: ignore[method-assign]  # the type says nothing more
        elif not param.is_flag and param.metavar is None:
            param.metavar = _of_option(param)
    command.short_help = first_sentence(command.help or "")


def hide_types_of_flags(params: Iterable[Any]) -> None:
    """Hide the type of each flag: a flag takes no value, but on a terminal Typer shows `<bool>` beside it."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.display_type_rich = _no_type


def first_sentence(text: str) -> str:
    """The first sentence of a help text, without its full stop, on one line."""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")


def former_names(param: Any) -> list[str]:
    """Names that an option had before, which still work and are in no help."""
    return [old for name in param.opts for old in _FORMER.get((name, param.metavar), ())]


def _no_type(ctx: Any) -> None:
    return None


def _of_option(param: Any) -> str:
    """The values that there are, else a number, a file, or the last word of the option's name."""
    described = param.type_descriptor
    if described.is_choice:
        return "|".join(str(choice.value) for choice in described.choices)
    if described.is_ranged or described.annotation is int:
        return "N"
    if described.is_path:
        return "FILE"
    return str(param.opts[0]).rpartition("-")[2].upper()
