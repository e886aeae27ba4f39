"""Release a mailbox, and undo what refusals did to people who were refused for the mailbox's sake (F4)."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import steps
from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.access import seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.door import acting
from mailrotate.core.services.mailboxes import mailbox_views
from mailrotate.core.store import campaigns, events, moves
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending import refusals
from mailrotate.core.store.sending.refusals import Ended, Refusal
from mailrotate.core.values.reasons import HARD_BOUNCE
from mailrotate.core.values.states import SuppressionKind


@dataclass(frozen=True)
class Undone:
    """Whether a hold ended, how many refusals were undone, and what that gave back."""

    was_held: bool
    refusals: int
    reopened: int
    unsuppressed: int


def release(context: Context, address: str, now: datetime) -> Undone:
    """End a hold and undo the refusals since the mailbox's last accepted message."""
    with acting(context, now) as (connection, now):
        box = seats.find_mailbox(connection, context.actor, address)
        was_held = mailbox_views.end_hold(connection, context.actor, box, now) is not None
        found = refusals.in_a_row(connection, box.id)
        unsuppressed = sum([_lift(connection, context.actor, box.id, refusal, now) for refusal in found])
        reopened = sum([_reopen_people(connection, context.actor, box.id, refusal, now) for refusal in found])
        return Undone(was_held, len(found), reopened, unsuppressed)


def _lift(connection: Connection, actor: Actor, mailbox_id: int, refusal: Refusal, now: datetime) -> bool:
    if not suppressions.withdraw(connection, refusal.to_address, HARD_BOUNCE, f"m_{refusal.message_id}"):
        return False
    told = {"kind": SuppressionKind.ADDRESS, "domain": None}
    events.record(connection, actor, "suppression.removed", now, About(mailbox_id), **told)
    return True


def _reopen_people(
    connection: Connection, actor: Actor, mailbox_id: int, refusal: Refusal, now: datetime
) -> int:
    if suppressions.covering(connection, refusal.to_address) is not None:
        return 0
    ended = refusals.ended_by(connection, refusal, HARD_BOUNCE)
    if ended:
        # The step that it was refused for is planned again.
        moves.move(connection, MESSAGE["cancel"], refusal.message_id)
    return sum([_reopen(connection, actor, mailbox_id, one, now) for one in ended])


def _reopen(connection: Connection, actor: Actor, mailbox_id: int, ended: Ended, now: datetime) -> bool:
    sequence = campaigns.sequence_of(connection, ended.campaign_id)
    place = steps.taken_on(sequence, ended.next_step, ended.last_sent, now)
    if place.due_at is None:
        return False
    is_new = ended.last_sent is None
    due_at = max(place.due_at, steps.first_due_at(sequence, ended.joined_at)) if is_new else place.due_at
    transition = RECIPIENT["requeued" if is_new else "reopened"]
    is_open = moves.move(
        connection,
        transition,
        ended.id,
        reason=None,
        ended_at=None,
        next_step=place.step,
        # Without a sender it waits to be assigned, and is due from then on.
        next_at=None if ended.campaign_sender_id is None else due_at,
    )
    if is_open:
        about = About(mailbox_id, ended.campaign_id, ended.id)
        events.record(connection, actor, f"recipient.{transition.event}", now, about)
    return is_open
