"""The whole workspace at a glance: is it sending, and if not why; the same gates answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.decision import Decision, first_closed
from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.situation import Situation
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding.next_send import Prospects, earliest
from mailrotate.core.services.mailboxes import slot_pool
from mailrotate.core.services.mailboxes.slot_pool import TeamSlots
from mailrotate.core.services.sending import runners
from mailrotate.core.services.sending.runners import RunnerEntry
from mailrotate.core.services.views.explaining import remedy_of
from mailrotate.core.store import campaigns, mailboxes, progress, requests, visibility, workspaces
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.sending import outbox_lists
from mailrotate.core.store.sending.outbox_lists import UnfitStep
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values import reasons
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    MessageState,
)

# Cron may pass by every few minutes; a pass longer ago than this is no runner's.
_PASS_IS_RECENT = timedelta(minutes=15)


@dataclass(frozen=True)
class MailboxLine:
    """A mailbox: its health (`reason`, and a command, of a closed gate), its day, its lane's next send."""

    address: str
    state: ConnectionState
    gate: Gate | None
    reason: str | None
    until: datetime | None
    remedy: AnyHint | None
    sent_today: int
    daily_limit: int
    waits: bool
    next_at: datetime | None
    binding: Gate | None
    waits_for: str | None


@dataclass(frozen=True)
class CampaignLine:
    name: str
    state: CampaignState
    pause_reasons: tuple[str, ...]
    recipients: Mapping[str, int]
    overdue: int

    @property
    def total(self) -> int:
        return sum(self.recipients.values())

    @property
    def ended(self) -> int:
        return self.total - sum(self.recipients.get(state, 0) for state in OPEN_RECIPIENTS)


@dataclass(frozen=True)
class Overview:
    """`sending` is true when a runner works and some lane may send, now or at a known instant.

    `requests` are the requested mailboxes that wait for the acting user's decision.
    """

    sending: bool
    summary: str
    next_command: Command
    next_send_at: datetime | None
    runners: tuple[RunnerEntry, ...]
    last_pass_at: datetime | None
    slots: TeamSlots
    mailboxes: tuple[MailboxLine, ...]
    campaigns: tuple[CampaignLine, ...]
    errors: int
    held: int
    requests: int
    unfit: tuple[UnfitStep, ...]


def look(context: Context, now: datetime) -> Overview:
    alive = tuple(runner for runner in runners.listing(context) if runner.alive)
    with context.store.reading() as connection:
        workspace = workspaces.find(connection)
        last_pass_at = None if workspace is None else workspace.last_pass_at
        prospects = Prospects(context, connection, now)
        viewer = _viewer(context, connection)
        seen_boxes = None if viewer is None else visibility.mailbox_ids(connection, viewer)
        seen_campaigns = None if viewer is None else visibility.campaign_ids(connection, viewer)
        boxes, decisions = [], []
        for box in mailboxes.listing(connection):
            if seen_boxes is not None and box.id not in seen_boxes:
                continue
            decision = prospects.of_lane(box.id)
            boxes.append(_mailbox_line(prospects, box.id, box.state, decision))
            decisions += [] if decision is None else [decision]
        known = campaigns.listing(connection)
        lines = _campaign_lines(
            connection, [one for one in known if seen_campaigns is None or one.id in seen_campaigns]
        )
        team = slot_pool.team(connection, context.actor, now)
        attention = outbox_lists.attention_counts(connection, viewer)
        unfit = tuple(outbox_lists.unfit_steps(connection, seen_by=viewer))
        requested = _requests(context, connection)
    first = earliest(decisions)
    sending, summary, command = _judge(boxes, lines, first, _run_of(alive, last_pass_at, now))
    return Overview(
        sending=sending,
        summary=summary,
        next_command=command,
        next_send_at=None if first is None else first.next_at,
        runners=alive,
        last_pass_at=last_pass_at,
        slots=team,
        mailboxes=tuple(boxes),
        campaigns=lines,
        errors=attention.get(MessageState.ERROR, 0),
        held=attention.get(MessageState.HELD, 0),
        requests=requested,
        unfit=unfit,
    )


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


def _campaign_lines(connection: Connection, found: Sequence[StoredCampaign]) -> tuple[CampaignLine, ...]:
    people = progress.people(connection, [campaign.id for campaign in found])
    running = (CampaignState.ACTIVE, CampaignState.PAUSED)
    overdue = progress.overdue(connection, [one.id for one in found if one.state in running])
    return tuple(
        CampaignLine(
            campaign.name,
            campaign.state,
            campaign.pause_reasons,
            people[campaign.id],
            overdue.get(campaign.id, 0),
        )
        for campaign in found
    )


def _mailbox_line(
    prospects: Prospects, mailbox_id: int, state: ConnectionState, decision: Decision | None
) -> MailboxLine:
    known = prospects.mailbox_facts(mailbox_id)
    shut = first_closed(Situation(None, known, None), prospects.now)
    return MailboxLine(
        address=known.address,
        state=state,
        gate=None if shut is None else shut.gate,
        reason=None if shut is None else shut.reason,
        until=None if shut is None else shut.until,
        remedy=remedy_of(prospects.connection, prospects.context.actor, shut),
        sent_today=known.sent_today,
        daily_limit=known.daily_limit,
        waits=decision is not None,
        next_at=None if decision is None else decision.next_at,
        binding=None if decision is None else decision.binding,
        waits_for=None if decision is None or decision.open else decision.summary,
    )


class _Run(Enum):
    """When there was a runner."""

    NOW = "a runner works"
    RECENTLY = "a pass has just been"
    LONG_AGO = "no runner has run for a while"
    NEVER = "no runner ever ran"


def _run_of(alive: Sequence[RunnerEntry], last_pass_at: datetime | None, now: datetime) -> _Run:
    if alive:
        return _Run.NOW
    if last_pass_at is None:
        return _Run.NEVER
    return _Run.RECENTLY if now - last_pass_at <= _PASS_IS_RECENT else _Run.LONG_AGO


def _judge(
    boxes: Sequence[MailboxLine],
    lines: Sequence[CampaignLine],
    first: Decision | None,
    run: _Run,
) -> tuple[bool, str, Command]:
    """Whether it is sending, why (not), and the command that comes next."""
    if not boxes:
        return False, "no mailbox is connected", Command("mailbox", "connect", "ADDRESS")
    if first is not None and first.next_at is None:
        stuck = next(box for box in boxes if box.waits)
        return False, f"nothing can leave: {first.summary}", Command("why", stuck.address)
    if first is None:
        return _idle(boxes, lines)
    if run in (_Run.NEVER, _Run.LONG_AGO):
        return False, f"mail waits, but {run.value}", Command("run", "--once")
    # Without a runner it is a person, or cron, who sees to the next pass.
    command = Command("log", "--follow") if run is _Run.NOW else Command("run")
    summary = "mail is due and the next pass takes it" if first.open else first.summary
    return True, summary, command


def _idle(boxes: Sequence[MailboxLine], lines: Sequence[CampaignLine]) -> tuple[bool, str, Command]:
    """Nothing waits in any lane: for want of a campaign, of people, or because all is done."""
    broken = next((box for box in boxes if box.state is not ConnectionState.CONNECTED), None)
    paused = next((line for line in lines if line.state is CampaignState.PAUSED), None)
    draft = next((line for line in lines if line.state is CampaignState.DRAFT), None)
    active = next((line for line in lines if line.state is CampaignState.ACTIVE), None)
    if active is not None:
        return False, "up to date: everything due has been sent", Command("campaign", "show", active.name)
    if broken is not None:
        verb = "connect" if broken.state is ConnectionState.DISCONNECTED else "reconnect"
        return False, f"{broken.address}: {broken.reason}", Command("mailbox", verb, broken.address)
    if paused is not None:
        # What a removal or a lock has paused cannot be resumed yet; `why` names what comes before.
        comes_first = {reasons.MAILBOX_REMOVED, reasons.USER_LOCKED} & {*paused.pause_reasons}
        command = Command("why", paused.name) if comes_first else Command("campaign", "resume", paused.name)
        if reasons.CONTENT_ERRORS in paused.pause_reasons:
            command = Command("campaign", "edit", paused.name, "FILE")
        return False, f"{paused.name} is {reasons.paused(paused.pause_reasons)}", command
    if draft is not None:
        return False, f"{draft.name} is a draft", Command("campaign", "start", draft.name)
    return False, "there is no campaign", Command("campaign", "create", "FILE")
