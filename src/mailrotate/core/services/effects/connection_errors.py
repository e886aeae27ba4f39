"""Messages whose mailbox is away: they become errors, and go on when it is back (C15)."""

from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.sign_in import sign_in
from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.store import connections, moves
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import cut_off_messages, outbox
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.reasons import NOT_CONNECTED
from mailrotate.core.values.states import ConnectionState


def cut_off(connection: Connection, box: StoredMailbox, said: str, now: datetime) -> int:
    """Put what waits to be sent from a mailbox that is away into `error`; return how many messages."""
    hint = Hint(sign_in(box.state, box.address)).to_json()
    cut_off_messages.retell(connection, box.id, said, hint)
    return moves.move_many(
        connection,
        MESSAGE["cut_off"],
        cut_off_messages.that_wait_for(box.id),
        error_class=NOT_CONNECTED,
        error_phase=None,
        error_code=None,
        error_enhanced=None,
        error_text=said,
        error_hint=hint,
        settled_at=now,
    )


def cut_off_if_away(connection: Connection, box: StoredMailbox, now: datetime) -> None:
    """Put what was scheduled while its mailbox was away into `error`, with the reason why it is away."""
    if box.state is not ConnectionState.CONNECTED:
        said = connections.health_of(connection, box.id).last_error or "the mailbox is disconnected"
        cut_off(connection, box, said, now)


def go_on(connection: Connection, box: StoredMailbox) -> int:
    """Schedule the messages of a mailbox that is back, due as before; return how many.

    In a rotation that it left when it was disconnected they wait until it is added again.
    """
    gone_on = moves.move_many(
        connection,
        MESSAGE["reconnected"],
        cut_off_messages.that_may_go_on(box.id),
        settled_at=None,
        **outbox.NO_ERROR,
    )
    # The campaign's name is filled in where the hint is shown.
    hint = Hint(Command("campaign", "sender", "add", "NAME", box.address)).to_json()
    cut_off_messages.retell(connection, box.id, "the mailbox has left the campaign's senders", hint)
    return gone_on
