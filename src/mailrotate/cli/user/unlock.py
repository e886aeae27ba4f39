"""`mailrotate user unlock`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.user.seat import Email, row_of
from mailrotate.core.values.hint import Command


def unlock(ctx: typer.Context, email: Email) -> None:
    """Unlock a user; campaigns that the lock paused wait for `campaign resume`.

    Examples:

      mailrotate user unlock ben@example.org
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    unlocked = user_admin.unlock(call.context, email, call.now)
    paused = unlocked.still_paused
    lines = [f"unlocked {unlocked.seat.email}"]
    if paused:
        lines.append(f"still paused by the lock: {', '.join(paused)}")
    call.speech.result({**row_of(unlocked.seat), "still_paused": list(paused)}, *lines)
    if paused:
        call.speech.next(Command("campaign", "resume", paused[0]))
    else:
        call.speech.next(Command("user", "show", unlocked.seat.email))
