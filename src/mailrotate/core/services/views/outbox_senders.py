"""Change the mailbox that a waiting message leaves from, and all later ones of its recipient (E5)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.compose import message_id_for
from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.services.access import authority, naming
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import mailbox_removal
from mailrotate.core.services.views.outbox_actions import CHANGED, Outcome, about, each
from mailrotate.core.store import events, moves, removals
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import reassignments
from mailrotate.core.store.sending import outbox
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.values.reasons import NOT_CONNECTED
from mailrotate.core.values.states import OPEN_RECIPIENTS, MessageState, RecipientState

_MOVABLE = (MessageState.SCHEDULED, MessageState.ERROR)


def send_from(context: Context, ids: Sequence[int], address: str, now: datetime) -> Outcome:
    """Let messages, and all later ones of their recipients in the campaign, leave from another mailbox.

    It does not join the rotation; a deadline of the mailbox before does not touch these recipients any more.
    Raises NotFound, Refused (`mailbox.not_connected`, `mailbox.personal`, …).
    """
    with context.store.reading() as connection:
        box = naming.find_mailbox(connection, address)
        authority.require_pick(connection, context.actor, box)
        mailbox_removal.require_able(connection, context.actor, box)
    return each(context, ids, now, lambda connection, one: _move(context, connection, one, box, now))


def _move(
    context: Context, connection: Connection, message: Candidate, box: StoredMailbox, now: datetime
) -> str | None:
    refusal = _why_not(message, box)
    if refusal is not None:
        return refusal
    sender_id = None
    if message.campaign_id is not None and message.recipient_id is not None:
        sender_id = removals.taker(connection, message.campaign_id, box.id, now)
    new_id = message_id_for(message.token, box.address)
    if not outbox.change_sender(connection, message, box.id, box.address, new_id, sender_id):
        return CHANGED
    if message.error_class == NOT_CONNECTED:
        # It lacked its mailbox alone, and has one now.
        moves.move(connection, MESSAGE["reconnected"], message.id, settled_at=None, **outbox.NO_ERROR)
    if sender_id is not None and message.recipient_id is not None:
        reassignments.give(connection, message.recipient_id, sender_id, mailbox_removal.MOVED)
    change = {"before": message.from_address, "after": box.address}
    events.record(connection, context.actor, "message.sender", now, about(message), key="sender", **change)
    return None


def _why_not(message: Candidate, box: StoredMailbox) -> str | None:
    if message.state not in _MOVABLE:
        return f"it is {message.state}"
    if message.recipient_state is RecipientState.STOPPED:
        return "its recipient was stopped in this campaign, for good"
    if message.recipient_id is not None and message.recipient_state not in OPEN_RECIPIENTS:
        return f"its recipient is {message.recipient_state}"
    if message.mailbox_id == box.id:
        return f"it already leaves from {box.address}"
    return None
