"""`mailrotate user roles`."""

from typing import Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.core.values.states import Role


def roles(ctx: typer.Context) -> None:
    """List what each role may do.

    Examples:

      mailrotate user roles
    """
    from mailrotate.core.rules import roles

    rows: list[dict[str, Any]] = [
        {"deed": deed, "about": words, **{role: roles.may(role, deed) for role in Role}}
        for deed, words in roles.WORDS.items()
    ]
    call_of(ctx).speech.listing(
        ("to", *Role),
        rows,
        lambda row: (row["about"], *("yes" if row[role] else "no" for role in Role)),
        whole=True,
    )
