"""`mailrotate plan show`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.plan.document import print_plan


def show(ctx: typer.Context) -> None:
    """The slots that each user has without buying, the daily cap, what mailboxes may be, and how often they
    are read.

    Examples:

      mailrotate plan show
    """
    from mailrotate.core.services.mailboxes import plan_changes

    call = call_of(ctx)
    print_plan(call.speech, plan_changes.show(call.context), {})
