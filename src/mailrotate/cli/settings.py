"""`mailrotate settings`: settings shared by all machines of the workspace."""

from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech

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
    _print(call.speech, workspace_settings.show(call.context))


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
    _print(call.speech, workspace_settings.change(call.context, assignments, call.now))


def _print(speech: Speech, found: "list[Shown]") -> None:
    if speech.as_json:
        speech.document([vars(shown) for shown in found])
    else:
        speech.table(
            ("setting", "value", "default", "what it is"),
            ((shown.key, shown.value, shown.default, shown.about) for shown in found),
            drop=("default",),
            whole=True,
        )
