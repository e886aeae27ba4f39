"""One call of the program: its settings, its instant, its objects. Made by the root for every command."""

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from mailrotate.core.values.clock import system_clock

if TYPE_CHECKING:
    from mailrotate.app import App
    from mailrotate.core.services.context import Context


class Call:
    """`now` is read once: everything one command decides, it decides at one instant."""

    def __init__(self, db: str | None, user: str | None) -> None:
        self._db = db
        self._user = user

    @cached_property
    def app(self) -> "App":
        from mailrotate.app import App, load_settings

        return App(load_settings(self._db, self._user))

    @property
    def context(self) -> "Context":
        return self.app.context

    @cached_property
    def now(self) -> datetime:
        return system_clock()

    @property
    def zone(self) -> str:
        """In which people see instants."""
        return self.app.workspace.timezone

    def close(self) -> None:
        if "app" in self.__dict__:
            self.app.close()


def call_of(ctx: typer.Context) -> Call:
    """The call that a command belongs to."""
    found = ctx.find_root().obj
    assert isinstance(found, Call)
    return found
