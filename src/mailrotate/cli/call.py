"""One call of the program: its global options, its instant, its objects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Any

import typer

from mailrotate.cli.output import Speech, has_instant, localised
from mailrotate.core.values.clock import system_clock
from mailrotate.core.values.errors import MailrotateError

if TYPE_CHECKING:
    from mailrotate.app import App
    from mailrotate.core.services.context import Context


class Patience:
    """Says once what a command waits for, and rests a moment each time it is called."""

    _SECONDS = 0.2

    def __init__(self, speech: Speech) -> None:
        self._speech = speech
        self._has_told = False

    def __call__(self, address: str) -> None:
        if not self._has_told:
            self._speech.say(
                f"waiting for the message of {address} that is being sent; Ctrl-C ends the wait, "
                "and nothing is changed"
            )
            self._has_told = True
        # Not `time.sleep`, which fails under a faked clock.
        Event().wait(self._SECONDS)


@dataclass
class Call:
    """`now` is read once, so that everything in one command happens at the same instant.

    The fields are the global options; the parsers fill them while they read the command line.
    """

    db: str | None = None
    acting: str | None = None
    as_json: bool = False
    debug: bool = False
    no_color: bool = False

    def take(self, options: Mapping[str, Any]) -> None:
        """Note global options by the names of the fields."""
        for name, value in options.items():
            setattr(self, name, value)
        if self.no_color:
            from mailrotate.app import forbid_colours

            forbid_colours()

    @property
    def speech(self) -> Speech:
        return Speech(self.as_json)

    @cached_property
    def app(self) -> "App":
        from mailrotate.app import App, load_settings

        return App(load_settings(self.db, self.acting))

    @property
    def context(self) -> "Context":
        return replace(self.app.context, remark=self.speech.warn)

    @property
    def patient_context(self) -> "Context":
        """The context of a command that waits for the message in flight of its mailbox."""
        return replace(self.context, patience=Patience(self.speech))

    @cached_property
    def now(self) -> datetime:
        return system_clock()

    @property
    def zone(self) -> str:
        """The time zone in which instants are shown."""
        return self.app.workspace.timezone

    def in_zone(self, text: str) -> str:
        """A sentence of the core with its instants in the workspace's time zone, as far as that is known."""
        try:
            return localised(text, self.zone) if has_instant(text) else text
        except MailrotateError:
            return text

    def trace(self, error: Exception) -> None:
        """With --debug, show where it happened; what is told else and the exit status are the same."""
        if self.debug:
            from traceback import format_exception

            self.speech.say("".join(format_exception(error)).rstrip())

    def close(self) -> None:
        if "app" in self.__dict__:
            self.app.close()


def call_of(ctx: typer.Context) -> Call:
    """The call that a command belongs to."""
    found = ctx.find_root().obj
    assert isinstance(found, Call)
    return found
