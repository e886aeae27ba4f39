"""The senders of a rotation: who sends, who joins, who leaves (C8, E1, E3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.access import authority, naming
from mailrotate.core.services.campaigns import sender_choice
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import affected_campaigns, assigning, grace_periods
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.store import deadlines, events, mailboxes, removals, senders
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import recipients, stopping
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.values.errors import NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.reasons import SENDER_REMOVED
from mailrotate.core.values.states import CampaignState, Departure

_ROTATES = (CampaignState.ACTIVE, CampaignState.PAUSED)


@dataclass(frozen=True)
class Joined:
    """A mailbox that is a sender now. `came_back`: with its former recipients, within the hour."""

    campaign: str
    address: str
    came_back: bool
    people: int
    is_paused: bool


@dataclass(frozen=True)
class Leaving:
    """What a sender's removal does: contacted recipients finish, the others go to another sender."""

    campaign: str
    address: str
    finished: int
    given_back: int
    waiting: int = 0


@dataclass(frozen=True)
class ShownSender:
    """A present sender, or one that left and may still come back (`grace_until`)."""

    address: str
    state: str
    assigned: int
    people: int
    grace_until: datetime | None


def listing(context: Context, name: str, now: datetime) -> Sequence[ShownSender]:
    """The senders of a campaign. Raises NotFound."""
    with looking(context, now) as connection:
        campaign = authority.find_seen_campaign(connection, context.actor, name)
        running = {
            one.mailbox_id: one.ends_at
            for one in deadlines.running_where(connection, deadlines.of_campaign(campaign.id))
        }
        return [
            ShownSender(
                sender.address or "-",
                sender.state or "disconnected",
                sender.assigned_count,
                recipients.open_count(connection, campaign.id, sender.id),
                running.get(sender.mailbox_id or 0),
            )
            for sender in senders.senders_of(connection, campaign.id)
            if sender.is_present or (sender.is_away and sender.mailbox_id in running)
        ]


def add(context: Context, name: str, address: str, now: datetime) -> Joined:
    """Add a mailbox to a rotation; within the hour after its disconnect it gets its place back (C8).

    Later it is a new sender, with recipients who have had no message of the campaign. Raises NotFound,
    Refused (`campaign.…`, `mailbox.…`).
    """
    with acting(context, now) as (connection, now):
        recipients.lock_enrolment(connection)
        campaign = authority.find_campaign(connection, context.actor, name)
        _require_rotation(campaign)
        box = sender_choice.sending_mailbox(connection, context.actor, address)
        _refuse_present(connection, campaign, box)
        came_back = affected_campaigns.bring_back(connection, box, campaign.id, now)
        if not came_back:
            senders.join(connection, campaign.id, box.id, now)
        grace_periods.begin_for_failed_senders(connection, campaign.id, now)
        assigning.assign_waiting(connection, campaign.id, now)
        about = About(mailbox_id=box.id, campaign_id=campaign.id)
        events.record(connection, context.actor, "campaign.sender_added", now, about, came_back=came_back)
        people = sum(
            recipients.open_count(connection, campaign.id, sender.id)
            for sender in assigning.current_senders(connection, campaign.id)
            if sender.mailbox_id == box.id
        )
        return Joined(campaign.name, box.address, came_back, people, campaign.state is CampaignState.PAUSED)


def _require_rotation(campaign: StoredCampaign) -> None:
    if campaign.rotation is None:
        is_draft = campaign.state is CampaignState.DRAFT
        raise Refused(
            "campaign.no_rotation",
            f"campaign '{campaign.name}' does not rotate: it has a single sender",
            Command("campaign", "start", campaign.name, "--from", "ADDRESS", "--from", "ADDRESS")
            if is_draft
            else Command("campaign", "copy", campaign.name),
        )
    if campaign.state not in _ROTATES:
        is_draft = campaign.state is CampaignState.DRAFT
        raise Refused(
            "campaign.not_running",
            f"campaign '{campaign.name}' is {'a draft' if is_draft else campaign.state}",
            Command("campaign", "start", campaign.name, "--from", "ADDRESS")
            if is_draft
            else Command("campaign", "copy", campaign.name),
        )


def _refuse_present(connection: Connection, campaign: StoredCampaign, box: StoredMailbox) -> None:
    if any(one.mailbox_id == box.id for one in assigning.current_senders(connection, campaign.id)):
        raise Refused(
            "campaign.is_sender",
            f"{box.address} is already a sender of campaign '{campaign.name}'",
            Command("campaign", "sender", "list", campaign.name),
        )


def removable(context: Context, name: str, address: str, now: datetime) -> Leaving:
    """What `remove` would do. Raises NotFound, Refused."""
    with looking(context, now) as connection:
        campaign, box, sender = _leaving(connection, context, name, address)
        contacted, untouched = removals.people_counts(connection, [sender.id]).get(campaign.id, (0, 0))
        return Leaving(campaign.name, box.address, contacted, untouched)


def remove(context: Context, name: str, address: str, now: datetime) -> Leaving:
    """Take a mailbox out of a rotation: it gets no new recipients, its contacted ones finish
    (`sender_removed`), and the others are assigned again (E3).

    Raises NotFound, Refused (`campaign.no_sender`, `campaign.last_sender`).
    """
    with acting(context, now) as (connection, now):
        recipients.lock_enrolment(connection)
        campaign, box, sender = _leaving(connection, context, name, address)
        senders.depart(connection, [sender.id], Departure.SENDER_REMOVED, now)
        stopping.cancel_messages(connection, MESSAGE["cancel"], [sender.id])
        finished = recipients.end_many(
            connection, RECIPIENT["sender_removed"], SENDER_REMOVED, removals.contacted_by([sender.id]), now
        )
        given_back = removals.give_back(connection, [sender.id])
        running = deadlines.running_where(
            connection, deadlines.of_mailbox(box.id), deadlines.of_campaign(campaign.id)
        )
        grace_periods.end(connection, "sender_removed", running, now)
        assigned = assigning.assign_waiting(connection, campaign.id, now) if given_back else 0
        grace_periods.pause_without_sender(connection, campaign.id, now)
        about = About(mailbox_id=box.id, campaign_id=campaign.id)
        counts = {"finished": finished, "given_back": given_back}
        events.record(connection, context.actor, "campaign.sender_removed", now, about, **counts)
        return Leaving(campaign.name, box.address, finished, given_back, given_back - assigned)


def _leaving(
    connection: Connection, context: Context, name: str, address: str
) -> tuple[StoredCampaign, StoredMailbox, StoredSender]:
    campaign = authority.find_campaign(connection, context.actor, name)
    _require_rotation(campaign)
    box = naming.find_mailbox(connection, address)
    present = assigning.current_senders(connection, campaign.id)
    own = [sender for sender in present if sender.mailbox_id == box.id]
    if not own:
        raise NotFound(
            "campaign.no_sender",
            f"{box.address} is not a sender of campaign '{campaign.name}'",
            Command("campaign", "sender", "list", campaign.name),
        )
    if len(present) == 1:
        raise Refused(
            "campaign.last_sender",
            f"{box.address} is the only sender of campaign '{campaign.name}'",
            Command("campaign", "sender", "add", campaign.name, "ADDRESS"),
        )
    return campaign, mailboxes.by_id(connection, box.id), own[0]
