"""`mailrotate init`: the workspace before its first mailbox."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command


def init(
    ctx: typer.Context,
    email: Annotated[str, typer.Option(help="The admin's address.")],
    name: Annotated[str | None, typer.Option(help="The admin's name.")] = None,
) -> None:
    """Make the workspace and its admin. The first `mailbox connect` does it by itself.

    Examples:

      mailrotate init --email anna@example.org --name "Anna Example"
    """
    from mailrotate.core.values.address import guessed_name, normalise_address

    call = call_of(ctx)
    address = normalise_address(email)
    call.app.require_key_place()
    made = call.app.make_workspace(address, guessed_name(address) if name is None else name)
    if not made and call.app.ever_had_key:
        raise Refused(
            "workspace.exists", f"{call.app.settings.db} already has a workspace", Command("status")
        )
    call.app.make_key()
    admin = call.app.default_email
    call.speech.result(
        {"database": call.app.store.name, "admin": admin, "timezone": call.zone},
        f"created a workspace in {call.app.store.name}; admin: {admin}, time zone: {call.zone}",
    )
    call.speech.next(Command("mailbox", "connect", "ADDRESS"))
