"""Give due recipients of a rotation by capacity to the mailbox with most room today (E2).

Each pass does it right before it sends, so that a recipient gets a mailbox at its first message. Only so many
get one as the mailboxes have room for today; the others wait for the first mailbox that has some.
"""

from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import rotation
from mailrotate.core.rules.decision import verdicts
from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.rotation import Room
from mailrotate.core.rules.situation import MailboxFacts, Situation
from mailrotate.core.rules.window import next_open, room_until
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.effects import assigning
from mailrotate.core.services.effects.door import acting
from mailrotate.core.store import campaigns
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import assignments, recipients
from mailrotate.core.store.sending import due, sending_mailboxes
from mailrotate.core.values.states import CampaignState


def deal(context: Context, now: datetime) -> int:
    """Give senders to the due recipients of all rotations by capacity; return how many got one."""
    with context.store.reading() as connection:
        waiting = assignments.waiting_for_room(connection, now)
    dealt = 0
    for campaign_id in waiting:
        # By the instant of the pass, which looks for due lanes next.
        with acting(context, now) as (connection, _):
            recipients.lock_enrolment(connection)
            campaign = campaigns.by_id(connection, campaign_id)
            if campaign.state is CampaignState.ACTIVE:
                dealt += _deal(context, connection, campaign, now)
    return dealt


def _deal(context: Context, connection: Connection, campaign: StoredCampaign, now: datetime) -> int:
    rooms = [
        Room(sender.id, sender.position, sender.assigned_count, room)
        for sender in assigning.current_senders(connection, campaign.id)
        if sender.mailbox_id is not None
        and (room := _room_today(context, connection, campaign, sender.mailbox_id, now))
    ]
    count = assignments.due_count(connection, campaign.id, now, sum(room.today for room in rooms))
    if count:
        assigning.assign_by_room(connection, campaign, rotation.by_room(rooms, count), rooms, now)
    return count


def _room_today(
    context: Context, connection: Connection, campaign: StoredCampaign, mailbox_id: int, now: datetime
) -> int:
    """How many first messages a mailbox can send today in the campaign's window, after what waits for it.

    No one gets a mailbox while the window is closed, and none that is away, held or resting: whose own gates
    are closed, except the gap between two messages.
    """
    box = sending_mailboxes.by_id(connection, mailbox_id)
    known = facts.mailbox_facts(connection, box, now)
    shut = [gate for gate in verdicts(Situation(None, known, None), now) if not gate.open]
    if any(verdict.gate is not Gate.GAP for verdict in shut):
        return 0
    window = facts.window_of(context, campaign, box.settings.workspace_timezone, now)
    if next_open(window, now) != now:
        return 0
    left = _left_today(known)
    left -= due.waiting_count(connection, box.id, box.slot_id, known.day_ends_at, left)
    begins_at = max(now, known.next_send_at or now)
    return room_until(window, begins_at, known.day_ends_at, box.settings.gap, left)


def _left_today(known: MailboxFacts) -> int:
    return min(known.daily_limit - known.sent_today, known.daily_cap - known.slot_sent_today)
