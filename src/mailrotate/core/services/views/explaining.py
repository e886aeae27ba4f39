"""Why something waits: the gates' own decision, in words, for messages, people, mailboxes, campaigns."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from mailrotate.core.rules.decision import Decision, Verdict, decide, verdicts
from mailrotate.core.rules.gates import Cause, Gate, Scope
from mailrotate.core.rules.headline_words import more, past
from mailrotate.core.rules.runner_watch import missing_runner, stops_all
from mailrotate.core.rules.situation import MailboxFacts, MessageFacts, Situation
from mailrotate.core.rules.steps import is_follow_up
from mailrotate.core.rules.world import Machine
from mailrotate.core.services.access import advice, authority
from mailrotate.core.services.access.naming import find_mailbox
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.deciding.next_send import Prospects, earliest
from mailrotate.core.services.effects import assigning, obstacles, resuming, starting
from mailrotate.core.services.effects.door import looking
from mailrotate.core.services.views import mailbox_explaining, survey
from mailrotate.core.services.views.explanation import Explanation, shown
from mailrotate.core.store import campaigns, mailboxes, senders, workspaces
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import recipients
from mailrotate.core.store.people.recipients import StoredRecipient
from mailrotate.core.store.sending import due, outbox, outbox_lists
from mailrotate.core.store.sending.lane_fronts import Front
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.values import reasons
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    RecipientState,
)


def explain(context: Context, subject: str, address: str | None, now: datetime) -> Explanation:
    """Explain a message (`m_17`), a recipient (`r_17`, or campaign and address), a mailbox or a campaign.

    Raises NotFound (`message.none`, `recipient.none`, `mailbox.none`, `campaign.none`), Refused (`user.…`),
    BadInput when a name fits several (`name.ambiguous`).
    """
    alive = survey.living_runners(context)
    with looking(context, now) as connection:
        look = obstacles.prospects(context, connection, now, is_working=survey.works(connection, alive, now))
        found = _found(context, look, subject, address)
        if found.remedy == _A_PASS and any(runner.sends for runner in alive):
            # The runner makes it; a second one is refused on SQLite.
            found = replace(found, remedy=Command("log", "--follow"))
        if found.next_at is None:
            return found
        machine = survey.machine(context, connection, alive, look.obstacle)
        starts_later = found.next_at > now
        found = replace(found, needs_run=not machine.runner_works)
        if starts_later:
            return _without_runner(found, machine, now)
        outside = stops_all(machine, now)
        # One that is not connected sends nothing, whatever its server does.
        able = [box for box in look.boxes if box.state is ConnectionState.CONNECTED]
        troubles = [(box.address, survey.server_trouble(connection, box)) for box in able]
    down = [(address, trouble) for address, trouble in troubles if trouble is not None]
    if outside is None and down and len(down) == len(troubles):
        outside = down[0][1]
    if outside is None:
        says = [f"{address}: {trouble.says}" for address, trouble in down]
        if found.needs_run and machine.last_pass_at is not None:
            # Cron makes it, or a person must: nothing here tells which.
            says.append(f"no runner works now, the last pass was at {past(machine.last_pass_at)}")
            found = replace(found, remedy=found.remedy or Command("run"))
        return replace(found, summary="; ".join((found.summary, *says)))
    # Its own gates are open, and yet it waits.
    return replace(found, summary=f"its gates are open, but {outside.says}", remedy=outside.command)


def _without_runner(found: Explanation, machine: Machine, now: datetime) -> Explanation:
    """Say of what waits for an instant that no runner runs any more, unless none ever did."""
    missing = missing_runner(machine, now) if machine.last_pass_at is not None else None
    return found if missing is None else replace(found, summary=f"{found.summary}; {missing.says}")


_A_PASS = Command("run", "--once")


def _found(context: Context, look: Prospects, subject: str, address: str | None) -> Explanation:
    """What the gates say."""
    connection = look.connection
    if address is not None:
        campaign = authority.find_seen_campaign(connection, context.actor, subject)
        return _of_person(look, campaign, _person(connection, campaign, address))
    kind, number = _kind_of(connection, subject)
    if kind == "m":
        return _of_message(context, look, number)
    if kind == "r":
        found = recipients.by_id(connection, number)
        if found is None:
            raise NotFound(
                "recipient.none", f"there is no recipient {subject}", Command("recipient", "list", "NAME")
            )
        campaign = authority.find_seen_campaign(connection, context.actor, f"c_{found.campaign_id}")
        return _of_person(look, campaign, found)
    if kind == "b":
        box = find_mailbox(connection, subject)
        return mailbox_explaining.of_mailbox(
            look, authority.find_seen_mailbox(connection, context.actor, box.address).id
        )
    campaign = authority.find_seen_campaign(connection, context.actor, subject)
    return _with_unfit_step(look, campaign, _of_campaign(look, campaign))


_ID = re.compile(r"([a-z])_([0-9]{1,18})")


def _number_of(text: str, prefix: str) -> int | None:
    """17 for `m_17` when the prefix is `m`; None for anything else."""
    found = _ID.fullmatch(text)
    return int(found[2]) if found and found[1] == prefix else None


def _kind_of(connection: Connection, subject: str) -> tuple[str, int]:
    """The prefix of what is meant: m, r, b or c; and the number of an id."""
    kinds = [(prefix, _number_of(subject, prefix)) for prefix in ("m", "r", "b")]
    meant = next(((prefix, number) for prefix, number in kinds if number is not None), None)
    if meant is None and "@" in subject:
        meant = ("b", 0)
    named = campaigns.find(connection, subject)
    if named is None:
        return meant or ("c", 0)
    if meant is None or (meant == ("b", 0) and mailboxes.by_address(connection, subject.lower()) is None):
        return ("c", 0)
    raise BadInput(
        "name.ambiguous",
        f"'{subject}' may mean the campaign c_{named.id} or another thing of that name",
        Command("why", f"c_{named.id}"),
    )


def _person(connection: Connection, campaign: StoredCampaign, address: str) -> StoredRecipient:
    number = _number_of(address, "r")
    if number is None:
        found = recipients.find(connection, campaign.id, normalise_address(address))
    else:
        found = recipients.by_id(connection, number)
    if found is None or found.campaign_id != campaign.id:
        raise NotFound(
            "recipient.none",
            f"'{address}' is not a recipient of {campaign.name}",
            Command("recipient", "list", campaign.name),
        )
    return found


def _of_message(context: Context, look: Prospects, message_id: int) -> Explanation:
    message = outbox.by_id(look.connection, message_id)
    if message is None:
        raise NotFound("message.none", f"there is no message m_{message_id}", Command("outbox", "list"))
    authority.require_sight_of(look.connection, context.actor, message)
    return _in_its_lane(look, message, _explained(look, f"m_{message_id}", look.situation(message)))


def _of_person(look: Prospects, campaign: StoredCampaign, person: StoredRecipient) -> Explanation:
    """Explain a recipient by its message in the outbox, or by the one planned next."""
    subject = f"{campaign.name} {person.email}"
    if person.state in OPEN_RECIPIENTS:
        planned = outbox.unsent_of(look.connection, person.id)
        if planned is not None:
            return _in_its_lane(look, planned, _explained(look, subject, look.situation(planned)))
    known = {sender.id: sender for sender in senders.senders_of(look.connection, campaign.id)}
    sender = None if person.campaign_sender_id is None else known.get(person.campaign_sender_id)
    message = look.next_message(campaign, person, sender)
    situation = _unassigned(look, campaign, person) if message is None else look.situation(message)
    explained = _explained(look, subject, situation)
    if person.state is RecipientState.FAILED and person.reason == reasons.MAILBOX_REMOVED:
        again = Command("recipient", "assign", campaign.name, person.email, "--to-sender", "ADDRESS")
        return replace(explained, remedy=again)
    return explained if message is None else _in_its_lane(look, message, explained)


# Beyond this, the number says no more than "many".
_MOST_COUNTED = 1000


def _in_its_lane(look: Prospects, message: Candidate, found: Explanation) -> Explanation:
    """Also say how many messages of the same mailbox are due before this one: they use up its room."""
    # Until its own due time comes, the others go.
    if found.next_at is None or found.binding is Gate.DUE or message.recipient_id is None:
        return found
    box = look.box(message.mailbox_id)
    lane = (box.id, box.slot_id, message.ready_at, message.recipient_id)
    ahead = due.waiting_before(look.connection, *lane, _MOST_COUNTED)
    if not ahead:
        return found
    many = f"more than {_MOST_COUNTED} messages" if ahead > _MOST_COUNTED else f"{ahead} messages"
    before = "1 message of its mailbox is" if ahead == 1 else f"{many} of its mailbox are"
    so_far = "nothing holds it back" if found.next_at <= look.now else found.summary
    return replace(found, summary=f"{so_far}, but {before} due before it", ahead=ahead)


def _unassigned(look: Prospects, campaign: StoredCampaign, person: StoredRecipient) -> Situation:
    """Explain a recipient without a mailbox, as far as possible."""
    workspace = workspaces.find(look.connection)
    zone = "UTC" if workspace is None else workspace.timezone
    known = MessageFacts(
        is_follow_up=is_follow_up(person.next_step),
        due_at=person.next_at or look.now,
        ready_at=person.next_at or look.now,
        is_assigned=False,
        lack=assigning.lack_of(look.connection, campaign, person),
        recipient=person.state,
        recipient_reason=person.reason,
        suppression=facts.suppression_of(look.connection, person.email),
    )
    return Situation(look.campaign_facts(campaign.id, zone), None, known)


def _of_campaign(look: Prospects, campaign: StoredCampaign) -> Explanation:
    """The campaign's own gates, those of each sender, and when the first message of any may leave."""
    workspace = workspaces.find(look.connection)
    bound = look.campaign_facts(campaign.id, "UTC" if workspace is None else workspace.timezone)
    own = decide(Situation(bound, None, None), look.now)
    rows = [shown(verdict) for verdict in own.gates]
    own_gates: dict[Front, MailboxFacts] = {}
    first: list[Decision] = []
    # Those of the mailboxes that recipients wait for.
    kept: list[Decision] = []
    awaited = recipients.awaited_senders(look.connection, campaign.id)
    for sender in senders.senders_of(look.connection, campaign.id):
        goes_on = sender.left_at is None or sender.id in awaited
        if sender.mailbox_id is None or not goes_on:
            continue
        known = look.mailbox_facts(sender.mailbox_id)
        own_gates[Front(sender.mailbox_id, campaign.id)] = known
        kept += [decide(Situation(None, known, None), look.now)] if sender.id in awaited else []
    found = look.first_of_campaigns(list(own_gates))
    decisions = iter(look.decide_each([message for front in own_gates for message in found[front]]))
    for front, known in own_gates.items():
        here = list(islice(decisions, len(found[front])))
        gates = (*verdicts(Situation(None, known, None), look.now), *_stuck_at(here))
        rows += [shown(verdict, known.address) for verdict in gates]
        first += here
    is_shut = not own.open and own.next_at is None
    kept = [one for one in kept if one.next_at is None and not is_shut]
    decision = earliest(first or kept)
    if decision is None:
        summary = own.summary if is_shut else "nothing of it waits to be sent"
        if campaign.state is CampaignState.DRAFT:
            refused = starting.refusal(look.connection, look.context.actor, campaign)
            summary = f"{summary}; {refused.message}" if refused is not None else summary
        remedy = _remedy(look, own, campaign)
        return Explanation(
            campaign.name, None, own.binding if is_shut else None, tuple(rows), summary, remedy
        )
    remedy = _remedy(look, decision, campaign)
    if decision.binding is Gate.OVERDUE:
        remedy = Command("outbox", "release", "--campaign", campaign.name)
    summary = (
        _summary(decision) if decision.open else f"{decision.summary_of_mailbox}{_more(decision, first)}"
    )
    # A failed mailbox plans nothing, or what it planned is in error.
    stuck = [*(one for one in first if one.next_at is None and _is_due(one)), *kept]
    if decision.next_at is not None and stuck:
        # Its other recipients go on without these.
        summary = f"{summary}; {stuck[0].summary_of_mailbox}{_more(stuck[0], stuck)}"
        remedy = _remedy(look, stuck[0], campaign) if decision.open else None
    return Explanation(campaign.name, decision.next_at, decision.binding, tuple(rows), summary, remedy)


def _more(decision: Decision, others: Iterable[Decision]) -> str:
    """How many mailboxes wait for the same act beside the one that is named."""
    if (
        decision.next_at is not None
        or decision.bound is None
        or decision.bound.gate.scope is not Scope.MAILBOX
    ):
        return ""
    alike = {one.mailbox for one in others if one.next_at is None and one.binding is decision.binding}
    return "" if decision.binding is Gate.WORKSPACE else more(list(alike))


def _is_due(decision: Decision) -> bool:
    return all(verdict.open for verdict in decision.gates if verdict.gate is Gate.DUE)


def _stuck_at(decisions: Iterable[Decision]) -> list[Verdict]:
    """What holds due messages back in a lane beside its own gates, such as an inbox that cannot be read."""
    found = {
        verdict.gate: verdict
        for decision in filter(_is_due, decisions)
        for verdict in decision.gates
        if not verdict.open and verdict.gate.scope is Scope.RECIPIENT and verdict.gate.cause is Cause.TROUBLE
    }
    return list(found.values())


def _with_unfit_step(look: Prospects, campaign: StoredCampaign, found: Explanation) -> Explanation:
    """Also say which text keeps some messages from being written; only an edit helps them."""
    unfit = outbox_lists.unfit_steps(look.connection, campaign_id=campaign.id)
    if not unfit:
        return found
    return replace(
        found,
        summary=f"{found.summary}; step {unfit[0].step} cannot be written for some: {unfit[0].reason}",
        remedy=found.remedy if found.next_at else Command("campaign", "edit", campaign.name, "FILE"),
    )


def _explained(look: Prospects, subject: str, situation: Situation) -> Explanation:
    decision = decide(situation, look.now)
    # For a message that is over or on its way, that is the answer, whatever else is closed.
    closed = (verdict for verdict in decision.gates if not verdict.open)
    own = next((verdict for verdict in closed if verdict.gate.cause is Cause.STATE), None)
    if own is not None:
        decision = replace(decision, next_at=None, binding=own.gate)
    rows = tuple(shown(verdict) for verdict in decision.gates)
    campaign = (
        None if situation.campaign is None else campaigns.find(look.connection, situation.campaign.name)
    )
    remedy = _remedy(look, decision, campaign)
    return Explanation(subject, decision.next_at, decision.binding, rows, _summary(decision), remedy)


def _remedy(look: Prospects, decision: Decision, campaign: StoredCampaign | None) -> AnyHint | None:
    bound = decision.bound
    if decision.next_at is not None or bound is None:
        return None
    if campaign is not None and campaign.state is CampaignState.PAUSED and bound.gate in _OF_A_PAUSE:
        return resuming.way(look.connection, look.context.actor, campaign)
    if campaign is not None and campaign.state is CampaignState.DRAFT and bound.gate is Gate.CAMPAIGN:
        return starting.way(look.connection, look.context.actor, campaign)
    return advice.remedy(look.connection, look.context.actor, bound)


_OF_A_PAUSE = (Gate.CAMPAIGN, Gate.PAUSE)


def _summary(decision: Decision) -> str:
    if decision.open:
        return "nothing holds it back: the next pass of a runner sends it"
    return decision.summary
