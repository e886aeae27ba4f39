"""`mailrotate user set`."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.user.seat import Email, Name, print_seat
from mailrotate.core.values.states import Role


def set_(
    ctx: typer.Context,
    email: Email,
    name: Name = None,
    role: Annotated[Role | None, typer.Option(help="What they may do: mailrotate user roles.")] = None,
) -> None:
    """Change a user's name or role; only admins give roles.

    Examples:

      mailrotate user set anna@example.org --name "Anna Example"
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    print_seat(call.speech, user_admin.change(call.context, email, name, role, call.now))
