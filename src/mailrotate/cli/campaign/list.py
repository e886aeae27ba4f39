"""`mailrotate campaign list`."""

from datetime import datetime

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.campaign.document import row_of, state_of
from mailrotate.cli.hints import next_turn
from mailrotate.cli.output import instant


def list_(ctx: typer.Context) -> None:
    """List campaigns with their progress.

    Examples:

      mailrotate campaign list

      mailrotate campaign list --json
    """
    from mailrotate.core.services.campaigns import campaign_views

    call = call_of(ctx)
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
            _next(r["next_send_at"], call),
        ),
        "no campaigns yet",
        drop=("senders", "recipients", "open", "replied"),
    )


def _next(at: datetime | None, call: Call) -> str:
    from mailrotate.core.services.sending import runners

    is_due = at is not None and at <= call.now
    return next_turn(runners.any_sends(call.context)) if is_due else instant(at, call.zone)
