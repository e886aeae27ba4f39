"""`mailrotate campaign delete`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.options import Name
from mailrotate.cli.output import counted
from mailrotate.cli.params import DryRun, Yes


def delete(ctx: typer.Context, name: Name, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a draft with its list of recipients; the contacts stay.

    Examples:

      mailrotate campaign delete autumn-intro
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    found, people = drafting.deletable(call.context, name)
    listed = counted(people, "recipient")
    told = [f"deletes the draft '{found}' with its list of {listed}; no message was sent"]
    if call.speech.confirm(told, f"Delete '{found}'?", yes=yes, dry_run=dry_run):
        deleted = drafting.delete(call.context, found, call.now)
        call.speech.result({"name": deleted, "deleted": True}, f"deleted campaign '{deleted}'")
