"""`mailrotate grace list`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.grace.document import left, row_of
from mailrotate.cli.output import instant

_KINDS = {"disconnect": "disconnected", "failure": "failed"}


def list_(ctx: typer.Context) -> None:
    """List the running deadlines, and how many recipients wait for each mailbox.

    When a deadline ends, contacted recipients are stopped permanently and the others go to another sender.

    Examples:

      mailrotate grace list

      mailrotate grace list --json
    """
    from mailrotate.core.services.mailboxes import grace_extension

    call = call_of(ctx)
    zone = call.zone
    call.speech.listing(
        ("mailbox", "campaign", "reason", f"ends ({zone})", "left", "recipients"),
        map(row_of, grace_extension.listing(call.context, call.now)),
        lambda r: (
            r["mailbox"],
            r["campaign"],
            _KINDS[r["kind"]],
            instant(r["ends_at"], zone),
            left(r["ends_at"], call.now),
            r["recipients"],
        ),
        "no deadline is running",
        drop=("reason", "recipients", "left"),
    )
