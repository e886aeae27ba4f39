"""Options of several campaign commands, and how a file and flags become one plan."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.output import Speech
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.states import Rotation

if TYPE_CHECKING:
    from mailrotate.core.rules.campaign_file import CampaignPlan

File = Annotated[Path, typer.Argument(metavar="FILE", help="The campaign's TOML file.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The campaign's name, or its id like c_17.",
        autocompletion=completion.campaigns,
    ),
]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="ADDRESS",
        help="Mailbox that sends; repeat it to rotate over several.",
        autocompletion=completion.mailboxes,
    ),
]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="Also read files outside the campaign file's folder.")
]
Rotate = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(Rotation), help="How recipients are spread; two or more senders imply equal."
    ),
]
Sender = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="ADDRESS",
        help="Sender of the campaign to write from; default: the recipient's.",
        autocompletion=completion.mailboxes,
    ),
]
Step = Annotated[int, typer.Option(min=1, help="Which step.")]


def read_rotation(text: str | None) -> Rotation | None:
    """Read the name of a rotation. Raises BadInput (`campaign.rotation`)."""
    try:
        return None if text is None else Rotation(text)
    except ValueError:
        allowed = ", ".join(Rotation)
        raise BadInput("campaign.rotation", f"unknown rotation '{text}'; allowed: {allowed}") from None


def plan_of(
    file: Path,
    *,
    name: str | None = None,
    senders: Sequence[str] | None = None,
    rotate: Rotation | None = None,
    team: bool | None = None,
    allow_outside: bool = False,
) -> "CampaignPlan":
    """Build the plan from a file and flags. Senders given by flag replace the file's senders and rotation."""
    from dataclasses import replace

    from mailrotate.adapters.campaign_files import read_campaign

    plan = read_campaign(file, allow_outside=allow_outside, tell_outside=warn_of_outside)
    if name is not None:
        plan = replace(plan, name=name)
    if senders:
        plan = replace(plan, from_addresses=tuple(senders), rotate=None)
    if rotate is not None:
        plan = replace(plan, rotate=rotate)
    if team is not None:
        plan = replace(plan, team=team)
    return plan


def warn_of_outside(path: Path) -> None:
    Speech().warn(f"read from outside the campaign file's folder: {path}")
