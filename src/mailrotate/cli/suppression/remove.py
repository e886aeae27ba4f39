"""`mailrotate suppression remove`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.params import DryRun, Yes
from mailrotate.cli.suppression.options import Value


def remove(ctx: typer.Context, value: Value, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Allow an address or domain again. Recipients that it ended stay ended.

    Examples:

      mailrotate suppression remove kim@example.com
    """
    from mailrotate.core.rules.addresses import read_suppressed
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    _, name = read_suppressed(value)
    told = [f"{name} may be written to again; did they ask for that?"]
    if call.speech.confirm(told, f"Allow {name}?", yes=yes, dry_run=dry_run):
        removed = suppressing.remove(call.context, value, call.now)
        call.speech.result({"value": removed, "removed": True}, f"{removed} is no longer suppressed")
