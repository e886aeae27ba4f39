"""`mailrotate settings`: settings shared by all machines of the workspace."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import cell
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.views.workspace_settings import Shown

app = noun("Show or change the workspace settings.", __name__, "show", "set")


def show(ctx: typer.Context) -> None:
    """Show every setting with its value and default.

    Examples:

      mailrotate settings show
    """
    from mailrotate.core.services.views import workspace_settings

    call = call_of(ctx)
    found = workspace_settings.show(call.context)
    call.speech.result([vars(shown) for shown in found], *(line for shown in found for line in _told(shown)))
    call.speech.next(Command("settings", "set", "KEY=VALUE"))


def set_(
    ctx: typer.Context,
    assignments: Annotated[list[str], typer.Argument(metavar="KEY=VALUE", help="What to set.")],
) -> None:
    """Change settings, all or none of them.

    Examples:

      mailrotate settings set lateness=3d network_patience=1h

      mailrotate settings set timezone=Europe/Berlin
    """
    from mailrotate.core.services.views import workspace_settings

    call = call_of(ctx)
    found = workspace_settings.change(call.context, assignments, call.now)
    named = {assignment.partition("=")[0] for assignment in assignments}
    call.speech.result(
        [vars(shown) for shown in found], *(_changed(shown) for shown in found if shown.key in named)
    )


def _changed(shown: "Shown") -> str:
    if shown.before == shown.value:
        return f"nothing to change: {shown.key} is already {shown.value}"
    return f"set {shown.key} to {shown.value}; it was {shown.before or 'not set'}"


def _told(shown: "Shown") -> Iterator[str]:
    """A setting as it is typed in `settings set`, and below it what it is."""
    default = {None: "", shown.value: " (the default)"}.get(shown.default, f" (default {shown.default})")
    yield f"{shown.key}={cell(shown.value)}{default}"
    yield f"  {shown.about}"
