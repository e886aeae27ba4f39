"""Campaigns as people look at them: what stands, who sends, how far everybody is (D3, E2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrotate.core.services import authority, dependents
from mailrotate.core.services.assigning import current_senders
from mailrotate.core.services.context import Context
from mailrotate.core.services.prospects import Prospects, earliest
from mailrotate.core.store import campaigns, moves, outbox_lists, recipients, senders, sights, workspaces
from mailrotate.core.store.campaigns import StoredCampaign, StoredStep
from mailrotate.core.values.states import REMOVED_MAILBOX, CampaignState, RecipientState


@dataclass(frozen=True)
class SenderShare:
    """A sender's people and messages; `address` is None while its slot is empty. `state` is the connection's,
    or `removed`."""

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
    # Who failed when their mailbox was removed, and may be taken on by another; and which mailboxes were.
    mailbox_removed: int
    removed_senders: tuple[str, ...]
    steps: tuple[StepProgress, ...]
    next_send_at: datetime | None


def listing(context: Context, now: datetime) -> list[CampaignView]:
    """Every campaign, in the order of creation."""
    with context.store.reading() as connection:
        prospects = Prospects(context, connection, now)
        viewer = authority.viewer_of(connection, context.actor)
        seen = None if viewer is None else sights.campaign_ids(connection, viewer)
        return [
            _view(prospects, found)
            for found in campaigns.listing(connection)
            if seen is None or found.id in seen
        ]


def show(context: Context, name: str, now: datetime) -> CampaignView:
    """Raises NotFound (`campaign.none`)."""
    with context.store.reading() as connection:
        return _view(
            Prospects(context, connection, now), authority.find_seen_campaign(connection, context.actor, name)
        )


def _view(prospects: Prospects, campaign: StoredCampaign) -> CampaignView:
    connection = prospects.connection
    steps = campaigns.steps_of(connection, campaign.id, campaign.version)
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
            SenderShare(
                sender.address,
                REMOVED_MAILBOX if sender.is_removed else sender.state,
                people.get(sender.id, 0),
                by_sender.get(sender.id, 0),
            )
            for sender in senders.senders_of(connection, campaign.id)
        ),
        recipients={state: by_state.get(state, 0) for state in RecipientState},
        waiting=sum(by_state.values()) - sum(people.values()),
        mailbox_removed=recipients.failed_for(connection, campaign.id, dependents.REMOVED),
        removed_senders=moves.removed_senders(connection, campaign.id, dependents.REMOVED),
        steps=tuple(
            StepProgress(step.position, step.delay, step.subject, by_step.get(step.position, 0))
            for step in steps
        ),
        next_send_at=_next_send_at(prospects, campaign, steps),
    )


def _next_send_at(
    prospects: Prospects, campaign: StoredCampaign, steps: Sequence[StoredStep]
) -> datetime | None:
    """When the first of its messages may leave; None while only an act, or nothing, would send one."""
    if campaign.state is not CampaignState.ACTIVE:
        return None
    senders = current_senders(prospects.connection, campaign.id)
    lanes = {sender.mailbox_id for sender in senders} | {step.sender_mailbox_id for step in steps}
    first = earliest(
        [
            prospects.decide(message)
            for mailbox_id in lanes
            if mailbox_id is not None
            for message in prospects.first_of_campaign(campaign, mailbox_id)
        ]
    )
    return None if first is None else first.next_at
