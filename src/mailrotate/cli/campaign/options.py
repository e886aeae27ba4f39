"""Options of several campaign commands, and how a file and flags become one plan."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.output import Speech
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint
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
        metavar="|".join(Rotation),
        help="How recipients are spread; two or more senders imply equal, in a team campaign adder.",
    ),
]
Weight = Annotated[
    list[str] | None,
    typer.Option(
        "--weight",
        metavar="ADDRESS=N",
        help="Share of a sender in a weighted rotation, 1 to 1000; can be repeated. Default: daily limits.",
    ),
]
Team = Annotated[
    bool | None,
    typer.Option(
        "--team", help="Every user may add recipients, who get a mailbox of the user who adds them."
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


def read_weights(campaign: str, written: Sequence[str] | None) -> dict[str, int]:
    """Read `ADDRESS=N` pairs. Raises BadInput (`campaign.weights`)."""
    from mailrotate.core.rules.rotation import HIGHEST_WEIGHT, is_weight
    from mailrotate.core.values.address import normalise_address

    weights: dict[str, int] = {}
    for pair in written or ():
        name, _, number = pair.rpartition("=")
        weight = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else None
        if not name or weight is None:
            raise BadInput(
                "campaign.weights", f"'{pair}' is not ADDRESS=N", "write it like --weight anna@example.org=3"
            )
        address = normalise_address(name)
        if not is_weight(weight):
            leave = Command("campaign", "sender", "remove", campaign, address)
            raise BadInput(
                "campaign.weights",
                f"--weight {pair}: a weight is a whole number from 1 to {HIGHEST_WEIGHT}",
                Hint("to give it no more recipients:", leave) if weight == 0 else None,
            )
        weights[address] = weight
    return weights


def plan_of(
    file: Path,
    *,
    name: str | None = None,
    senders: Sequence[str] | None = None,
    rotate: Rotation | None = None,
    weights: Sequence[str] | None = None,
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
        plan = replace(plan, from_addresses=tuple(senders), rotate=None, weights={})
    if rotate is not None:
        kept = plan.weights if rotate is Rotation.WEIGHTED else {}
        plan = replace(plan, rotate=rotate, weights=kept)
    if weights:
        plan = replace(plan, weights=read_weights(plan.name, weights), rotate=rotate)
    if team is not None:
        plan = replace(plan, team=team)
    return plan


def warn_of_outside(path: Path) -> None:
    Speech().warn(f"read from outside the campaign file's folder: {path}")
