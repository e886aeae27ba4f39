"""The whole workspace at a glance: is it sending, and if not why; the same gates answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules import quota, roles
from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.headline import Headline, headline
from mailrotate.core.rules.headline_notices import busiest_paused, first_draft, seen_closer
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.situation import Obstacle
from mailrotate.core.rules.world import Campaign, Lane, Trouble, World
from mailrotate.core.services.access import advice
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding.next_send import Prospects, earliest
from mailrotate.core.services.effects import obstacles
from mailrotate.core.services.effects.door import looking
from mailrotate.core.services.mailboxes import grace_extension, slot_pool
from mailrotate.core.services.mailboxes.slot_pool import TeamSlots
from mailrotate.core.services.sending import webhook_health
from mailrotate.core.services.sending.runners import RunnerEntry
from mailrotate.core.services.sending.webhook_health import Endpoint
from mailrotate.core.services.views import survey
from mailrotate.core.store import (
    campaigns,
    mailboxes,
    notices,
    progress,
    requests,
    visibility,
    workspaces,
)
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.notices import Refused
from mailrotate.core.store.sending import kept_lanes, outbox_lists, unread_mail
from mailrotate.core.store.sending.outbox_lists import UnfitStep
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    MessageKind,
    MessageState,
)

_UNREAD_IS_RECENT = timedelta(days=7)


@dataclass(frozen=True)
class MailboxLine:
    """A mailbox: its health (`reason`, and a command, of a closed gate), its day, its lane's next send.

    `unread_mails` could not be read in the last days; `broke_by` is the error in which its lane's work ended.
    """

    address: str
    state: ConnectionState
    paused_at: datetime | None
    hold_reason: str | None
    gate: Gate | None
    reason: str | None
    until: datetime | None
    remedy: AnyHint | None
    sent_today: int
    daily_limit: int
    waits: bool
    # Something waits, but for a user's action alone.
    waits_for_act: bool
    next_at: datetime | None
    binding: Gate | None
    # The closed gate of what waits, and its reason.
    cause: Gate | None
    waits_for: str | None
    unread_mails: int
    broke_by: str | None


@dataclass(frozen=True)
class CampaignLine:
    id: int
    name: str
    state: CampaignState
    pause_reasons: tuple[str, ...]
    recipients: Mapping[str, int]
    sent: int
    overdue: int

    @property
    def total(self) -> int:
        return sum(self.recipients.values())

    @property
    def ended(self) -> int:
        return self.total - sum(self.recipients.get(state, 0) for state in OPEN_RECIPIENTS)


@dataclass(frozen=True)
class Telling:
    """What could not be told to users and other programs (C10).

    `untold` are failed mailboxes of which no mail could be sent, `refused` notices that a server did not
    take, `webhooks` those in trouble, for users who may see them.
    """

    untold: tuple[str, ...]
    refused: tuple[Refused, ...]
    webhooks: tuple[Endpoint, ...]


@dataclass(frozen=True)
class Overview:
    """The answer and what it was found from.

    `requests` wait for the acting user's decision; `obstacle` keeps the whole workspace from sending;
    `telling` is what could not be told.
    """

    headline: Headline
    runner_works: bool
    next_send_at: datetime | None
    runners: tuple[RunnerEntry, ...]
    last_pass_at: datetime | None
    # Of the passes that send, not those with `--only sync`, for example.
    last_sending_pass_at: datetime | None
    sent_today: int
    replies_today: int
    slots: TeamSlots
    mailboxes: tuple[MailboxLine, ...]
    campaigns: tuple[CampaignLine, ...]
    errors: int
    held: int
    requests: int
    obstacle: Obstacle | None
    unfit: tuple[UnfitStep, ...]
    graces: tuple[grace_extension.Running, ...]
    warnings: tuple[Trouble, ...]
    telling: Telling

    def closer(self, address: str) -> Command:
        """The command that shows more of a failure in this mailbox's lane."""
        return seen_closer(address, self.runner_works)


def look(context: Context, now: datetime) -> Overview:
    alive = survey.living_runners(context)
    with looking(context, now) as connection:
        viewer = _viewer(context, connection)
        prospects = obstacles.prospects(
            context, connection, now, is_working=survey.works(connection, alive, now)
        )
        machine = survey.machine(context, connection, alive, prospects.obstacle)
        numbers = _mailboxes_seen(connection, viewer)
        lanes = survey.lanes(prospects, numbers)
        boxes = _mailbox_lines(prospects, numbers, lanes)
        found = _campaigns_seen(connection, viewer)
        lines = _campaign_lines(connection, found)
        attention = outbox_lists.attention_counts(connection, viewer)
        today = _today(connection, now)
        facts = World(
            machine=machine,
            lanes=lanes,
            campaigns=_in_world(prospects, found, lines),
            sent_today=sum(box.sent_today for box in boxes) - _notices_today(prospects, numbers),
            replies_today=progress.replied_since(connection, [line.id for line in lines], today),
            errors=attention.get(MessageState.ERROR, 0),
            held=attention.get(MessageState.HELD, 0),
        )
        first = earliest([lane.decision for lane in lanes if lane.decision is not None])
        return Overview(
            headline=headline(facts, now),
            runner_works=machine.runner_works,
            next_send_at=None if first is None else first.next_at,
            runners=alive,
            last_pass_at=_last_pass_at(connection),
            last_sending_pass_at=machine.last_pass_at,
            sent_today=sum(box.sent_today for box in boxes),
            replies_today=facts.replies_today,
            slots=slot_pool.team(connection, context.actor, now),
            mailboxes=boxes,
            campaigns=lines,
            errors=facts.errors,
            held=facts.held,
            requests=_requests(context, connection),
            obstacle=prospects.obstacle,
            unfit=tuple(outbox_lists.unfit_steps(connection, seen_by=viewer)),
            graces=tuple(grace_extension.seen_by(connection, viewer)),
            warnings=machine.warnings,
            telling=_telling(context, connection, {box.address for box in boxes}),
        )


def _in_world(
    prospects: Prospects, found: Sequence[StoredCampaign], lines: Sequence[CampaignLine]
) -> tuple[Campaign, ...]:
    """The campaigns as the headline sees them; only of those that it may name, also the way on."""
    connection = prospects.connection
    paused = [one.id for one in lines if one.state is CampaignState.PAUSED]
    due_now = kept_lanes.campaigns_due(connection, paused, prospects.now)
    seen = [
        Campaign(one.name, one.state, one.pause_reasons, one.total - one.ended, one.id in due_now)
        for one in lines
    ]
    named = [one for one in (busiest_paused(seen), first_draft(seen)) if one is not None]
    if not named:
        return tuple(seen)
    # Imported only for these, because it brings all that follows from a resumption.
    from mailrotate.core.services.effects import resuming, starting

    actor = prospects.context.actor

    def with_way(one: Campaign, campaign: StoredCampaign) -> Campaign:
        if one.state is CampaignState.PAUSED:
            return replace(one, way_on=resuming.way(connection, actor, campaign))
        refused = starting.refusal(connection, actor, campaign)
        way_on = starting.way(connection, actor, campaign)
        return replace(one, way_on=way_on, lack=None if refused is None else refused.message)

    return tuple(
        with_way(one, campaign) if any(one is each for each in named) else one
        for one, campaign in zip(seen, found, strict=True)
    )


def _mailboxes_seen(connection: Connection, viewer: int | None) -> list[int]:
    numbers = None if viewer is None else visibility.mailbox_ids(connection, viewer)
    return [box.id for box in mailboxes.listing(connection) if numbers is None or box.id in numbers]


def _campaigns_seen(connection: Connection, viewer: int | None) -> list[StoredCampaign]:
    numbers = None if viewer is None else visibility.campaign_ids(connection, viewer)
    return [one for one in campaigns.listing(connection) if numbers is None or one.id in numbers]


def unfit_steps(context: Context) -> tuple[UnfitStep, ...]:
    """The steps that could not be written for some recipients, as far as the acting user sees them."""
    with context.store.reading() as connection:
        return tuple(outbox_lists.unfit_steps(connection, seen_by=_viewer(context, connection)))


def _acting(context: Context, connection: Connection) -> StoredUser | None:
    """Return the overview; it refuses no user, because monitoring asks too."""
    actor_id = context.actor.user_id
    return None if actor_id is None else workspaces.user_by_id(connection, actor_id)


def _viewer(context: Context, connection: Connection) -> int | None:
    """The member to whose mailboxes and campaigns the overview is limited; None shows all (A6)."""
    acting = _acting(context, connection)
    return None if acting is None or roles.may(acting.role, Deed.SEE_TEAM) else acting.id


def _requests(context: Context, connection: Connection) -> int:
    acting = _acting(context, connection)
    decides = acting is not None and roles.may(acting.role, Deed.REQUESTS)
    return requests.open_count(connection) if decides else 0


def _telling(context: Context, connection: Connection, seen: Collection[str]) -> Telling:
    acting = _acting(context, connection)
    may_see = acting is not None and roles.may(acting.role, Deed.WEBHOOKS)
    return Telling(
        tuple(one for one in notices.untold(connection) if one in seen),
        tuple(one for one in notices.refused(connection) if one.address in seen),
        tuple(webhook_health.in_trouble(connection)) if may_see else (),
    )


def _campaign_lines(connection: Connection, found: Sequence[StoredCampaign]) -> tuple[CampaignLine, ...]:
    people = progress.people(connection, [campaign.id for campaign in found])
    sent = progress.sent(connection, [campaign.id for campaign in found])
    running = (CampaignState.ACTIVE, CampaignState.PAUSED)
    overdue = progress.overdue(connection, [one.id for one in found if one.state in running])
    return tuple(
        CampaignLine(
            campaign.id,
            campaign.name,
            campaign.state,
            campaign.pause_reasons,
            people[campaign.id],
            sent[campaign.id],
            overdue.get(campaign.id, 0),
        )
        for campaign in found
    )


def _notices_today(prospects: Prospects, mailbox_ids: Sequence[int]) -> int:
    """Mail to users about failed mailboxes, which counts for the limits and not as what was sent."""
    starts = {}
    for number in mailbox_ids:
        own = prospects.box(number).settings
        starts[number] = quota.day_of(prospects.now, own.timezone, own.day_from, own.day_until)[0]
    return sum(mailboxes.sent_since_each(prospects.connection, starts, MessageKind.NOTICE).values())


def _last_pass_at(connection: Connection) -> datetime | None:
    workspace = workspaces.find(connection)
    return None if workspace is None else workspace.last_pass_at


def _today(connection: Connection, now: datetime) -> datetime:
    """The beginning of the day in the workspace's zone."""
    workspace = workspaces.find(connection)
    return quota.day_of(now, "UTC" if workspace is None else workspace.timezone, None, None)[0]


def _mailbox_lines(
    prospects: Prospects, numbers: Sequence[int], lanes: Sequence[Lane]
) -> tuple[MailboxLine, ...]:
    connection = prospects.connection
    unread = unread_mail.counts(connection, prospects.now - _UNREAD_IS_RECENT)
    remedies = advice.remedies(connection, prospects.context.actor, [lane.shut for lane in lanes])
    return tuple(
        _mailbox_line(prospects, number, lane, remedy, unread.get(number, 0))
        for number, lane, remedy in zip(numbers, lanes, remedies, strict=True)
    )


def _mailbox_line(
    prospects: Prospects, mailbox_id: int, lane: Lane, remedy: AnyHint | None, unread_mails: int
) -> MailboxLine:
    known, shut, decision, cause = prospects.mailbox_facts(mailbox_id), lane.shut, lane.decision, lane.cause
    waits = decision is not None or lane.kept is not None
    return MailboxLine(
        address=known.address,
        state=lane.state,
        paused_at=known.paused_at,
        hold_reason=known.hold_reason if known.is_on_hold(prospects.now) else None,
        gate=None if shut is None else shut.gate,
        reason=None if shut is None else shut.reason,
        until=None if shut is None else shut.until,
        remedy=remedy,
        sent_today=known.sent_today,
        daily_limit=known.daily_limit,
        waits=decision is not None,
        waits_for_act=lane.waits_for_act,
        next_at=lane.next_at,
        binding=None if decision is None else decision.binding,
        cause=cause.gate if waits and cause is not None else None,
        waits_for=cause.reason if waits and cause is not None else None,
        unread_mails=unread_mails,
        broke_by=lane.broke_by,
    )
