"""Nouns whose verbs are imported when they are called, each from a module of its own where it can be."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand
from typer.main import get_command as build

from mailrotate.cli import placeholders
from mailrotate.cli.grammar import GLOBAL_LINE, GLOBAL_PANEL, Noun, Verb

# Rich help takes twice as long as plain help, and a pipe shows no colours.
MARKUP: Any = "rich" if sys.stdout.isatty() else None
HELP_NAMES = {"help_option_names": ["-h", "--help"]}


class Lazy(Noun):
    """A noun that knows where its verbs are.

    `home` is a package or a module. A place below it is a module with a function of the same name, as
    `connect`; or a function of a module, as `switch.pause`. A module with an `app` is another noun.
    PEP 8's underscore after a name that Python has already is no part of the verb.
    """

    # Help in a line for what is listed without being imported.
    lines: ClassVar[Mapping[str, str]] = {}
    _listing = False

    def __init__(self, *, home: str, places: Sequence[str], **settings: Any) -> None:
        super().__init__(**settings)
        self._home = home
        self._places = {_verb_at(place): place for place in places}

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self._places)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self._places:
            return None
        if self._listing and cmd_name in self.lines:
            return TyperCommand(cmd_name, help=self.lines[cmd_name])
        if cmd_name not in self.commands:
            self.commands[cmd_name] = self._import(cmd_name)
        return self.commands[cmd_name]

    def _import(self, verb: str) -> Any:
        file, _, function = self._places[verb].partition(".")
        module = home = import_module(self._home)
        if hasattr(home, "__path__"):
            module = import_module(f"{self._home}.{file}")
            if hasattr(module, "app"):
                return module.app
        name = function or file
        return _verb(verb, getattr(module, name, None) or getattr(module, f"{name}_"))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with self._only_listing():
            super().format_help(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Plain help with the sections that Rich makes of the panels."""
        for panel in (None, GLOBAL_PANEL):
            options = [option for option in self.get_params(ctx) if option.rich_help_panel == panel]
            if options:
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


def noun(help_text: str, home: str, *places: str, without_verb: Callable[..., None] | None = None) -> Lazy:
    """The group of one noun's verbs; `without_verb` is what it does when none is named."""
    settings: dict[str, Any] = {"help": help_text, "no_args_is_help": True}
    if without_verb is not None:
        alone = _verb("", without_verb)
        settings = {
            "help": alone.help,
            "callback": alone.callback,
            "params": alone.params,
            "invoke_without_command": True,
            "subcommand_metavar": "[COMMAND [ARGS]...]",
        }
    return Lazy(
        home=home,
        places=places,
        name=home.rpartition(".")[2],
        epilog=GLOBAL_LINE,
        rich_markup_mode=MARKUP,
        context_settings=HELP_NAMES,
        short_help=placeholders.first_sentence(help_text),
        **settings,
    )


def _verb_at(place: str) -> str:
    """`switch.pause` is pause, `import_` import and `classify_reply` classify-reply."""
    return place.rpartition(".")[2].rstrip("_").replace("_", "-")


def _verb(name: str, function: Callable[..., None]) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=MARKUP, context_settings=HELP_NAMES)
    app.command(name, cls=Verb, epilog=GLOBAL_LINE)(function)
    command = build(app)
    placeholders.put_in(command)
    return command
