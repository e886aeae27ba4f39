"""What a command releases after it has been due for longer than the allowed lateness (H4)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.services import periods
from mailrotate.core.services.effects import affected_campaigns
from mailrotate.core.services.effects.assigning import is_able
from mailrotate.core.store import campaigns, events, senders, step_senders
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import late_messages
from mailrotate.core.values.states import CampaignState


@dataclass(frozen=True)
class Late:
    """Messages of a campaign that are more than `lateness` late; `parked` ones wait for `outbox release`."""

    campaign: str
    messages: int
    lateness: timedelta
    parked: bool


def of_campaign(
    connection: Connection,
    actor: Actor,
    campaign: StoredCampaign,
    park: bool,
    now: datetime,
    mailbox_ids: Collection[int] | None = None,
) -> Late | None:
    """Find, and park if `park`, what the able senders of a campaign would send too late; None if nothing.

    With `mailbox_ids` only the share of these mailboxes.
    """
    lateness = periods.period(connection, "lateness")
    before = now - lateness
    able = [
        sender.id
        for sender in senders.senders_of(connection, campaign.id)
        if is_able(sender)
        and not sender.is_away
        and (mailbox_ids is None or sender.mailbox_id in mailbox_ids)
    ]
    count = late_messages.count(connection, able, before)
    if not count:
        return None
    if park:
        late_messages.park(connection, able, before)
        about = About(campaign_id=campaign.id)
        events.record(connection, actor, "campaign.parked", now, about, messages=count)
    return Late(campaign.name, count, lateness, park)


def of_mailboxes(
    connection: Connection, actor: Actor, boxes: Collection[StoredMailbox], park: bool, now: datetime
) -> list[Late]:
    """Find, and park if `park`, what mailboxes would send too late in running campaigns."""
    mailbox_ids = {box.id for box in boxes}
    hanging = {one.id: one for box in boxes for one in affected_campaigns.all_hanging_on(connection, box)}
    running = [one.id for one in hanging.values() if one.state is CampaignState.ACTIVE]
    # What a step's own sender sends is in the place of the campaign's single sender (D9).
    by_step = {one for box in boxes for one in step_senders.steps_naming(connection, box.id)}
    found = (
        of_campaign(
            connection,
            actor,
            campaigns.by_id(connection, one),
            park,
            now,
            None if one in by_step else mailbox_ids,
        )
        for one in running
    )
    return [late for late in found if late is not None]
