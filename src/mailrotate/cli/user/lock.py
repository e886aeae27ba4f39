"""`mailrotate user lock`."""

from typing import TYPE_CHECKING

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.consequences import campaigns_and_messages
from mailrotate.cli.params import DryRun, Yes
from mailrotate.cli.user.seat import Email, row_of
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.team.user_admin import LockConsequences


def lock(ctx: typer.Context, email: Email, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Lock a user, who then may not act and whose mailboxes send nothing, after showing what follows.

    Examples:

      mailrotate user lock ben@example.org --dry-run

      mailrotate user lock ben@example.org --yes
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    following = user_admin.lock_consequences(call.context, email, call.now)
    question = f"Lock {following.email}?"
    if call.speech.confirm(_consequences(following), question, yes=yes, dry_run=dry_run):
        seat = user_admin.lock(call.context, email, call.now)
        call.speech.result(row_of(seat), f"locked {seat.email}")
        call.speech.next(Command("user", "unlock", seat.email))


def _consequences(following: "LockConsequences") -> list[str]:
    lines = [f"locking {following.email}:", "  acts on nothing any more"]
    if following.is_default:
        lines.append("  is the default user: commands then need --as EMAIL")
    if following.addresses:
        one = "stays connected, is read and tested, sends nothing"
        several = "stay connected, are read and tested, send nothing"
        stays = one if len(following.addresses) == 1 else several
        lines.append(f"  {stays}: {', '.join(following.addresses)}")
    others = "goes on with its other senders"
    lines += campaigns_and_messages(following, "these mailboxes", others, "the user is unlocked")
    return lines
