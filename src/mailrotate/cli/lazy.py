"""Commands that are imported when they are called: listing them, as `--help` does, imports nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand
from typer.main import get_command as build

from mailrotate.cli.grammar import GLOBAL_LINE, GLOBAL_PANEL, Noun, Verb

# Rich help takes twice as long as plain help, and a pipe shows no colours.
MARKUP: Any = "rich" if sys.stdout.isatty() else None
HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class _App(typer.Typer):
    """Verbs are built by our grammar, and their help ends with the names of the global options."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=Verb, epilog=GLOBAL_LINE, **settings)


def noun(help_text: str | None = None, **settings: Any) -> typer.Typer:
    """The group of one noun's verbs."""
    return _App(
        help=help_text,
        # The root completes for all; in a noun its options would install something that completes nothing.
        add_completion=False,
        cls=Noun,
        epilog=GLOBAL_LINE,
        rich_markup_mode=MARKUP,
        context_settings=HELP_NAMES,
        **{"no_args_is_help": True, **settings},
    )


def lone_command() -> typer.Typer:
    """A command without verbs."""
    return _App(add_completion=False, rich_markup_mode=MARKUP, context_settings=HELP_NAMES)


class Lazy(Noun):
    """The root: its commands are modules of this package, each with `app`.

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
        if cmd_name not in self.commands:
            self.commands[cmd_name] = build(import_module(module).app)
            self.commands[cmd_name].name = cmd_name
        return self.commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self._only_listing():
            super().format_help(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Plain help with the sections that Rich makes of the panels."""
        for panel in (None, GLOBAL_PANEL):
            options = [option for option in self.get_params(ctx) if option.rich_help_panel == panel]
            with formatter.section(panel or "Options"):
                formatter.write_dl([option.get_help_record(ctx) for option in options])
        self.format_commands(ctx, formatter)

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
