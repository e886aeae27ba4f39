"""`mailrotate limits`: what the mail providers allow."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech

if TYPE_CHECKING:
    from mailrotate.core.rules.provider_limits import KnownLimit

app = noun("Show or change the mail providers' limits.", __name__, "show", "set")


def show(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Provider to show, such as google.")] = None,
) -> None:
    """Show the limits in force, with the source of each and the day it was read.

    Examples:

      mailrotate limits show

      mailrotate limits show --provider google --json
    """
    from mailrotate.core.services.views import limit_settings

    found = limit_settings.show(call_of(ctx).context)
    _print(call_of(ctx).speech, [limit for limit in found if provider in (None, limit.provider)])


def set_(
    ctx: typer.Context,
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=N", help="A number of messages, or off.")],
) -> None:
    """Change limits, or add one to a provider; `off` lifts it.

    Examples:

      mailrotate limits set google.day=1500

      mailrotate limits set imap.hour=100 microsoft.minute=off
    """
    from mailrotate.core.services.views import limit_settings
    from mailrotate.providers.registry import PROVIDERS

    call = call_of(ctx)
    _print(call.speech, list(limit_settings.change(call.context, assignments, PROVIDERS, call.now)))


def _print(speech: Speech, found: "list[KnownLimit]") -> None:
    rows: list[dict[str, Any]] = [vars(limit) for limit in found]
    speech.listing(
        ("limit", "binds", "messages", "in any", "default", "as of", "source"),
        rows,
        lambda r: (
            r["name"],
            r["binds"],
            "off" if r["limit"] is None else r["limit"],
            r["period"],
            r["default"],
            r["gathered"],
            r["source"],
        ),
        "no limits",
        drop=("source", "as of", "default"),
    )
