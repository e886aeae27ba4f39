"""`mailrotate suppression export`."""

import typer

from mailrotate.cli.call import call_of


def export(ctx: typer.Context) -> None:
    """Print every suppressed address and domain, one per line, as `import` reads them.

    Examples:

      mailrotate suppression export
    """
    from mailrotate.core.rules.addresses import as_line
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    with suppressing.listing(call.context, None, None) as found:
        for suppressed in found:
            # An erased address is stored only as a hash, which is useless outside this workspace.
            if suppressed.value is not None:
                call.speech.line(as_line(suppressed.value))
