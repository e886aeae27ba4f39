"""Whether a paused campaign may be resumed, and the command that comes before that (A10, C6, C8)."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.sign_in import sign_in
from mailrotate.core.services.access import advice
from mailrotate.core.services.effects import affected_campaigns
from mailrotate.core.services.effects.assigning import current_senders, is_able, is_connected
from mailrotate.core.store import campaigns, deadlines, mailboxes
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import AnyHint, Command, Hint
from mailrotate.core.values.reasons import CONTENT_ERRORS
from mailrotate.core.values.states import CampaignState, ConnectionState, DeadlineKind

_GRACE = "campaign.grace"


@dataclass(frozen=True)
class StillPaused:
    """A paused campaign whose recipients wait for a mailbox, and the command that lets it go on."""

    name: str
    people: int
    reasons: tuple[str, ...]
    way: AnyHint


def still_paused(connection: Connection, actor: Actor, box: StoredMailbox) -> list[StillPaused]:
    """Campaigns that stay paused although their mailbox is back, and what to run for each (C6)."""
    hanging = affected_campaigns.all_hanging_on(connection, box)
    waiting = {one.id: one.people for one in hanging if one.state is CampaignState.PAUSED and one.people}
    paused = [campaigns.by_id(connection, campaign_id) for campaign_id in waiting]
    return [
        StillPaused(one.name, waiting[one.id], one.pause_reasons, way(connection, actor, one))
        for one in paused
    ]


def way(connection: Connection, actor: Actor, campaign: StoredCampaign) -> AnyHint:
    """The command that lets a paused campaign go on: what comes before its resume, or the resume."""
    if CONTENT_ERRORS in campaign.pause_reasons:
        # While its texts fail, resuming would only fail again.
        return Command("campaign", "edit", campaign.name, "FILE")
    refused = refusal(connection, actor, campaign)
    if refused is None or refused.hint is None:
        return Command("campaign", "resume", campaign.name)
    if refused.code == _GRACE and isinstance(refused.hint, Hint):
        # A refused resume names every way; here the first one is enough: it loses nothing.
        return next(part for part in refused.hint.parts if isinstance(part, Command))
    return refused.hint


def refusal(
    connection: Connection, actor: Actor, campaign: StoredCampaign, without: Collection[int] = ()
) -> Refused | None:
    """Why a paused campaign cannot be resumed; `without` are mailboxes whose hour may go on meanwhile."""
    return _within_hour(connection, campaign, without) or _without_able_sender(connection, actor, campaign)


def _within_hour(
    connection: Connection, campaign: StoredCampaign, without: Collection[int]
) -> Refused | None:
    """Refuse while a disconnected mailbox may still come back to the campaign without loss (C8)."""
    of_hours = deadlines.of_campaign(campaign.id, DeadlineKind.DISCONNECT)
    running = deadlines.running_where(connection, of_hours)
    people = deadlines.hanging(connection, running)
    awaited = [one for one in running if people.get(one.id) and one.mailbox_id not in without]
    if not awaited:
        return None
    named = " and ".join(one.address for one in awaited)
    first = mailboxes.by_id(connection, awaited[0].mailbox_id)
    add = Command("campaign", "sender", "add", campaign.name, first.address)
    if first.state is ConnectionState.DISCONNECTED:
        rejoin = Command("mailbox", "connect", first.address, "--rejoin", "--resume")
        again = Hint("connect it again:", rejoin, "; or connect it without these flags, then:", add)
    else:
        again = Hint("add it again:", add)
    if any(map(is_able, current_senders(connection, campaign.id))):
        leaving_out = (part for one in awaited for part in ("--without", one.address))
        go_on = Command("campaign", "resume", campaign.name, *leaving_out)
        again = Hint(*again.parts, "; to go on without it:", go_on)
    return Refused(
        _GRACE,
        f"{named} can still come back to campaign '{campaign.name}' without loss, "
        f"until {rfc3339(awaited[0].ends_at.replace(microsecond=0))}",
        again,
    )


def require_able_sender(connection: Connection, actor: Actor, campaign: StoredCampaign) -> None:
    """Raises Refused if no sender can send."""
    refused = _without_able_sender(connection, actor, campaign)
    if refused is not None:
        raise refused


def _without_able_sender(connection: Connection, actor: Actor, campaign: StoredCampaign) -> Refused | None:
    """Refuse if no sender can send: its mailbox must be connected (C6) and its user active (A10)."""
    senders = current_senders(connection, campaign.id)
    if any(map(is_able, senders)):
        return None
    locked = next((sender for sender in senders if is_connected(sender)), None)
    if locked is not None and locked.mailbox_id is not None:
        email = mailboxes.by_id(connection, locked.mailbox_id).user_email
        return Refused(
            "campaign.sender_locked",
            f"{locked.address} cannot send for campaign '{campaign.name}': its user {email} is locked",
            advice.way(connection, actor, Deed.USERS, Command("user", "unlock", email)),
        )
    named = ", ".join(sender.address or "an empty slot" for sender in senders) or "none"
    return Refused(
        "campaign.no_sender_connected",
        f"no sender of campaign '{campaign.name}' is connected: {named}",
        _reconnection(senders) or _new_sender(connection, campaign),
    )


def _reconnection(senders: Collection[StoredSender]) -> Command | None:
    """The command that brings a sender back: a failed one first, because it keeps its settings."""
    away = [sender for sender in senders if sender.address is not None]
    for state in (ConnectionState.FAILED, ConnectionState.DISCONNECTED):
        for sender in away:
            if sender.state == state:
                return sign_in(state, str(sender.address), "--resume")
    return None


def _new_sender(connection: Connection, campaign: StoredCampaign) -> Command:
    boxes = mailboxes.listing(connection)
    if campaign.rotation is not None and any(box.state is ConnectionState.CONNECTED for box in boxes):
        return Command("campaign", "sender", "add", campaign.name, "ADDRESS")
    return affected_campaigns.way_on(connection, campaign) or Command("mailbox", "connect", "ADDRESS")
