"""`mailrotate user list`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.user.seat import row_of


def list_(ctx: typer.Context) -> None:
    """List users with their slots; a member sees only themselves.

    Examples:

      mailrotate user list
    """
    from mailrotate.core.services.team import user_admin

    call_of(ctx).speech.listing(
        ("user", "name", "role", "state", "connected", "default"),
        [row_of(seat) for seat in user_admin.listing(call_of(ctx).context)],
        lambda r: (
            r["email"], r["name"], r["role"], r["state"], f"{r['connected']}/{r['total']}", r["default"],
        ),
        drop=("name", "default", "state"),
    )  # fmt: skip
