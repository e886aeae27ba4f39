"""`mailrotate campaign start`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.drafted import warn_misnamed
from mailrotate.cli.campaign.options import From, Name, Rotate, Team, Weight, read_rotation, read_weights
from mailrotate.cli.output import localised, zoned
from mailrotate.cli.turns import words_of


def start(
    ctx: typer.Context,
    name: Name,
    sender: From = None,
    rotate: Rotate = None,
    weight: Weight = None,
    team: Team = None,
) -> None:
    """Start a draft. Its rotation is fixed from then on.

    Examples:

      mailrotate campaign start autumn-intro

      mailrotate campaign start autumn-intro --from anna@example.org --from ben@example.org
    """
    from mailrotate.core.services.campaigns import campaign_life

    call = call_of(ctx)
    started = campaign_life.start(
        call.context,
        name,
        sender or (),
        read_rotation(rotate),
        call.now,
        weights=read_weights(name, weight),
        team=team,
    )
    shares = ", ".join(f"{address} {count}" for address, count in started.assigned.items())
    if started.first_send_at is None:
        begins = f"nothing leaves yet: {localised(started.waits_for, call.zone)}"
    elif started.first_send_at <= call.app.clock():
        begins = f"first messages go out {words_of(started.first_send_at, call)}"
    else:
        begins = f"first messages go out from {zoned(started.first_send_at, call.zone, ahead=True)}"
    call.speech.result(
        {
            "name": started.name,
            "state": "active",
            "rotation": started.rotation,
            "assigned": dict(started.assigned),
            "first_due_at": started.first_due_at,
            "first_send_at": started.first_send_at,
        },
        f"started campaign '{started.name}': {shares}",
        begins,
    )
    warn_misnamed(call.speech, started.misnamed)
    call.speech.next(started.next_step)
