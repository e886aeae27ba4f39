"""`mailrotate mailbox list`."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.mailbox.document import health_of, row_of, trouble_of
from mailrotate.cli.output import localised
from mailrotate.core.values.hint import Command, Hint


def list_(
    ctx: typer.Context,
    removed: Annotated[bool, typer.Option("--removed", help="Those that were removed, instead.")] = False,
) -> None:
    """List mailboxes with their health and today's count.

    Examples:

      mailrotate mailbox list

      mailrotate mailbox list --json
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    call = call_of(ctx)
    zone = call.zone
    rows = [row_of(listed) for listed in mailbox_views.listing(call.context, call.now, removed=removed)]
    # A member may see mailboxes of others, who share them, but not their seats.
    several = not call.speech.as_json and (
        len({row["user"] for row in rows}) > 1 or mailbox_views.is_among_others(call.context)
    )
    call.speech.listing(
        ("address", *(["user"] * several), "state", "today", "default", "slot", "provider", "trouble"),
        rows,
        lambda row: (
            row["address"],
            *([row["user"]] * several),
            health_of(row),
            f"{row['sent_today']}/{row['daily_limit']}",
            row["default"],
            row["slot"],
            row["provider"],
            localised(trouble_of(row), zone),
        ),
        "no mailbox was removed"
        if removed
        else Hint("no mailboxes; to connect one:", Command("mailbox", "connect", "ADDRESS")),
        drop=("provider", "default", "slot", *(["user"] * several), "today"),
    )
