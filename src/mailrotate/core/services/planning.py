"""Plans messages: rows for what a mailbox can send before its next day ends, and no more (F1)."""

import uuid
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import quota
from mailrotate.core.rules.compose import message_id_for
from mailrotate.core.rules.window import next_open
from mailrotate.core.services import facts
from mailrotate.core.services.context import Context
from mailrotate.core.services.rendering import StepCache
from mailrotate.core.store import campaigns, lanes, mailboxes, outbox, recipients, senders
from mailrotate.core.store.campaigns import StoredCampaign, StoredStep
from mailrotate.core.store.lanes import Lane
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.outbox import NewMessage
from mailrotate.core.store.recipients import Due
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.values.states import CampaignState, MessageKind, Priority


def plan_lane(context: Context, lane: Lane, cache: StepCache, now: datetime) -> int:
    """Plan what is due in one lane until its next day ends; returns how many rows were added.

    Follow-ups first, then first messages, as many as the mailbox's two days have room for; the campaigns
    share what is left in turn.
    """
    with context.store.writing() as connection:
        if not lanes.hold_on(connection, lane, now):
            return 0
        box = mailboxes.by_id(connection, lane.mailbox_id)
        _, today_ends = quota.day_of(now, box.timezone, box.day_from, box.day_until)
        horizon = quota.midnight_after(today_ends, box.timezone)
        start, _ = quota.day_of(now, box.timezone, box.day_from, box.day_until)
        left_today = max(0, box.daily_limit - mailboxes.sent_since(connection, box.id, start))
        room = left_today + box.daily_limit
        running = [
            campaign
            for campaign in campaigns.active_in_lane(connection, box.id, box.slot_id)
            if campaign.state is CampaignState.ACTIVE and not campaign.pause_reasons
        ]
        planned = 0
        for priority in (Priority.FOLLOW_UP, Priority.FIRST):
            waiting = outbox.scheduled_count(connection, box.id, priority)
            planned_here = _plan_campaigns(
                context, connection, cache, box, running, priority, horizon, room - waiting, now
            )
            planned += planned_here
            # First messages get what follow-ups, also the ones that wait already, leave.
            room = max(0, room - waiting - planned_here)
        return planned


def _plan_campaigns(
    context: Context,
    connection: Connection,
    cache: StepCache,
    box: StoredMailbox,
    running: list[StoredCampaign],
    priority: Priority,
    horizon: datetime,
    room: int,
    now: datetime,
) -> int:
    if room <= 0 or not running:
        return 0
    share = -(-room // len(running))
    planned = 0
    for campaign in running:
        for sender in senders.senders_of(connection, campaign.id):
            if sender.mailbox_id != box.id:
                continue
            people = recipients.due_in_lane(
                connection, sender.id, horizon, priority is Priority.FOLLOW_UP, min(share, room - planned)
            )
            if people:
                steps = {step.position: step for step in cache.steps_of(connection, campaign)}
                rows = [
                    _row(context, connection, box, campaign, sender, steps[person.next_step], person, now)
                    for person in people
                ]
                outbox.plan(connection, rows, now)
                recipients.mark_planned(connection, [person.id for person in people])
                planned += len(people)
    return planned


def _row(
    context: Context,
    connection: Connection,
    box: StoredMailbox,
    campaign: StoredCampaign,
    sender: StoredSender,
    step: StoredStep,
    person: Due,
    now: datetime,
) -> NewMessage:
    # D9: a step of a single-sender campaign may name its own sender; its message waits in that lane.
    by = box
    if step.sender_mailbox_id is not None and step.sender_mailbox_id != box.id:
        by = mailboxes.by_id(connection, step.sender_mailbox_id)
    ready_at = person.next_at
    if campaign.timezone == facts.RECIPIENT_ZONE:
        window = facts.window_of(context, campaign, box.workspace_timezone, now, person.timezone)
        ready_at = next_open(window, person.next_at) or person.next_at
    token = uuid.uuid4().hex
    return NewMessage(
        kind=MessageKind.CAMPAIGN,
        priority=Priority.FOLLOW_UP if person.next_step > 1 else Priority.FIRST,
        mailbox_id=by.id,
        campaign_id=campaign.id,
        campaign_sender_id=sender.id,
        recipient_id=person.id,
        step_id=step.id,
        step_position=step.position,
        to_address=person.email,
        from_address=by.address,
        token=token,
        message_id=message_id_for(token, by.address),
        due_at=person.next_at,
        ready_at=ready_at,
    )
