"""Plans messages: rows for what a mailbox can send before its next day ends, and no more (F1)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import quota
from mailrotate.core.rules.compose import message_id_for
from mailrotate.core.rules.gates import inbox_is_read
from mailrotate.core.rules.steps import priority_of
from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.rules.window import next_open
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.effects import connection_errors
from mailrotate.core.services.effects.door import acting
from mailrotate.core.services.sending.rendering import StepCache
from mailrotate.core.store import campaigns, mailboxes, progress, senders
from mailrotate.core.store.campaigns import StoredCampaign, StoredStep
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import due_recipients
from mailrotate.core.store.people.due_recipients import Due
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.store.sending import cut_off_messages, lanes, outbox, sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import NewMessage
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.states import CampaignState, MessageKind, Priority


@dataclass(frozen=True)
class _Lane:
    """What one lane's planning goes by, gathered once. `horizon` is the end of the mailbox's next day."""

    context: Context
    connection: Connection
    cache: StepCache
    box: SendingMailbox
    running: Sequence[StoredCampaign]
    horizon: datetime
    # Recipients due from then on are not late (H4); None if no runner was ever away for long.
    late_before: datetime | None
    now: datetime


def plan_lane(context: Context, lane: Lane, cache: StepCache, now: datetime) -> int:
    """Plan what is due in one lane until its next day ends; returns how many rows were added.

    Follow-ups first, then first messages, as many as the mailbox's two days have room for; the campaigns
    share what is left in turn.
    """
    with acting(context, now) as (connection, now):
        if not lanes.hold_on(connection, lane, now):
            return 0
        box = sending_mailboxes.by_id(connection, lane.mailbox_id)
        known = facts.mailbox_facts(connection, box, now)
        running = [
            campaign
            for campaign in campaigns.active_in_lane(connection, box.id, box.slot_id)
            if campaign.state is CampaignState.ACTIVE and not campaign.pause_reasons
        ]
        if not running:
            return 0
        horizon = quota.midnight_after(known.day_ends_at, box.settings.timezone)
        late_before = facts.absences_in(connection).late_before
        at = _Lane(context, connection, cache, box, running, horizon, late_before, now)
        tomorrow, _ = box.settings.limit_of_day(known.day_ends_at)
        room = max(0, known.daily_limit - known.sent_today) + tomorrow
        room -= cut_off_messages.count(connection, box.id, box.slot_id)
        waiting, planned = _fill(at, Priority.FOLLOW_UP, room)
        # First messages get what follow-ups, also the ones that wait already, leave; and where those wait
        # for an inbox that cannot be read, they leave everything (H5).
        if inbox_is_read(known):
            room -= waiting + planned
        return planned + _fill(at, Priority.FIRST, room)[1]


def _fill(at: _Lane, priority: Priority, room: int) -> tuple[int, int]:
    """Plan one priority; returns how many rows waited already, and how many came to them.

    Rows of a campaign that does not run now take no place.
    """
    ids = [campaign.id for campaign in at.running]
    waiting = outbox.scheduled_count(at.connection, at.box.id, ids, priority)
    waiting += outbox.scheduled_elsewhere(at.connection, at.box.id, at.box.slot_id, ids, priority)
    planned = 0
    for index, campaign in enumerate(at.running):
        left = room - waiting - planned
        share = -(-left // (len(at.running) - index))
        planned += _plan_campaign(at, campaign, priority, share) if share > 0 else 0
    return waiting, planned


def _plan_campaign(at: _Lane, campaign: StoredCampaign, priority: Priority, room: int) -> int:
    planned = 0
    for sender in senders.senders_of(at.connection, campaign.id):
        if sender.mailbox_id != at.box.id or sender.is_away:
            continue
        since = facts.latest(at.late_before, sender.parked_before)
        if since is not None and progress.overdue(at.connection, [campaign.id])[campaign.id] < room:
            # Once enough of its late messages wait for a word, the others are not planned: a million late
            # people are not a million rows.
            since = None
        is_follow_up = priority is Priority.FOLLOW_UP
        people = due_recipients.due_in_lane(
            at.connection, sender.id, at.horizon, is_follow_up, room - planned, since, lock=True
        )
        if people:
            steps = {step.position: step for step in at.cache.steps_of(at.connection, campaign)}
            boxes = {
                position: _mailbox_of(at, steps[position])
                for position in {person.next_step for person in people}
            }
            rows = [
                _row(at, campaign, sender, steps[person.next_step], person, boxes[person.next_step])
                for person in people
            ]
            outbox.plan(at.connection, MESSAGE["plan"], rows, at.now)
            # The lane's own mailbox may have failed a moment ago, when its inbox was read.
            for box in {box.id: box for box in boxes.values()}.values():
                connection_errors.cut_off_if_away(at.connection, box, at.now)
            due_recipients.mark_planned(at.connection, [person.id for person in people])
            planned += len(people)
    return planned


def _mailbox_of(at: _Lane, step: StoredStep) -> StoredMailbox:
    """The mailbox that sends a step: a step of a single-sender campaign may name its own (D9)."""
    named = step.sender_mailbox_id
    # It may have been removed since the step was read.
    if named is not None and named != at.box.id and mailboxes.lock_present(at.connection, named):
        return mailboxes.by_id(at.connection, named)
    return at.box


def _row(
    at: _Lane,
    campaign: StoredCampaign,
    sender: StoredSender,
    step: StoredStep,
    person: Due,
    by: StoredMailbox,
) -> NewMessage:
    ready_at = person.next_at
    if campaign.timezone == facts.RECIPIENT_ZONE:
        window = facts.window_of(
            at.context, campaign, at.box.settings.workspace_timezone, at.now, person.timezone
        )
        ready_at = next_open(window, person.next_at) or person.next_at
    token = uuid.uuid4().hex
    return NewMessage(
        kind=MessageKind.CAMPAIGN,
        priority=priority_of(person.next_step),
        mailbox_id=by.id,
        campaign_id=campaign.id,
        campaign_sender_id=sender.id,
        recipient_id=person.id,
        step_id=step.id,
        step_position=step.position,
        to_address=person.email,
        from_address=by.address,
        token=token,
        unsubscribe_token=uuid.uuid4().hex,
        message_id=message_id_for(token, by.address),
        due_at=person.next_at,
        ready_at=ready_at,
    )
