"""`mailrotate init`: the workspace before its first mailbox."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import MARKUP
from mailrotate.cli.output import Speech
from mailrotate.cli.params import Json
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command

app = typer.Typer(
    add_completion=False, rich_markup_mode=MARKUP, context_settings={"help_option_names": ["-h", "--help"]}
)


@app.command()
def init(
    ctx: typer.Context,
    email: Annotated[str, typer.Option(help="The admin's address.")],
    name: Annotated[str | None, typer.Option(help="The admin's name.")] = None,
    as_json: Json = False,
) -> None:
    """Make the workspace and its admin. The first `mailbox connect` does it by itself.

    Examples:

      mailrotate init --email anna@example.org --name "Anna Example"
    """
    from mailrotate.core.values.address import normalise_address

    call, speech = call_of(ctx), Speech(as_json)
    address = normalise_address(email)
    made = call.app.make_workspace(address, name or address.partition("@")[0])
    if not made and call.app.ever_had_key:
        raise Refused(
            "workspace.exists", f"there is a workspace in {call.app.settings.db} already", Command("status")
        )
    call.app.make_key()
    admin = call.app.default_email
    speech.result(
        {"database": call.app.store.name, "admin": admin, "timezone": call.zone},
        f"made a workspace in {call.app.store.name}; its admin is {admin}, its time zone {call.zone}",
    )
    speech.next(Command("mailbox", "connect", "ADDRESS"))
