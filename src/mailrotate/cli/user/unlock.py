"""`mailrotate user unlock`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.consequences import late_rows, told_of_late
from mailrotate.cli.params import ParkLate
from mailrotate.cli.user.seat import Email, row_of
from mailrotate.core.values.hint import AnyHint, Command


def unlock(ctx: typer.Context, email: Email, park_late: ParkLate = False) -> None:
    """Unlock a user; campaigns that the lock paused wait for `campaign resume`.

    Examples:

      mailrotate user unlock ben@example.org
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    unlocked = user_admin.unlock(call.context, email, call.now, park_late=park_late)
    paused = unlocked.still_paused
    lines: list[AnyHint] = [f"unlocked {unlocked.seat.email}"]
    if paused:
        lines.append(f"still paused by the lock: {', '.join(paused)}")
    lines += told_of_late(unlocked.late, Command("user", "unlock", unlocked.seat.email, "--park-late"))
    document = {
        **row_of(unlocked.seat),
        "still_paused": list(paused),
        "late": late_rows(unlocked.late),
    }
    call.speech.result(document, *lines)
    if paused:
        call.speech.next(Command("campaign", "resume", paused[0]))
    else:
        call.speech.next(Command("user", "show", unlocked.seat.email))
