"""Start, pause, resume and stop campaigns (C6, D2, D3, E1, E3)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.transitions import CAMPAIGN, MESSAGE, RECIPIENT
from mailrotate.core.services.access import authority, seats
from mailrotate.core.services.access.naming import find_mailbox
from mailrotate.core.services.campaigns import going_on, sender_choice
from mailrotate.core.services.campaigns.going_on import GoingOn
from mailrotate.core.services.campaigns.sender_choice import Choice
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import (
    assigning,
    grace_periods,
    late_release,
    lifecycle,
    resuming,
    starting,
)
from mailrotate.core.services.effects.assigning import current_senders
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.services.sending import runners
from mailrotate.core.store import campaigns, events, moves, progress
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.people import recipients
from mailrotate.core.store.sending import outbox
from mailrotate.core.values.errors import MailrotateError, Refused
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.reasons import BY_HAND
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    Rotation,
)
from mailrotate.core.values.transition import Transition


@dataclass(frozen=True)
class Started:
    """The result of a start, with the number of recipients per sender address."""

    name: str
    rotation: Rotation | None
    assigned: Mapping[str, int]
    first_due_at: datetime
    # When the gates open for its first message; None if a person must act first.
    first_send_at: datetime | None
    waits_for: str
    misnamed: tuple[tuple[str, str], ...]
    next_step: AnyHint


@dataclass(frozen=True)
class Stopped:
    name: str
    ended: int
    cancelled: int


@dataclass(frozen=True)
class Resumed:
    """The campaigns that run again, with what goes on, and the refused ones with the reason."""

    campaigns: tuple[GoingOn, ...]
    refused: Mapping[str, MailrotateError] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(resumed.campaign for resumed in self.campaigns)


def start(
    context: Context,
    name: str,
    addresses: Sequence[str],
    rotate: Rotation | None,
    now: datetime,
    *,
    weights: Mapping[str, int] | None = None,
    team: bool | None = None,
) -> Started:
    """Start a draft: fix its rotation (E3) and give every recipient a sender.

    `addresses`, `rotate`, `weights` and `team` replace what the draft has.
    Raises NotFound, BadInput (`campaign.weights`), Refused (`campaign.…`).
    """
    choice = Choice(addresses, rotate, weights or {})
    runner_works = runners.any_sends(context)
    with acting(context, now) as (connection, now):
        recipients.lock_enrolment(connection)
        campaign = authority.find_campaign(connection, context.actor, name)
        _require(campaign, CAMPAIGN["start"])
        campaign = _chosen_again(connection, context.actor, campaign, choice, team, now)
        starting.require_senders(connection, context.actor, campaign)
        count = starting.require_people(connection, campaign)
        moves.move(connection, CAMPAIGN["start"], campaign.id, started_at=now)
        grace_periods.begin_for_failed_senders(connection, campaign.id, now)
        assigning.assign_waiting(connection, campaign.id, now)
        senders = current_senders(connection, campaign.id)
        events.record(
            connection,
            context.actor,
            "campaign.started",
            now,
            About(campaign_id=campaign.id),
            rotation=campaign.rotation,
            senders=[sender.address for sender in senders],
            recipients=count,
        )
        first = going_on.first_send(context, connection, campaign.id, now)
        return Started(
            campaign.name,
            campaign.rotation,
            _shares(connection, campaign.id),
            assigning.first_due_at(connection, campaign, now),
            None if first is None else first.next_at,
            _no_sender_yet(campaign) if first is None else first.summary_of_mailbox,
            sender_choice.misnamed(connection, campaign.id),
            going_on.next_step(connection, context.actor, first, runner_works, now),
        )


def _shares(connection: Connection, campaign_id: int) -> dict[str, int]:
    """How many recipients each sender has, by address."""
    people = recipients.counts_by_sender(connection, campaign_id)
    return {
        str(sender.address): people.get(sender.id, 0) for sender in current_senders(connection, campaign_id)
    }


def _no_sender_yet(campaign: StoredCampaign) -> str:
    if campaign.rotation is Rotation.CAPACITY:
        return "each recipient gets the sender with most room when a runner sends its first message"
    return "no recipient has a sender yet"


def _chosen_again(
    connection: Connection,
    actor: Actor,
    campaign: StoredCampaign,
    choice: Choice,
    team: bool | None,
    now: datetime,
) -> StoredCampaign:
    """Apply what the start says about senders and team; return the campaign as it is now."""
    if team is not None:
        campaigns.change(connection, campaign.id, team=team)
    if choice.names_something or team is not None:
        now_team = campaigns.by_id(connection, campaign.id)
        sender_choice.choose_senders(connection, actor, now_team, choice, now)
    return campaigns.by_id(connection, campaign.id)


def _require(campaign: StoredCampaign, transition: Transition) -> None:
    if campaign.state in transition.origins:
        return
    state, participle = _ONLY[transition.event]
    hints = {
        CampaignState.DRAFT: Command("campaign", "start", campaign.name),
        CampaignState.PAUSED: Command("campaign", "resume", campaign.name),
        CampaignState.FINISHED: Command("campaign", "copy", campaign.name),
        CampaignState.ACTIVE: Command("campaign", "show", campaign.name),
    }
    fixed = "; its rotation was fixed when it was started" if transition.event == "start" else ""
    raise Refused(
        f"campaign.not_{transition.origins[0]}",
        f"campaign '{campaign.name}' is {campaign.state}: only {state} can be {participle}{fixed}",
        hints[campaign.state],
    )


# The event's campaigns, and its effect on them.
_ONLY = {"start": ("a draft", "started"), "resume": ("a paused one", "resumed")}


def pause(context: Context, name: str, now: datetime) -> str:
    """Pause a campaign until `resume`; recipients keep their step. Raises NotFound, Refused."""
    with acting(context, now) as (connection, now):
        campaign = authority.find_campaign(connection, context.actor, name)
        if not lifecycle.pause_campaign(connection, context.actor, campaign.id, BY_HAND, 0, now):
            raise Refused(
                "campaign.not_active",
                f"campaign '{campaign.name}' is {campaign.state} and cannot be paused",
                Command("campaign", "show", campaign.name),
            )
    return campaign.name


def resume(
    context: Context, name: str, now: datetime, without: Sequence[str] = (), *, park_late: bool = False
) -> Resumed:
    """Lift every pause reason of one campaign (C6).

    `without` names disconnected mailboxes whose hour in the campaign goes on meanwhile (C8); `park_late`
    keeps messages that are too late until `outbox release` (H4). Raises NotFound,
    Refused (`campaign.grace` while the hour of another mailbox runs, `campaign.…`).
    """
    with acting(context, now) as (connection, now):
        campaign = authority.find_campaign(connection, context.actor, name)
        resumed = _resume(context, connection, campaign, now, _named(connection, without), park_late)
    return Resumed((resumed,))


def resume_many(
    context: Context,
    address: str | None,
    now: datetime,
    without: Sequence[str] = (),
    *,
    park_late: bool = False,
) -> Resumed:
    """Resume all paused campaigns of the acting user, or of a mailbox, skipping those that cannot run.

    Raises NotFound (`mailbox.none`), Refused (`user.…`).
    """
    resumed: list[GoingOn] = []
    refused: dict[str, MailrotateError] = {}
    with acting(context, now) as (connection, now):
        box = None if address is None else find_mailbox(connection, address)
        named = _named(connection, without)
        user = seats.require_active(connection, context.actor)
        for campaign in campaigns.listing(connection):
            is_own = campaign.owner_id == user.id
            if campaign.state is not CampaignState.PAUSED or not roles.may_on_seat(
                user.role, is_own, Deed.CAMPAIGNS
            ):
                continue
            by = {sender.mailbox_id for sender in current_senders(connection, campaign.id)}
            if box is not None and box.id not in by:
                continue
            try:
                resumed.append(_resume(context, connection, campaign, now, named, park_late))
            except Refused as trouble:
                refused[campaign.name] = trouble
    return Resumed(tuple(resumed), refused)


def _named(connection: Connection, addresses: Sequence[str]) -> frozenset[int]:
    """The ids of mailboxes. Raises NotFound (`mailbox.none`)."""
    return frozenset(find_mailbox(connection, address).id for address in addresses)


def _resume(
    context: Context,
    connection: Connection,
    campaign: StoredCampaign,
    now: datetime,
    without: Collection[int],
    park_late: bool,
) -> GoingOn:
    _require(campaign, CAMPAIGN["resume"])
    refusal = resuming.refusal(connection, context.actor, campaign, without)
    if refusal is not None:
        raise refusal
    campaigns.lift_pauses(connection, campaign.id)
    moves.move(connection, CAMPAIGN["resume"], campaign.id, resumed_at=now)
    assigning.assign_waiting(connection, campaign.id, now)
    about = About(campaign_id=campaign.id)
    events.record(
        connection, context.actor, "campaign.resumed", now, about, reasons=list(campaign.pause_reasons)
    )
    late = late_release.of_campaign(connection, context.actor, campaign, park_late, now)
    return going_on.of_resumed(context, connection, campaign.id, late, now)


def stoppable(context: Context, name: str, now: datetime | None = None) -> tuple[str, int]:
    """Return the campaign's name and how many recipients a stop would end. Raises as `stop`."""
    with looking(context, now) as connection:
        campaign = authority.find_campaign(connection, context.actor, name)
        if campaign.state not in CAMPAIGN["stop"].origins:
            raise _nothing_to_stop(campaign)
        counts = progress.people(connection, [campaign.id])[campaign.id]
    return campaign.name, sum(counts.get(state, 0) for state in OPEN_RECIPIENTS)


def _nothing_to_stop(campaign: StoredCampaign) -> Refused:
    is_draft = campaign.state is CampaignState.DRAFT
    state = "a draft" if is_draft else campaign.state
    return Refused(
        "campaign.not_running",
        f"campaign '{campaign.name}' is {state} and cannot be stopped",
        Command("campaign", "delete" if is_draft else "show", campaign.name),
    )


def stop(context: Context, name: str, now: datetime) -> Stopped:
    """Stop a campaign permanently: finish its open recipients and cancel their messages (D3).

    Raises NotFound, Refused (`campaign.not_running`).
    """
    with acting(context, now) as (connection, now):
        recipients.lock_enrolment(connection)
        campaign = authority.find_campaign(connection, context.actor, name)
        if not moves.move(connection, CAMPAIGN["stop"], campaign.id, finished_at=now):
            raise _nothing_to_stop(campaign)
        campaigns.lift_pauses(connection, campaign.id)
        grace_periods.end_with_campaign(connection, campaign.id, now)
        all_recipients = recipients.of_campaign(campaign.id)
        ended = recipients.end_many(
            connection, RECIPIENT["campaign_stopped"], "campaign_stopped", all_recipients, now
        )
        cancelled = moves.move_many(connection, MESSAGE["cancel"], outbox.of_campaign(campaign.id))
        about = About(campaign_id=campaign.id)
        events.record(
            connection, context.actor, "campaign.stopped", now, about, ended=ended, cancelled=cancelled
        )
    return Stopped(campaign.name, ended, cancelled)
