"""`mailrotate mailbox disconnect`."""

from shlex import quote
from typing import TYPE_CHECKING

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.params import Address, DryRun, Yes

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.reconnecting import Consequences


def disconnect(ctx: typer.Context, address: Address, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Log a mailbox out and delete its password. What follows is shown first.

    Examples:

      mailrotate mailbox disconnect anna@example.org --dry-run

      mailrotate mailbox disconnect anna@example.org --yes
    """
    from mailrotate.core.services.mailboxes import reconnecting

    call = call_of(ctx)
    following = reconnecting.consequences(call.context, address)
    done = call.speech.confirm(
        _consequences(following),
        f"Disconnect {following.address}?",
        yes=yes,
        dry_run=dry_run,
        has_document=True,
    )
    if done:
        reconnecting.disconnect(call.context, address, call.now)
    call.speech.result(
        {
            "address": following.address,
            "disconnected": done,
            "campaigns": [
                {"campaign": c.name, "state": c.state, "people": c.people} for c in following.campaigns
            ],
            "waiting_messages": following.waiting_messages,
        },
        *([f"disconnected {following.address}; its password is deleted"] if done else []),
    )
    if done:
        call.speech.next(f"mailrotate mailbox connect {quote(following.address)}")


def _consequences(following: "Consequences") -> list[str]:
    address = following.address
    lines = [f"disconnecting {address}:"]
    for campaign in following.campaigns:
        active = "pauses" if campaign.is_sender else "goes on with its own senders"
        what = {"draft": "cannot be started meanwhile", "active": active}.get(campaign.state, "stays paused")
        lines.append(
            f"  campaign {campaign.name} {what}; people who wait for this mailbox: {campaign.people}"
        )
    if not following.campaigns:
        lines.append("  no campaign sends from it")
    if following.waiting_messages:
        waiting = counted(following.waiting_messages, "planned message waits", "planned messages wait")
        lines.append(f"  {waiting} until it is connected again")
    lines.append("  replies to it are no longer recognised")
    lines.append("  its settings start from their defaults when it is connected again; its history stays")
    if following.is_default:
        lines.append("  it stays the default sender; campaigns cannot be created without --from meanwhile")
    lines.append(
        "to renew its password none of this is needed: "
        f"mailrotate mailbox reconnect {quote(address)} --resume"
    )
    return lines
