"""`mailrotate campaign check`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.drafted import steps_of, tell_warnings
from mailrotate.cli.campaign.options import AllowOutside, File, warn_of_outside
from mailrotate.core.values.hint import Command


def check(ctx: typer.Context, file: File, allow_outside: AllowOutside = False) -> None:
    """Check a campaign file and report every mistake. Needs no workspace and stores nothing.

    Examples:

      mailrotate campaign check examples/campaign/campaign.toml
    """
    from mailrotate.adapters.campaign_files import read_campaign

    speech = call_of(ctx).speech
    plan = read_campaign(file, allow_outside=allow_outside, tell_outside=warn_of_outside)
    needed = sorted(plan.needs.fields)
    speech.result(
        {
            "name": plan.name,
            "steps": len(plan.steps),
            "fields": needed,
            "warnings": list(plan.warnings),
        },
        f"{file} is in order: campaign '{plan.name}' with {steps_of(len(plan.steps))}",
        f"every recipient needs: {', '.join(needed) or 'nothing but an address'}",
    )
    tell_warnings(speech, plan)
    speech.next(Command("campaign", "create", str(file)))
