"""Consequences of mailboxes that stop sending, in words and as JSON, the same for each command."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mailrotate.cli.output import counted, zoned
from mailrotate.core.values import reasons
from mailrotate.core.values.duration import format_duration
from mailrotate.core.values.hint import AnyHint, Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.effects.consequences import Consequences, HitCampaign
    from mailrotate.core.services.effects.late_release import Late
    from mailrotate.core.services.effects.resuming import StillPaused

_FATES = {"pauses": "pauses", "stays_paused": "stays paused", "cannot_start": "cannot be started meanwhile"}


def fate(campaign: "HitCampaign", other: Mapping[str, str]) -> str | None:
    """Say what happens to a campaign; `other` overrides the words of a fate."""
    return {**_FATES, **other}.get(campaign.fate)


def campaigns_and_messages(following: "Consequences", whose: str, goes_on: str, until: str) -> list[str]:
    """List the campaigns with their waiting recipients, and how long the messages wait."""
    lines = [
        f"  campaign {campaign.name} {fate(campaign, {'goes_on': goes_on})}; "
        f"recipients who wait for {whose}: {campaign.people}"
        for campaign in following.campaigns
    ]
    if following.waiting_messages:
        waiting = counted(following.waiting_messages, "planned message waits", "planned messages wait")
        lines.append(f"  {waiting} until {until}")
    return lines


def told_of_disconnect(
    following: "Consequences", whose: str, until: str, zone: str, secret: str = ""
) -> list[str]:
    """List all consequences for one mailbox; for an empty slot, only its campaigns."""
    lines = campaigns_and_messages(following, whose, "goes on with its own senders", until)
    lines += [
        f"  unless it is back in {campaign.name} by {zoned(campaign.comes_back_by, zone)}: "
        f"{counted(campaign.contacted, 'contacted recipient is', 'contacted recipients are')} stopped "
        f"permanently, {campaign.people - campaign.contacted} go to another sender"
        for campaign in following.campaigns
        if campaign.comes_back_by is not None
    ]
    if not following.campaigns:
        lines.insert(0, "  no campaign sends from it")
    if following.addresses:
        lines.append(f"  replies to it are no longer recognised{secret}")
        lines.append("  its settings start from their defaults when it is connected again; its history stays")
    if following.is_default:
        lines.append("  it stays the default sender; campaigns cannot be created without --from meanwhile")
    return lines


def campaign_rows(following: "Consequences") -> list[dict[str, Any]]:
    return [
        {
            "campaign": c.name,
            "state": c.state,
            "people": c.people,
            "contacted": c.contacted,
            "comes_back_by": c.comes_back_by,
        }
        for c in following.campaigns
    ]


# A campaign, how many of its recipients were stopped, and when.
SettledRow = tuple[str, int, datetime]


def stopped_rows(settled: Sequence[SettledRow]) -> list[dict[str, Any]]:
    return [{"campaign": name, "recipients": stopped, "at": at} for name, stopped, at in settled]


def paused_rows(paused: Sequence["StillPaused"]) -> list[dict[str, Any]]:
    return [
        {"campaign": one.name, "people": one.people, "reasons": list(one.reasons), "command": one.way}
        for one in paused
    ]


def told_of_paused(paused: Sequence["StillPaused"]) -> list[AnyHint]:
    """The campaigns that are still paused, why, and the command that lets each go on."""
    return [
        Hint(
            f"campaign '{one.name}' is still {reasons.paused(one.reasons)} "
            f"({counted(one.people, 'person waits', 'people wait')}):",
            *(one.way.parts if isinstance(one.way, Hint) else (one.way,)),
        )
        for one in paused
    ]


def late_rows(late: Sequence["Late"]) -> list[dict[str, Any]]:
    return [{"campaign": one.campaign, "messages": one.messages, "parked": one.parked} for one in late]


def told_of_late(late: Sequence["Late"], *park: str | Command) -> list[AnyHint]:
    """Say how many messages go out although they are too late, and the commands that `park` them (H4)."""
    lines: list[AnyHint] = []
    for one in late:
        messages = counted(one.messages, "message of", "messages of")
        verb = "is" if one.messages == 1 else "are"
        says = f"{messages} campaign '{one.campaign}' {verb} more than {_long(one.lateness)} late"
        if one.parked:
            way = Command("outbox", "release", "--campaign", one.campaign)
            lines.append(Hint(f"{says} and parked; to send them:", way))
        else:
            lines.append(Hint(f"{says}; to park them:", *park))
    return lines


def _long(lateness: timedelta) -> str:
    days, rest = divmod(lateness, timedelta(days=1))
    return format_duration(lateness) if rest else counted(days, "day")


def told_of_settled(address: str, settled: Sequence[SettledRow], zone: str) -> list[AnyHint]:
    """The rotations that a mailbox had to leave, and how it becomes a new sender there."""
    lines: list[AnyHint] = []
    for name, stopped, at in settled:
        people = counted(stopped, "recipient was", "recipients were")
        lines.append(
            Hint(
                f"campaign '{name}' no longer waits for it: {people} stopped at {zoned(at, zone)}; "
                "to add it as a new sender:",
                Command("campaign", "sender", "add", name, address),
            )
        )
    return lines
