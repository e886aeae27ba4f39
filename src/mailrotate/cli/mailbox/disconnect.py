"""`mailrotate mailbox disconnect`."""

from typing import TYPE_CHECKING

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.consequences import campaign_rows, told_of_disconnect
from mailrotate.cli.params import Address, DryRun, Yes
from mailrotate.core.values.hint import AnyHint, Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.effects.consequences import Consequences


def disconnect(ctx: typer.Context, address: Address, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Disconnect a mailbox and delete its credentials, after showing what follows.

    Examples:

      mailrotate mailbox disconnect anna@example.org --dry-run

      mailrotate mailbox disconnect anna@example.org --yes
    """
    from mailrotate.core.services.mailboxes import reconnecting

    call = call_of(ctx)
    following = reconnecting.consequences(call.context, address, call.now)
    (address,) = following.addresses
    done = call.speech.confirm(
        _consequences(following, call.zone),
        f"Disconnect {address}?",
        yes=yes,
        dry_run=dry_run,
        has_document=True,
    )
    if done:
        reconnecting.disconnect(call.patient_context, address, call.now)
    call.speech.result(
        {
            "address": address,
            "disconnected": done,
            "campaigns": campaign_rows(following),
            "waiting_messages": following.waiting_messages,
        },
        *([f"disconnected {address}; its credentials are deleted"] if done else []),
    )
    if done:
        again = Command("mailbox", "connect", address)
        if any(campaign.comes_back_by for campaign in following.campaigns):
            again = Command("mailbox", "connect", address, "--rejoin", "--resume")
        call.speech.next(again)


def _consequences(following: "Consequences", zone: str) -> list[AnyHint]:
    (address,) = following.addresses
    lines: list[AnyHint] = [f"disconnecting {address}:"]
    lines += told_of_disconnect(following, "this mailbox", "it is connected again", zone)
    lines.append(
        Hint(
            "to change only its credentials, and lose nothing:",
            Command("mailbox", "reconnect", address, "--resume"),
        )
    )
    lines += [
        Hint(
            f"to go on with campaign {campaign.name} from another address:",
            Command("mailbox", "connect", "ADDRESS", "--slot", f"s_{campaign.slot_id}"),
        )
        for campaign in following.campaigns
        if campaign.slot_id is not None
    ]
    return lines
