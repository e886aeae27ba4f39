"""`mailrotate slot remove`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.consequences import campaign_rows, told_of_disconnect
from mailrotate.cli.output import Speech, counted
from mailrotate.cli.params import DryRun, Yes, read_id
from mailrotate.cli.slot.awaited import awaited_lines
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.slot_removal import Ending, Removable, SlotConsequences


def remove(
    ctx: typer.Context,
    slot: Annotated[
        str | None,
        typer.Argument(metavar="SLOT", help="Id of the slot, like s_3.", autocompletion=completion.slots),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a slot and disconnect its mailbox, after showing what follows.

    The mailbox stays on its seat, disconnected and without a slot. Without SLOT, the removable slots are
    listed.

    Examples:

      mailrotate slot remove s_3 --dry-run

      mailrotate slot remove s_3 --yes
    """
    from mailrotate.core.services.mailboxes import slot_removal

    call = call_of(ctx)
    if slot is None:
        raise _unnamed(call.speech, slot_removal.removable(call.context, call.now))
    following = slot_removal.consequences(call.context, read_id(slot, "s", "slot"), call.now)
    told, warnings = _consequences(following, call.zone), _warnings(following, call.zone)
    done = call.speech.confirm(
        [*told, *(f"warning: {warning}" for warning in warnings)],
        f"Remove s_{following.slot_id}?",
        yes=yes,
        dry_run=dry_run,
        has_document=True,
    )
    removed = slot_removal.remove(call.context, following.slot_id, call.now) if done else None
    heir = None if removed is None or removed.pool_slot_id is None else f"s_{removed.pool_slot_id}"
    call.speech.result(
        {
            **_removal_row(following),
            "consequences": told,
            "warnings": warnings,
            "pool_slot": heir,
            "removed": done,
        },
        *([f"removed s_{following.slot_id}" + (f"; {heir} is in the team's pool" if heir else "")] * done),
    )
    if done:
        call.speech.next(Command("slot", "list"))


def _unnamed(speech: Speech, there: "Sequence[Removable]") -> BadInput:
    """List the removable slots, and end with an error so that a script notices the missing argument (A4)."""
    speech.listing(
        ("slot", "user", "mailbox", "kind", "renews"),
        [
            {
                "id": f"s_{slot.slot_id}",
                "user": slot.user,
                "mailbox": slot.mailbox,
                "kind": slot.kind,
                "renews_on": slot.renews_on,
            }
            for slot in there
        ],
        lambda row: (
            row["id"],
            row["user"] or "(team's pool)",
            row["mailbox"],
            row["kind"],
            row["renews_on"],
        ),
        drop=("renews", "kind"),
    )
    hint = (
        Command("slot", "remove", f"s_{there[0].slot_id}", "--dry-run") if there else Command("slot", "list")
    )
    return BadInput("slot.which", "name the slot to remove" if there else "there is no slot to remove", hint)


def _consequences(following: "SlotConsequences", zone: str) -> list[str]:
    whose = f"a slot of {following.user}" if following.user else "a slot of the team's pool"
    lines = [f"removing s_{following.slot_id}, {whose}:"]
    if following.mailbox:
        lines.append(
            f"  {following.mailbox} stops sending; it stays a mailbox of {following.user}, disconnected"
        )
    until = "it is connected again, in another slot"
    lines += told_of_disconnect(following, "it", until, zone, "; its credentials are deleted")
    lines.append(f"  {_subscription(following)}")
    return lines


def _subscription(following: "SlotConsequences") -> str:
    ends = following.ends
    if ends is not None:
        would = f"it would have renewed on {ends.renews_on}"
        if ends.becomes_included:
            return f"the subscription of s_{ends.slot_id} ends, which becomes an included slot; {would}"
        return f"its subscription ends; {would}"
    if following.total_before > following.included_count:
        return "no subscription ends: none of the user's slots has one"
    has = counted(following.total_before, "slot")
    within = f"the user has {has}, and the plan includes {following.included_count}"
    kept = "; what is paid for stays, as a slot of the team's pool" if following.goes_to_pool else ""
    return f"no subscription ends: {within}{kept}"


def _warnings(following: "SlotConsequences", zone: str) -> list[str]:
    warnings = awaited_lines(following.awaited, zone)
    if following.ends is not None and not following.ends.is_near:
        warnings.append(f"the renewal is not near: what ends is paid for until {following.ends.renews_on}")
    if following.campaigns:
        names = ", ".join(campaign.name for campaign in following.campaigns)
        warnings.append(f"not finished: {names}")
    return warnings


def _removal_row(following: "SlotConsequences") -> dict[str, Any]:
    return {
        "slot": f"s_{following.slot_id}",
        "kind": following.kind,
        "user": following.user,
        "mailbox": following.mailbox,
        "campaigns": campaign_rows(following),
        "waiting_messages": following.waiting_messages,
        "replies_recognised": None if following.mailbox is None else False,
        "subscription_ends": _ending_row(following.ends),
    }


def _ending_row(ends: "Ending | None") -> dict[str, Any] | None:
    if ends is None:
        return None
    return {
        "slot": f"s_{ends.slot_id}",
        "renews_on": ends.renews_on,
        "becomes_included": ends.becomes_included,
    }
