"""`mailrotate user add`."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.user.seat import Email, Name, row_of
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import Role


def add(
    ctx: typer.Context,
    email: Email,
    name: Name = None,
    role: Annotated[Role, typer.Option(help="What they may do: mailrotate user roles.")] = Role.MEMBER,
) -> None:
    """Add a user, with the slots that the plan includes.

    Examples:

      mailrotate user add ben@example.org --name "Ben Example"

      mailrotate user add cleo@example.org --role manager --json
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    seat = user_admin.add(call.context, email, name, role, call.now)
    call.speech.result(row_of(seat), f"added {seat.email}, {seat.role}, with {counted(seat.total, 'slot')}")
    call.speech.next(Command("mailbox", "connect", "ADDRESS", "--for", seat.email))
