"""Create, edit, copy and delete campaigns from their files (D1, D2, D9, E3)."""

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.campaign_file import A_NAME, LONGEST_NAME, CampaignPlan, PlannedStep, is_name
from mailrotate.core.rules.steps import shifts
from mailrotate.core.rules.text_needs import TextNeeds
from mailrotate.core.rules.transitions import CAMPAIGN, MESSAGE
from mailrotate.core.services.access import authority, seats
from mailrotate.core.services.access.naming import find_mailbox
from mailrotate.core.services.campaigns import sender_choice
from mailrotate.core.services.campaigns.sender_choice import Choice
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.assigning import current_senders
from mailrotate.core.services.effects.door import acting
from mailrotate.core.store import campaign_edits, campaigns, events, mailboxes, moves, progress
from mailrotate.core.store.campaigns import NewStep, StoredCampaign, StoredStep
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.people import recipients
from mailrotate.core.store.sending import outbox, outbox_lists
from mailrotate.core.values.errors import BadInput, Busy, Refused
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import CampaignState, ConnectionState, Rotation


@dataclass(frozen=True)
class Drafted:
    """A campaign as it is stored now; `senders` are addresses in the order of adding."""

    id: int
    name: str
    version: int
    state: CampaignState
    rotation: Rotation | None
    senders: tuple[str, ...]
    step_count: int
    misnamed: tuple[tuple[str, str], ...] = ()


def create(context: Context, plan: CampaignPlan, now: datetime) -> Drafted:
    """Store a campaign with its texts and attachments as version 1; later edits of its files have no effect.

    Its sender is the one named in the plan, otherwise the acting user's default mailbox as of now (D2, B5).
    Raises NotFound (`mailbox.none`), BadInput, Refused (`campaign.…`, `mailbox.disconnected`).
    """
    with acting(context, now) as (connection, now):
        _require_free_name(connection, plan.name)
        campaign_id = _insert(connection, context.actor, plan.name, plan.team, now)
        _insert_version(connection, context.actor, campaign_id, 1, plan, now)
        campaign = campaigns.by_id(connection, campaign_id)
        sender_choice.choose_senders(connection, context.actor, campaign, _choice(plan), now)
        events.record(connection, context.actor, "campaign.created", now, About(campaign_id=campaign_id))
        return _drafted(connection, campaign_id)


def _choice(plan: CampaignPlan) -> Choice:
    return Choice(plan.from_addresses, plan.rotate, plan.weights)


def _insert(connection: Connection, actor: Actor, name: str, team: bool, now: datetime) -> int:
    owner = seats.require_active(connection, actor)
    return campaigns.insert_campaign(
        connection, CAMPAIGN["create"], name=name, owner_id=owner.id, team=team, rotation=None, now=now
    )


def _require_free_name(connection: Connection, name: str) -> None:
    if not is_name(name):
        raise BadInput("campaign.name", f"a name is {A_NAME}")
    if campaigns.find(connection, name) is not None:
        raise Refused(
            "campaign.exists",
            f"campaign '{name}' already exists",
            Hint(Command("campaign", "edit", name, "FILE"), ", or create it with another --name"),
        )


def _insert_version(
    connection: Connection,
    actor: Actor,
    campaign_id: int,
    n: int,
    plan: CampaignPlan,
    now: datetime,
    kept: frozenset[int | None] = frozenset(),
) -> None:
    """Insert a version; `kept` are mailboxes that an earlier version already names."""
    campaigns.insert_version(
        connection,
        campaign_id,
        n,
        window=json.dumps(plan.window.to_json()),
        timezone=plan.timezone,
        holidays=list(plan.holidays) if isinstance(plan.holidays, tuple) else plan.holidays,
        on_auto_reply=plan.on_auto_reply,
        created_by=actor.user_id,
        now=now,
        steps=[_new_step(connection, actor, step, kept) for step in plan.steps],
    )


def _new_step(
    connection: Connection, actor: Actor, step: PlannedStep, kept: frozenset[int | None]
) -> NewStep:
    sender = (
        None
        if step.sender is None
        else sender_choice.sending_mailbox(connection, actor, step.sender, kept).id
    )
    attachments = [(each.filename, each.content_type, each.data) for each in step.attachments]
    return NewStep(step.n, step.delay, step.subject, step.body, sender, attachments)


def _drafted(connection: Connection, campaign_id: int) -> Drafted:
    campaign = campaigns.by_id(connection, campaign_id)
    return Drafted(
        campaign.id,
        campaign.name,
        campaign.version,
        campaign.state,
        campaign.rotation,
        tuple(str(sender.address) for sender in current_senders(connection, campaign_id)),
        len(campaigns.steps_of(connection, campaign_id, campaign.version)),
        sender_choice.misnamed(connection, campaign_id),
    )


def edit(context: Context, name: str, plan: CampaignPlan, now: datetime) -> Drafted:
    """Store a new version. In a started campaign, only steps that were never sent may differ.

    The name stays, and a draft keeps its senders if the plan names none. Raises NotFound, BadInput,
    Refused (`campaign.…`).
    """
    with acting(context, now) as (connection, now):
        recipients.lock_enrolment(connection)
        campaign = authority.find_campaign(connection, context.actor, name)
        before = campaigns.steps_of(connection, campaign.id, campaign.version)
        if campaign.state is CampaignState.FINISHED:
            raise Refused(
                "campaign.finished",
                f"campaign '{campaign.name}' is finished and cannot be changed",
                Command("campaign", "copy", campaign.name),
            )
        started = campaign.state is not CampaignState.DRAFT
        if started:
            _refuse_changes(connection, campaign, before, plan)
        _require_fields(connection, campaign, before, plan)
        kept = frozenset(step.sender_mailbox_id for step in before)
        _insert_version(connection, context.actor, campaign.id, campaign.version + 1, plan, now, kept)
        if started:
            _shift(connection, campaign, before, plan)
        else:
            campaigns.change(connection, campaign.id, team=plan.team)
            _choose_again(connection, context.actor, campaign.id, plan, now)
        about = About(campaign_id=campaign.id)
        versions = {"key": "version", "before": campaign.version, "after": campaign.version + 1}
        events.record(connection, context.actor, "campaign.edited", now, about, **versions)
        return _drafted(connection, campaign.id)


def _choose_again(
    connection: Connection, actor: Actor, campaign_id: int, plan: CampaignPlan, now: datetime
) -> None:
    campaign = campaigns.by_id(connection, campaign_id)
    choice = _choice(plan)
    if choice.names_something:
        sender_choice.choose_senders(connection, actor, campaign, choice, now)
    elif campaign.rotation is not None:
        sender_choice.refuse_step_senders(
            campaign.name, campaigns.steps_of(connection, campaign.id, campaign.version)
        )


def _refuse_changes(
    connection: Connection, campaign: StoredCampaign, before: Sequence[StoredStep], plan: CampaignPlan
) -> None:
    """Refuse changes to a started campaign, except text and delay of steps that were never sent (D1, E3)."""
    problems = [f"'{what}' is fixed since the start" for what in _fixed_changes(connection, campaign, plan)]
    if len(plan.steps) < len(before):
        problems.append(f"step {len(plan.steps) + 1} is gone; steps can be added at the end, not removed")
    begun = campaign_edits.begun_steps(connection, campaign.id)
    for old, new in zip(before, plan.steps, strict=False):
        if old.position in begun and _differs(connection, old, new):
            problems.append(f"step {old.position} has already been sent and cannot change")
        elif old.sender_mailbox_id != (new.sender and find_mailbox(connection, new.sender).id):
            problems.append(f"the sender of step {old.position} is fixed since the start")
    if problems:
        raise Refused(
            "campaign.started",
            f"campaign '{campaign.name}' has started: {'; '.join(problems)}",
            Command("campaign", "copy", campaign.name),
        )


def _fixed_changes(connection: Connection, campaign: StoredCampaign, plan: CampaignPlan) -> list[str]:
    present = current_senders(connection, campaign.id)
    senders = {sender.address for sender in present}
    names_rotation = plan.from_addresses or plan.rotate is not None
    weights = {sender.address: sender.weight for sender in present if sender.weight}
    holidays = list(plan.holidays) if isinstance(plan.holidays, tuple) else plan.holidays
    compared = {
        "from": not plan.from_addresses or set(plan.from_addresses) == senders,
        "rotate": not names_rotation or plan.rotation == campaign.rotation,
        "weights": not plan.weights or plan.weights == weights,
        "window": plan.window.to_json() == json.loads(campaign.window),
        "timezone": plan.timezone == campaign.timezone,
        "holidays": holidays == json.loads(campaign.holidays),
        "on_auto_reply": plan.on_auto_reply == campaign.on_auto_reply,
        "team": plan.team == campaign.team,
    }
    return [key for key, same in compared.items() if not same]


def _differs(connection: Connection, old: StoredStep, new: PlannedStep) -> bool:
    attached = [(each.filename, each.content_type, each.data) for each in new.attachments]
    return (old.delay, old.subject, old.body, campaigns.attachments_of(connection, old.version_id)) != (
        new.delay,
        new.subject,
        new.body,
        attached,
    )


def _shift(
    connection: Connection, campaign: StoredCampaign, before: Sequence[StoredStep], plan: CampaignPlan
) -> None:
    """Apply a step's new delay to the recipients that wait for it."""
    for position, by in shifts(before, [step.delay for step in plan.steps]):
        campaign_edits.shift_step(connection, campaign.id, position, by)


def _require_fields(
    connection: Connection, campaign: StoredCampaign, before: Sequence[StoredStep], plan: CampaignPlan
) -> None:
    """Refuse texts that cannot be rendered for recipients whose present texts can (D1)."""
    needs, needs_before = plan.needs, TextNeeds.of((step.subject, step.body) for step in before)
    if needs == needs_before:
        return
    with closing(campaign_edits.open_people(connection, campaign.id)) as people:
        for person in people:
            problem = needs.problem(person.email, person.fields)
            if problem is not None and problem != needs_before.problem(person.email, person.fields):
                raise Refused(
                    "campaign.fields_missing",
                    f"with the new text, r_{person.id} of campaign '{campaign.name}' {problem}",
                    'give the field a fallback, like {{ first_name | default("there") }}',
                )


def copy(context: Context, name: str, new_name: str | None, now: datetime) -> Drafted:
    """Copy a campaign into a draft: its texts, window and usable senders, but no recipients.

    Raises NotFound, Refused.
    """
    with acting(context, now) as (connection, now):
        campaign = authority.find_seen_campaign(connection, context.actor, name)
        copied = new_name or _next_name(connection, campaign.name)
        _require_free_name(connection, copied)
        copy_id = _insert(connection, context.actor, copied, campaign.team, now)
        steps = campaigns.steps_of(connection, campaign.id, campaign.version)
        campaigns.insert_version(
            connection,
            copy_id,
            1,
            window=campaign.window,
            timezone=campaign.timezone,
            holidays=json.loads(campaign.holidays),
            on_auto_reply=campaign.on_auto_reply,
            created_by=context.actor.user_id,
            now=now,
            steps=[
                NewStep(
                    step.position,
                    step.delay,
                    step.subject,
                    step.body,
                    step.sender_mailbox_id,
                    campaigns.attachments_of(connection, step.version_id),
                )
                for step in steps
            ],
        )
        for step in steps:
            if step.sender_mailbox_id is not None:
                box = mailboxes.by_id(connection, step.sender_mailbox_id)
                authority.require_pick(connection, context.actor, box)
        made = campaigns.by_id(connection, copy_id)
        choice = _copied_choice(connection, context.actor, campaign)
        sender_choice.choose_senders(connection, context.actor, made, choice, now)
        about = About(campaign_id=copy_id)
        events.record(connection, context.actor, "campaign.created", now, about, copy_of=campaign.name)
        return _drafted(connection, copy_id)


def _copied_choice(connection: Connection, actor: Actor, campaign: StoredCampaign) -> Choice:
    """Return the campaign's senders that are not disconnected and that the acting user may use (B6)."""
    acting = seats.require_active(connection, actor)
    weights: dict[str, int | None] = {}
    for sender in current_senders(connection, campaign.id):
        if sender.mailbox_id is not None and sender.state != ConnectionState.DISCONNECTED:
            box = mailboxes.by_id(connection, sender.mailbox_id)
            if seats.may_send_from(connection, acting, box):
                weights[box.address] = sender.weight
    given = {address: weight for address, weight in weights.items() if weight is not None}
    return Choice(list(weights), campaign.rotation, given)


def _next_name(connection: Connection, name: str) -> str:
    stem = name[: LONGEST_NAME - 4]
    return next(
        candidate
        for candidate in (f"{stem}-{n}" for n in range(2, 1000))
        if campaigns.find(connection, candidate) is None
    )


def deletable(context: Context, name: str) -> tuple[str, int]:
    """Return the draft's name and its number of recipients. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        campaign = _draft(connection, context.actor, name)
        return campaign.name, sum(progress.people(connection, [campaign.id])[campaign.id].values())


def _draft(connection: Connection, actor: Actor, name: str) -> StoredCampaign:
    campaign = authority.find_campaign(connection, actor, name)
    if campaign.state is CampaignState.DRAFT:
        return campaign
    verb = "show" if campaign.state is CampaignState.FINISHED else "stop"
    raise Refused(
        "campaign.not_draft",
        f"campaign '{campaign.name}' is {campaign.state}: only a draft can be deleted",
        Command("campaign", verb, campaign.name),
    )


def delete(context: Context, name: str, now: datetime) -> str:
    """Delete a draft and its recipients; contacts and the log stay. Raises NotFound, Refused, Busy."""
    with acting(context, now) as (connection, now):
        campaign = _draft(connection, context.actor, name)
        moves.move_many(connection, MESSAGE["cancel"], outbox.of_campaign(campaign.id, tests=True))
        if outbox_lists.waits_in(connection, campaign.id):
            raise Busy(
                "campaign.sending",
                f"a test message of campaign '{campaign.name}' is being sent right now; nothing was deleted",
                Command("campaign", "delete", campaign.name),
            )
        campaigns.erase_draft(connection, campaign.id)
        about = About(campaign_id=campaign.id)
        events.record(connection, context.actor, "campaign.deleted", now, about, name=campaign.name)
    return campaign.name
