"""Commands that are imported when they are called: listing them, as `--help` does, imports nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command as build

# Rich help takes twice as long as plain help, and a pipe shows no colours.
MARKUP: Any = "rich" if sys.stdout.isatty() else None


def noun(help_text: str) -> typer.Typer:
    """The group of one noun's verbs."""
    return typer.Typer(
        help=help_text,
        # The root completes for all; in a noun its options would install something that completes nothing.
        add_completion=False,
        cls=Suggesting,
        no_args_is_help=True,
        rich_markup_mode=MARKUP,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


@cache
def _built(module: str, name: str) -> Any:
    """Once: a command is asked for when its name is checked and when it is called."""
    found = build(import_module(module).app)
    found.name = name
    return found


class Suggesting(TyperGroup):
    """Names the command that was probably meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            near = get_close_matches(args[0], self.list_commands(ctx), n=3)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            raise typer.BadParameter(f"there is no command '{ctx.command_path} {args[0]}'{meant}", ctx=ctx)
        return super().resolve_command(ctx, args)


class Lazy(Suggesting):
    """The root: its commands are modules of this package, each with `app` or `command`.

    Subclasses fill `listed`: the name of each command, its module and its help in a line.
    """

    listed: ClassVar[dict[str, tuple[str, str]]] = {}
    _listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.listed)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.listed:
            return None
        module, line = self.listed[cmd_name]
        if self._listing:
            return TyperCommand(cmd_name, help=line)
        return _built(module, cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self._only_listing():
            super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        with self._only_listing():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _only_listing(self) -> Iterator[None]:
        self._listing = True
        try:
            yield
        finally:
            self._listing = False
