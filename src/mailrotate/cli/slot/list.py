"""`mailrotate slot list`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.slot.document import row_of, slot_cells, slot_rows
from mailrotate.cli.slot.team import team_line, team_row


def list_(ctx: typer.Context) -> None:
    """List each user's slots with their mailboxes, and the team's pool; a member sees their own.

    Connected counts mailboxes that are connected or failed. The date is the next renewal.

    Examples:

      mailrotate slot list
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    team = slot_pool.listing(call.context, call.now)
    if call.speech.as_json:
        call.speech.document(
            {**team_row(team), "users": [row_of(user) for user in team.users], "pool": slot_rows(team.pool)}
        )
        return
    call.speech.table(
        ("user", "connected", "default", "slot", "kind", "renews", "mailbox"),
        (
            (
                user.user, f"{user.connected}/{user.total}", user.default,
                *(("", "", "", "") if slot is None else slot_cells(slot)),
            )
            for user in team.users
            for slot in user.slots or (None,)
        ),
        drop=("default", "renews", "kind"),
    )  # fmt: skip
    call.speech.line(team_line(team))
    for slot in team.pool:
        call.speech.line(f"  s_{slot.id} renews {slot.renews_on}")
