"""`mailrotate user remove`."""

from typing import TYPE_CHECKING

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.params import DryRun, Yes
from mailrotate.cli.user.seat import Email
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.team.user_removal import Consequences as Leaving


def remove(ctx: typer.Context, email: Email, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Remove a user without mailboxes. Their campaigns and their lines in the log stay.

    A user who is added again with the same address is the same user.

    Examples:

      mailrotate user remove ben@example.org --dry-run

      mailrotate user remove ben@example.org --yes
    """
    from mailrotate.core.services.team import user_removal

    call = call_of(ctx)
    following = user_removal.consequences(call.context, email)
    told = _leaving(following)
    done = call.speech.confirm(
        told, f"Remove {following.email}?", yes=yes, dry_run=dry_run, has_document=True
    )
    if done:
        user_removal.remove(call.context, email, call.now)
    call.speech.result(
        {"email": following.email, "consequences": told, "removed": done},
        *([f"removed {following.email}"] if done else []),
    )
    if done:
        call.speech.next(Command("user", "list"))


def _leaving(following: "Leaving") -> list[str]:
    lines = [f"removing {following.email}:", "  acts on nothing any more, and is in no list"]
    if following.included_slots:
        lines.append(
            f"  {counted(following.included_slots, 'included slot ends', 'included slots end')} with the user"
        )
    if following.purchased_slots:
        bought = counted(following.purchased_slots, "purchased slot goes", "purchased slots go")
        lines.append(f"  {bought} back to the team's pool")
    if following.requests:
        asked = counted(following.requests, "request or approval", "requests and approvals")
        lines.append(f"  {asked} of mailboxes end")
    if following.shares:
        lines.append(
            f"  {counted(following.shares, 'shared mailbox', 'shared mailboxes')} no longer open to them"
        )
    if following.campaigns:
        lines.append(f"  campaigns that stay, for managers and admins: {', '.join(following.campaigns)}")
    return lines
