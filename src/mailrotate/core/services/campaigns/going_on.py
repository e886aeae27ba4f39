"""What a running campaign goes on with: how many recipients, from when, and which of them still wait (C6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.decision import Decision, decide
from mailrotate.core.rules.situation import Situation
from mailrotate.core.services.access import advice
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding.next_send import Prospects, earliest
from mailrotate.core.services.effects.assigning import current_senders
from mailrotate.core.services.effects.late_release import Late
from mailrotate.core.store import campaigns, progress, senders
from mailrotate.core.store.events import Actor
from mailrotate.core.store.people import recipients
from mailrotate.core.store.sending.lane_fronts import Front
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import OPEN_RECIPIENTS


@dataclass(frozen=True)
class HeldSender:
    """A sender whose open recipients get nothing until a user acts; `remedy` is the command for it."""

    address: str
    people: int
    reason: str
    remedy: AnyHint | None


@dataclass(frozen=True)
class GoingOn:
    """The open recipients of a campaign that go on, without those of the `held` senders.

    `next_at` is when its first message may leave; None if `waits_for` needs an act. `late` are its messages
    that have been due for too long (H4).
    """

    campaign: str
    people: int
    next_at: datetime | None
    waits_for: str | None
    held: Sequence[HeldSender]
    late: Late | None


def first_send(context: Context, connection: Connection, campaign_id: int, now: datetime) -> Decision | None:
    """The decision on the message of a campaign that may leave first."""
    look = Prospects(context, connection, now)
    fronts = [
        Front(sender.mailbox_id, campaign_id)
        for sender in current_senders(connection, campaign_id)
        if sender.mailbox_id is not None
    ]
    found = look.first_of_campaigns(fronts)
    return earliest(look.decide_each([message for front in fronts for message in found[front]]))


def next_step(
    connection: Connection, actor: Actor, first: Decision | None, runner_works: bool, now: datetime
) -> AnyHint:
    """The command after a start, by the decision on the first message.

    `first` is None where a pass chooses the sender.
    """
    if first is not None and first.next_at is None:
        return advice.remedy(connection, actor, first.bound) or Command("status")
    if runner_works:
        return Command("status")
    is_due = first is None or first.next_at is None or first.next_at <= now
    return Command("run", "--once") if is_due else Command("run")


def of_resumed(
    context: Context, connection: Connection, campaign_id: int, late: Late | None, now: datetime
) -> GoingOn:
    """Say how a campaign that was just resumed goes on."""
    counts = progress.people(connection, [campaign_id])[campaign_id]
    held = _held(context, connection, campaign_id, now)
    first = first_send(context, connection, campaign_id, now)
    return GoingOn(
        campaigns.by_id(connection, campaign_id).name,
        sum(counts.get(state, 0) for state in OPEN_RECIPIENTS) - sum(sender.people for sender in held),
        None if first is None else first.next_at,
        first.summary_of_mailbox if first is not None and first.next_at is None else None,
        held,
        late,
    )


def _held(context: Context, connection: Connection, campaign_id: int, now: datetime) -> list[HeldSender]:
    look, held = Prospects(context, connection, now), []
    for sender in senders.senders_of(connection, campaign_id):
        people = recipients.open_count(connection, campaign_id, sender.id)
        if sender.mailbox_id is None or not people:
            continue
        known = look.mailbox_facts(sender.mailbox_id)
        decision = decide(Situation(None, known, None), now)
        if decision.open or decision.next_at is not None or decision.bound is None:
            continue
        remedy = advice.remedy(connection, context.actor, decision.bound)
        held.append(HeldSender(known.address, people, decision.bound.reason, remedy))
    return held
