"""`mailrotate campaign create`."""

from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign.drafted import tell_drafted, tell_warnings
from mailrotate.cli.campaign.options import (
    AllowOutside,
    File,
    From,
    Rotate,
    Team,
    Weight,
    plan_of,
    read_rotation,
)
from mailrotate.core.values.hint import Command


def create(
    ctx: typer.Context,
    file: File,
    name: Annotated[str | None, typer.Option(help="Name that replaces the one in the file.")] = None,
    sender: From = None,
    rotate: Rotate = None,
    weight: Weight = None,
    team: Team = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Create a draft from a file. Texts and attachments are stored: the files are not needed afterwards.

    The sender is --from, else the file's, else the default mailbox.

    Examples:

      mailrotate campaign create campaign.toml

      mailrotate campaign create campaign.toml --from anna@example.org --from ben@example.org

      mailrotate campaign create campaign.toml --from anna@example.org --from ben@example.org \\
        --weight anna@example.org=3
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    plan = plan_of(
        file,
        name=name,
        senders=sender,
        rotate=read_rotation(rotate),
        weights=weight,
        team=team,
        allow_outside=allow_outside,
    )
    drafted = drafting.create(call.context, plan, call.now)
    tell_drafted(call.speech, drafted, f"created campaign '{drafted.name}'")
    tell_warnings(call.speech, plan)
    call.speech.next(Command("recipient", "import", drafted.name, "FILE"))
