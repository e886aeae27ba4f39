"""`mailrotate campaign sender`: the mailboxes of a rotation."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import counted, instant
from mailrotate.cli.params import Campaign, DryRun, Yes
from mailrotate.core.values.hint import Command

app = noun(
    "Manage the mailboxes that a rotation sends from.",
    __name__,
    "list",
    "add",
    "remove",
)

Sender = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="The mailbox's address.", autocompletion=completion.mailboxes)
]


def list_(ctx: typer.Context, campaign: Campaign) -> None:
    """List a campaign's senders, also those that are away and may still come back.

    Examples:

      mailrotate campaign sender list autumn-intro
    """
    from mailrotate.core.services.campaigns import rotation_senders

    call = call_of(ctx)
    zone = call.zone
    call.speech.listing(
        ("address", "state", "assigned", "open", f"may return until ({zone})"),
        map(vars, rotation_senders.listing(call.context, campaign, call.now)),
        lambda r: (r["address"], r["state"], r["assigned"], r["people"], instant(r["grace_until"], zone)),
        "the campaign has no sender",
        drop=("assigned",),
    )


def add(ctx: typer.Context, campaign: Campaign, address: Sender) -> None:
    """Add a mailbox to a rotation.

    Within the hour after its disconnect, a mailbox gets its place and its recipients back. Later it is a new
    sender: it gets only recipients who have had no message of the campaign.

    Examples:

      mailrotate campaign sender add autumn-intro anna@example.org
    """
    from mailrotate.core.services.campaigns import rotation_senders

    call = call_of(ctx)
    joined = rotation_senders.add(call.context, campaign, address, call.now)
    has = counted(joined.people, "open recipient")
    words = f"is back in its place, with {has}" if joined.came_back else f"is a new sender, with {has}"
    call.speech.result(
        {
            "campaign": joined.campaign,
            "address": joined.address,
            "came_back": joined.came_back,
            "people": joined.people,
            "paused": joined.is_paused,
        },
        f"{joined.address} {words} in campaign '{joined.campaign}'",
    )
    if joined.is_paused:
        call.speech.next(Command("campaign", "resume", joined.campaign))


def remove(
    ctx: typer.Context, campaign: Campaign, address: Sender, yes: Yes = False, dry_run: DryRun = False
) -> None:
    """Take a mailbox out of a rotation. Its contacted recipients finish, the others go to another sender.

    Examples:

      mailrotate campaign sender remove autumn-intro anna@example.org --dry-run
    """
    from mailrotate.core.services.campaigns import rotation_senders

    call = call_of(ctx)
    leaving = rotation_senders.removable(call.context, campaign, address, call.now)
    told = [
        f"taking {leaving.address} out of campaign '{leaving.campaign}':",
        f"  contacted recipients who get nothing more: {leaving.finished}",
        f"  recipients who go to another sender: {leaving.given_back}",
    ]
    done = call.speech.confirm(
        told, f"Take {leaving.address} out?", yes=yes, dry_run=dry_run, has_document=True
    )
    if done:
        leaving = rotation_senders.remove(call.context, campaign, address, call.now)
    call.speech.result(
        {
            "campaign": leaving.campaign,
            "address": leaving.address,
            "removed": done,
            "finished": leaving.finished,
            "reassigned": leaving.given_back,
            "waiting": leaving.waiting,
        },
        *([f"{leaving.address} no longer sends for campaign '{leaving.campaign}'"] if done else []),
    )
