"""Read models of campaigns: contents, senders and progress (D3, E2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrotate.core.rules.decision import Decision, decide
from mailrotate.core.rules.situation import Situation
from mailrotate.core.services.access import authority
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding.next_send import Prospects, earliest
from mailrotate.core.services.effects import obstacles
from mailrotate.core.services.effects.door import looking
from mailrotate.core.services.sending import runners
from mailrotate.core.store import campaigns, deadlines, mailboxes, progress, senders, users, visibility
from mailrotate.core.store.campaigns import StoredCampaign, StoredStep
from mailrotate.core.store.people import reassignments
from mailrotate.core.store.progress import Progress
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.store.sending.lane_fronts import Front
from mailrotate.core.values import reasons
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    REMOVED_MAILBOX,
    CampaignState,
    ConnectionState,
    RecipientState,
)


@dataclass(frozen=True)
class SenderShare:
    """A sender's recipients and messages; `address` is None while its slot is empty. `state` is the
    connection's, or `removed`."""

    address: str | None
    state: str | None
    assigned: int
    sent: int
    # Until when it may come back, while it is away (C8, C10).
    grace_until: datetime | None
    paused_at: datetime | None = None
    hold_reason: str | None = None


@dataclass(frozen=True)
class StepProgress:
    n: int
    delay: timedelta
    subject: str | None
    sent: int


@dataclass(frozen=True)
class CampaignView:
    """A campaign with its counts; `waiting` counts recipients without a sender, because none can send."""

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
    # Recipients that failed when their mailbox was removed and can move to another, and these mailboxes.
    mailbox_removed: int
    removed_senders: tuple[str, ...]
    steps: tuple[StepProgress, ...]
    next_send_at: datetime | None
    # Why its next message waits for a user's action.
    waits_for: str | None


def listing(context: Context, now: datetime) -> list[CampaignView]:
    """List campaigns in the order of creation."""
    is_working = runners.any_sends(context)
    with looking(context, now) as connection:
        prospects = obstacles.prospects(context, connection, now, is_working=is_working)
        viewer = authority.viewer_of(connection, context.actor)
        seen = None if viewer is None else visibility.campaign_ids(connection, viewer)
        known = campaigns.listing(connection)
        return _views(prospects, [one for one in known if seen is None or one.id in seen])


def show(context: Context, name: str, now: datetime) -> CampaignView:
    """Show a campaign. Raises NotFound (`campaign.none`)."""
    is_working = runners.any_sends(context)
    with looking(context, now) as connection:
        campaign = authority.find_seen_campaign(connection, context.actor, name)
        prospects = obstacles.prospects(context, connection, now, is_working=is_working)
        return _views(prospects, [campaign])[0]


def _views(prospects: Prospects, found: Sequence[StoredCampaign]) -> list[CampaignView]:
    """Build many views with as few statements as one."""
    connection, ids = prospects.connection, [campaign.id for campaign in found]
    steps = campaigns.current_steps(connection, ids)
    all_senders = senders.senders_of_each(connection, ids)
    done = progress.of_campaigns(connection, ids, reasons.MAILBOX_REMOVED)
    gone = reassignments.removed_senders(
        connection, [number for number in ids if done[number].failed], reasons.MAILBOX_REMOVED
    )
    owners = users.emails(connection)
    graces = deadlines.ends_of_each(connection, ids)
    next_sends = _next_sends(prospects, found, all_senders, steps)
    idle = [
        campaign
        for campaign in found
        if campaign.state in (CampaignState.ACTIVE, CampaignState.PAUSED)
        and campaign.id not in next_sends
        and any(done[campaign.id].people[state] for state in OPEN_RECIPIENTS)
    ]
    next_sends |= _awaited(prospects, idle, all_senders)
    resting = mailboxes.resting(connection, prospects.now)
    return [
        _view(
            campaign,
            owners.get(campaign.owner_id, "-"),
            all_senders[campaign.id],
            steps[campaign.id],
            graces,
            resting,
            done[campaign.id],
            tuple(gone.get(campaign.id, ())),
            next_sends.get(campaign.id),
        )
        for campaign in found
    ]


def _view(
    campaign: StoredCampaign,
    owner: str,
    campaign_senders: Sequence[StoredSender],
    steps: Sequence[StoredStep],
    graces: Mapping[tuple[int, int | None], datetime],
    resting: Mapping[int | None, tuple[datetime | None, str | None]],
    done: Progress,
    removed_senders: tuple[str, ...],
    first: Decision | None,
) -> CampaignView:
    return CampaignView(
        id=campaign.id,
        name=campaign.name,
        owner=owner,
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
                done.people_by_sender.get(sender.id, 0),
                done.sent_by_sender.get(sender.id, 0),
                graces.get((campaign.id, sender.mailbox_id)),
                *resting.get(sender.mailbox_id, (None, None)),
            )
            for sender in campaign_senders
        ),
        recipients={state: done.people.get(state, 0) for state in RecipientState},
        waiting=sum(done.people.values()) - sum(done.people_by_sender.values()),
        mailbox_removed=done.failed,
        removed_senders=removed_senders,
        steps=tuple(
            StepProgress(step.position, step.delay, step.subject, done.sent_by_step.get(step.position, 0))
            for step in steps
        ),
        next_send_at=None if first is None else first.next_at,
        waits_for=first.summary_of_mailbox if first is not None and first.next_at is None else None,
    )


# The window of a campaign decides nothing here: its mailbox is away.
_ANY_ZONE = "UTC"


def _awaited(
    prospects: Prospects,
    found: Sequence[StoredCampaign],
    all_senders: Mapping[int, Sequence[StoredSender]],
) -> dict[int, Decision]:
    """Decide for campaigns without a waiting message: theirs are in error until a mailbox is back (C15)."""
    away = {
        campaign.id: [
            sender.mailbox_id
            for sender in all_senders[campaign.id]
            if sender.mailbox_id is not None and sender.state != ConnectionState.CONNECTED
        ]
        for campaign in found
    }
    prospects.know_mailboxes([mailbox_id for each in away.values() for mailbox_id in each])
    decisions = {
        campaign_id: earliest(
            [
                decide(Situation(own, prospects.mailbox_facts(mailbox_id), None), prospects.now)
                for own in (prospects.campaign_facts(campaign_id, _ANY_ZONE),)
                for mailbox_id in mailbox_ids
            ]
        )
        for campaign_id, mailbox_ids in away.items()
    }
    return {campaign_id: one for campaign_id, one in decisions.items() if one is not None}


def _next_sends(
    prospects: Prospects,
    found: Sequence[StoredCampaign],
    all_senders: Mapping[int, Sequence[StoredSender]],
    steps: Mapping[int, Sequence[StoredStep]],
) -> dict[int, Decision]:
    """The decision on the message of each campaign that may leave first; those are missing of which none
    waits."""
    fronts: list[Front] = []
    for campaign in found:
        if campaign.state in (CampaignState.ACTIVE, CampaignState.PAUSED):
            lanes = {sender.mailbox_id for sender in all_senders[campaign.id] if sender.left_at is None}
            lanes |= {step.sender_mailbox_id for step in steps[campaign.id]}
            fronts += [Front(lane, campaign.id) for lane in lanes if lane is not None]
    messages = [one for first in prospects.first_of_campaigns(fronts).values() for one in first]
    decisions: dict[int, list[Decision]] = {}
    for message, decision in zip(messages, prospects.decide_each(messages), strict=True):
        decisions.setdefault(message.campaign_id or 0, []).append(decision)
    first_of_each = {campaign_id: earliest(each) for campaign_id, each in decisions.items()}
    return {campaign_id: first for campaign_id, first in first_of_each.items() if first is not None}
