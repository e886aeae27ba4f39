"""`mailrotate campaign list`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.document import row_of, state_of
from mailrotate.cli.turns import cell_of, runner_works


def list_(ctx: typer.Context) -> None:
    """List campaigns with their progress.

    Examples:

      mailrotate campaign list

      mailrotate campaign list --json
    """
    from mailrotate.core.services.campaigns import campaign_views

    call = call_of(ctx)
    works = runner_works(call)
    call.speech.listing(
        ("name", "state", "senders", "recipients", "open", "replied", "sent", f"next ({call.zone})"),
        map(row_of, campaign_views.listing(call.context, call.now)),
        lambda r: (
            r["name"],
            state_of(r),
            len(r["senders"]),
            sum(r["recipients"].values()),
            r["recipients"]["queued"] + r["recipients"]["active"],
            r["recipients"]["replied"],
            sum(step["sent"] for step in r["steps"]),
            "after an action" if r["waits_for"] else cell_of(r["next_send_at"], call, works),
        ),
        "no campaigns yet",
        drop=("senders", "recipients", "open", "replied"),
    )
