"""`mailrotate plan show`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.plan.document import print_plan


def show(ctx: typer.Context) -> None:
    """Show the plan: included slots per user, the daily cap, allowed kinds of mailboxes, and the reading
    interval.

    Examples:

      mailrotate plan show
    """
    from mailrotate.core.services.mailboxes import plan_changes

    call = call_of(ctx)
    print_plan(call.speech, plan_changes.show(call.context), {})
