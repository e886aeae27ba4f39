"""The whole workspace at a glance: is it sending, and if not why; the same gates answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules import quota, roles
from mailrotate.core.rules.decision import Decision, Verdict, first_closed
from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.headline import Headline, busiest_paused, headline
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.situation import Obstacle, Situation
from mailrotate.core.rules.world import Campaign, Trouble, World
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
from mailrotate.core.services.views.survey import LaneSeen
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
from mailrotate.core.store.events import Actor
from mailrotate.core.store.notices import Refused
from mailrotate.core.store.sending import outbox_lists, unread_mail
from mailrotate.core.store.sending.outbox_lists import UnfitStep
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.hint import AnyHint
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


def look(context: Context, now: datetime) -> Overview:
    alive = survey.living_runners(context)
    with looking(context, now) as connection:
        viewer = _viewer(context, connection)
        prospects = obstacles.prospects(
            context, connection, now, is_working=survey.works(connection, alive, now)
        )
        machine = survey.machine(context, connection, alive, prospects.obstacle)
        seen = _lanes_seen(prospects, viewer)
        lanes = survey.lanes(connection, seen, now)
        unread = unread_mail.counts(connection, now - _UNREAD_IS_RECENT)
        remedies = advice.remedies(connection, context.actor, [shut for _, shut, _ in seen])
        boxes = tuple(
            _mailbox_line(prospects, *each, remedy, unread.get(each[0].id, 0), lane.broke_by)
            for each, remedy, lane in zip(seen, remedies, lanes, strict=True)
        )
        found = _campaigns_seen(connection, viewer)
        lines = _campaign_lines(connection, found)
        attention = outbox_lists.attention_counts(connection, viewer)
        today = _today(connection, now)
        facts = World(
            machine=machine,
            lanes=lanes,
            campaigns=_in_world(connection, context.actor, found, lines),
            sent_today=sum(box.sent_today for box in boxes) - _notices_today(connection, seen, now),
            replies_today=progress.replied_since(connection, [line.id for line in lines], today),
            errors=attention.get(MessageState.ERROR, 0),
            held=attention.get(MessageState.HELD, 0),
        )
        first = earliest([decision for _, _, decision in seen if decision is not None])
        return Overview(
            headline=headline(facts, now),
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
    connection: Connection, actor: Actor, found: Sequence[StoredCampaign], lines: Sequence[CampaignLine]
) -> tuple[Campaign, ...]:
    """The campaigns as the headline sees them; only of the one that it may name, also the way on."""
    seen = [Campaign(one.name, one.state, one.pause_reasons, one.total - one.ended) for one in lines]
    named = busiest_paused(seen)
    if named is None:
        return tuple(seen)
    # Imported only for a paused campaign, because it brings all that follows from a resumption.
    from mailrotate.core.services.effects import resuming

    return tuple(
        replace(one, way_on=resuming.way(connection, actor, campaign)) if one is named else one
        for one, campaign in zip(seen, found, strict=True)
    )


def _lanes_seen(prospects: Prospects, viewer: int | None) -> list[LaneSeen]:
    """Each mailbox with its first closed gate and the decision on what it may send first."""
    connection = prospects.connection
    numbers = None if viewer is None else visibility.mailbox_ids(connection, viewer)
    boxes = [box.id for box in mailboxes.listing(connection) if numbers is None or box.id in numbers]
    prospects.know_mailboxes(boxes)
    decisions = prospects.of_lanes(boxes)
    found = []
    for mailbox_id in boxes:
        shut = first_closed(Situation(None, prospects.mailbox_facts(mailbox_id), None), prospects.now)
        found.append((prospects.box(mailbox_id), shut, decisions[mailbox_id]))
    return found


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


def _notices_today(connection: Connection, seen: Sequence[LaneSeen], now: datetime) -> int:
    """Mail to users about failed mailboxes, which counts for the limits and not as what was sent."""
    starts = {}
    for box, _, _ in seen:
        own = box.settings
        starts[box.id] = quota.day_of(now, own.timezone, own.day_from, own.day_until)[0]
    return sum(mailboxes.sent_since_each(connection, starts, MessageKind.NOTICE).values())


def _last_pass_at(connection: Connection) -> datetime | None:
    workspace = workspaces.find(connection)
    return None if workspace is None else workspace.last_pass_at


def _today(connection: Connection, now: datetime) -> datetime:
    """The beginning of the day in the workspace's zone."""
    workspace = workspaces.find(connection)
    return quota.day_of(now, "UTC" if workspace is None else workspace.timezone, None, None)[0]


def _mailbox_line(
    prospects: Prospects,
    box: SendingMailbox,
    shut: Verdict | None,
    decision: Decision | None,
    remedy: AnyHint | None,
    unread_mails: int,
    broke_by: str | None,
) -> MailboxLine:
    known = prospects.mailbox_facts(box.id)
    kept = None if decision is not None else survey.kept(prospects, box)
    # The mailbox's own gate comes before its campaign's.
    waits_for = (kept if shut is None else None) or (
        None if decision is None or decision.open else decision.summary
    )
    return MailboxLine(
        address=known.address,
        state=box.state,
        paused_at=known.paused_at,
        hold_reason=known.hold_reason if known.is_on_hold(prospects.now) else None,
        gate=None if shut is None else shut.gate,
        reason=None if shut is None else shut.reason,
        until=None if shut is None else shut.until,
        remedy=remedy,
        sent_today=known.sent_today,
        daily_limit=known.daily_limit,
        waits=decision is not None,
        waits_for_act=kept is not None or (decision is not None and decision.next_at is None),
        next_at=None if decision is None else decision.next_at,
        binding=None if decision is None else decision.binding,
        waits_for=waits_for or None,
        unread_mails=unread_mails,
        broke_by=broke_by,
    )
