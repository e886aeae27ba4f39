"""`mailrotate user show`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.user.seat import Email, print_seat


def show(ctx: typer.Context, email: Email) -> None:
    """Show a user with their mailboxes.

    Examples:

      mailrotate user show anna@example.org
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    print_seat(call.speech, user_admin.show(call.context, email))
