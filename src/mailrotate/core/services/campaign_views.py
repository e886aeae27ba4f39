"""Campaigns as people look at them: what stands, who sends, how far everybody is (D3, E2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules import gates
from mailrotate.core.rules.gates import Situation
from mailrotate.core.services import facts
from mailrotate.core.services.assigning import current_senders
from mailrotate.core.services.context import Context
from mailrotate.core.services.naming import find_campaign
from mailrotate.core.store import campaigns, mailboxes, outbox_lists, recipients, workspaces
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.values.states import CampaignState, RecipientState


@dataclass(frozen=True)
class SenderShare:
    """A sender's people and messages; `address` is None while its slot is empty."""

    address: str | None
    state: str | None
    assigned: int
    sent: int


@dataclass(frozen=True)
class StepProgress:
    n: int
    delay: timedelta
    subject: str | None
    sent: int


@dataclass(frozen=True)
class CampaignView:
    """A campaign with its counts; `waiting` are people who found no able sender yet."""

    id: int
    name: str
    owner: str
    team: bool
    state: CampaignState
    pause_reasons: tuple[str, ...]
    rotation: str | None
    version: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    senders: tuple[SenderShare, ...]
    recipients: Mapping[str, int]
    waiting: int
    steps: tuple[StepProgress, ...]
    next_send_at: datetime | None


def listing(context: Context, now: datetime) -> list[CampaignView]:
    """Every campaign, in the order of creation."""
    with context.store.reading() as connection:
        return [_view(context, connection, found, now) for found in campaigns.listing(connection)]


def show(context: Context, name: str, now: datetime) -> CampaignView:
    """Raises NotFound (`campaign.none`)."""
    with context.store.reading() as connection:
        return _view(context, connection, find_campaign(connection, name), now)


def _view(context: Context, connection: Connection, campaign: StoredCampaign, now: datetime) -> CampaignView:
    owner = workspaces.user_by_id(connection, campaign.owner_id)
    people = recipients.counts_by_sender(connection, campaign.id)
    by_state = recipients.counts_by_state(connection, campaign.id)
    by_sender = outbox_lists.sent_by_sender(connection, campaign.id)
    by_step = outbox_lists.sent_by_step(connection, campaign.id)
    return CampaignView(
        id=campaign.id,
        name=campaign.name,
        owner="-" if owner is None else owner.email,
        team=campaign.team,
        state=campaign.state,
        pause_reasons=campaign.pause_reasons,
        rotation=campaign.rotation,
        version=campaign.version,
        created_at=campaign.created_at,
        started_at=campaign.started_at,
        finished_at=campaign.finished_at,
        senders=tuple(
            SenderShare(sender.address, sender.state, people.get(sender.id, 0), by_sender.get(sender.id, 0))
            for sender in campaigns.senders_of(connection, campaign.id)
        ),
        recipients={state: by_state.get(state, 0) for state in RecipientState},
        waiting=sum(by_state.values()) - sum(people.values()),
        steps=tuple(
            StepProgress(step.position, step.delay, step.subject, by_step.get(step.position, 0))
            for step in campaigns.steps_of(connection, campaign.id, campaign.version)
        ),
        next_send_at=_next_send_at(context, connection, campaign, now),
    )


def _next_send_at(
    context: Context, connection: Connection, campaign: StoredCampaign, now: datetime
) -> datetime | None:
    """The first instant at which something waits in a lane whose gates, and the campaign's, are open.

    A recipient's own gates may hold a message longer: `why` asks those.
    """
    if campaign.state is not CampaignState.ACTIVE:
        return None
    by_sender, by_lane = outbox_lists.next_waits_of(connection, campaign.id)
    for sender in current_senders(connection, campaign.id):
        if sender.mailbox_id is not None and sender.id in by_sender:
            known = by_lane.get(sender.mailbox_id, by_sender[sender.id])
            by_lane[sender.mailbox_id] = min(known, by_sender[sender.id])
    found = []
    for mailbox_id, waits_until in by_lane.items():
        box = mailboxes.by_id(connection, mailbox_id)
        situation = Situation(
            facts.campaign_facts(context, campaign, box.workspace_timezone, now),
            facts.mailbox_facts(connection, box, now),
            None,
        )
        possible = gates.decide(situation, max(now, waits_until)).next_at
        if possible is not None:
            found.append(possible)
    return min(found, default=None)
