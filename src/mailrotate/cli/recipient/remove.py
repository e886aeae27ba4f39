"""`mailrotate recipient remove`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.params import Campaign, DryRun, Yes
from mailrotate.cli.recipient.document import Address


def remove(
    ctx: typer.Context,
    campaign: Campaign,
    address: Address,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a recipient. One with a planned or sent message stays listed as finished and gets nothing more.

    Examples:

      mailrotate recipient remove autumn-intro kim@example.com
    """
    from mailrotate.core.services.campaigns import recipient_list

    call = call_of(ctx)
    entry = recipient_list.show(call.context, campaign, address, call.now)
    sent = counted(entry.sent, "message was", "messages were")
    told = [f"{entry.email} gets nothing more of '{campaign}' ({sent} sent)"]
    if not call.speech.confirm(told, f"Take {entry.email} out?", yes=yes, dry_run=dry_run):
        return
    removed = recipient_list.remove(call.context, campaign, address, call.now)
    words = "ended, and stays listed" if removed.was_contacted else "taken out"
    call.speech.result(
        {"email": removed.email, "was_contacted": removed.was_contacted}, f"{removed.email}: {words}"
    )
