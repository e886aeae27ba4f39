"""`mailrotate grace extend`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.grace.document import deadline_of
from mailrotate.cli.output import zoned
from mailrotate.cli.params import Address, read_flag


def extend(
    ctx: typer.Context,
    address: Address,
    by: Annotated[str, typer.Option("--by", metavar="DURATION", help="Time added to the deadline's end.")],
    campaign: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Campaign whose deadline is extended; default: all.",
            autocompletion=completion.campaigns,
        ),
    ] = None,
) -> None:
    """Give a mailbox that is away more time to come back. A deadline that has passed cannot be extended.

    Examples:

      mailrotate grace extend anna@example.org --by 2h

      mailrotate grace extend anna@example.org --by 3d --campaign autumn-intro
    """
    from mailrotate.core.services.mailboxes import grace_extension
    from mailrotate.core.values.duration import parse_duration

    call = call_of(ctx)
    added = read_flag("--by", by, parse_duration)
    moved = grace_extension.extend(call.context, address, added, campaign, call.now)
    call.speech.result(
        [deadline_of(one) for one in moved],
        *(
            f"campaign '{one.campaign}' waits for {one.address} until {zoned(one.ends_at, call.zone)}"
            for one in moved
        ),
    )
