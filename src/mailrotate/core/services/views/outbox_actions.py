"""List, show, retry, cancel, release and resolve messages (F1–F3, H4)."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from mailrotate.core.rules.sign_in import sign_in_verb
from mailrotate.core.rules.steps import due_again
from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.access import authority
from mailrotate.core.services.access.naming import find_campaign, find_mailbox
from mailrotate.core.services.contacts import contact_book
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import connection_errors, lifecycle, obstacles
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.services.sending import settling
from mailrotate.core.store import campaigns, events, mailboxes, moves
from mailrotate.core.store.events import About, LoggedEvent
from mailrotate.core.store.people import due_recipients
from mailrotate.core.store.portions import portions
from mailrotate.core.store.sending import late_messages, outbox, outbox_lists, sending_mailboxes
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.store.sending.outbox_lists import ListedMessage, MessageDetail
from mailrotate.core.values.errors import NotFound
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    ConnectionState,
    Departure,
    MessageKind,
    MessageState,
    RecipientState,
    ReplyClass,
)

# Rows looked at, or changed, in one transaction.
_AT_A_TIME = 500
# Another process was faster: a runner that claimed it, or another operator.
CHANGED = "it has just changed; look again"
_NO_CLAIM = dict.fromkeys(("claimed_at", "marked_at", "claim_token", "runner_id", "settled_at"))


@dataclass(frozen=True)
class Expected:
    """A message with the instant at which its gates open; None if time alone does not open them.

    `ahead` are the listed messages of its mailbox that may go at that instant before it.
    """

    message: ListedMessage
    expected_at: datetime | None
    hint: Hint | None
    ahead: int = 0


@dataclass(frozen=True)
class MessageStory:
    """One message in full: what is stored, what is expected, and its events."""

    expected: Expected
    detail: MessageDetail
    waits_for: str | None
    history: tuple[LoggedEvent, ...]


@dataclass
class Outcome:
    """The result for each selected message: done, or why not."""

    done: list[int] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Which:
    """Messages by id, or all that can be retried of a mailbox, of a campaign or of everything."""

    ids: Sequence[int] = ()
    mailbox: str | None = None
    campaign: str | None = None


def listing(
    context: Context,
    which: Which,
    now: datetime,
    *,
    state: MessageState | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Iterator[Expected]:
    """List messages by id, streamed. Raises NotFound (`mailbox.none`, `campaign.none`), Refused."""
    with looking(context, now) as connection:
        look = obstacles.prospects(context, connection, now)
        rows = outbox_lists.listing(
            connection,
            seen_by=authority.viewer_of(connection, context.actor),
            state=state,
            mailbox_id=_mailbox_id(connection, which.mailbox),
            campaign_id=_campaign_id(connection, which.campaign),
            after=after,
            limit=limit,
        )
        before = Counter[tuple[int, datetime | None]]()
        while some := list(islice(rows, _AT_A_TIME)):
            waiting = [row.id for row in some if row.state is MessageState.SCHEDULED]
            planned = outbox.by_ids(connection, waiting)
            next_at = {one.id: look.decide(one).next_at for one in planned.values()}
            ahead = {}
            # In the order in which a lane sends them.
            for one in sorted(planned.values(), key=lambda one: (one.priority, one.ready_at, one.id)):
                place = (one.mailbox_id, next_at[one.id])
                ahead[one.id] = before[place]
                before[place] += 1
            for row in some:
                yield Expected(row, next_at.get(row.id), _hint(row), ahead.get(row.id, 0))


def show(context: Context, message_id: int, now: datetime) -> MessageStory:
    """Show everything about one message. Raises NotFound (`message.none`), Refused."""
    with looking(context, now) as connection:
        detail = outbox_lists.detail(connection, message_id)
        message = outbox.by_id(connection, message_id)
        if detail is None or message is None:
            raise _no_message(message_id)
        authority.require_sight_of(connection, context.actor, message)
        expected_at = waits_for = None
        if message.state is MessageState.SCHEDULED:
            decision = obstacles.prospects(context, connection, now).decide(message)
            expected_at, waits_for = decision.next_at, decision.binding
        history = tuple(events.listing(connection, message_id=message_id, limit=_AT_A_TIME))
    return MessageStory(
        Expected(detail.listed, expected_at, _hint(detail.listed)), detail, waits_for, history
    )


def _hint(row: ListedMessage) -> Hint | None:
    """What to do about an error, with this message's own names in place of the general ones."""
    if row.error_hint is None:
        return None
    return Hint.from_json(row.error_hint).filled(
        {
            "MESSAGE": f"m_{row.id}",
            "ADDRESS": row.mailbox,
            "RECIPIENT": row.to_address,
            "NAME": row.campaign or "NAME",
        }
    )


def retry(context: Context, which: Which, now: datetime) -> Outcome:
    """error → scheduled, at once and with new tries; a recipient that failed by it continues (F2)."""
    with context.store.reading() as connection:
        ids = which.ids or outbox_lists.retryable(
            connection,
            settler=authority.settler_of(connection, context.actor),
            mailbox_id=_mailbox_id(connection, which.mailbox),
            campaign_id=_campaign_id(connection, which.campaign),
        )
    return each(context, ids, now, lambda connection, message: _retry(context, connection, message, now))


def _retry(context: Context, connection: Connection, message: Candidate, now: datetime) -> str | None:
    if message.state not in MESSAGE["retry"].origins:
        return f"it is {message.state}, not in error"
    if away := _away(connection, message):
        return away
    if message.recipient_id is not None and message.recipient_state not in OPEN_RECIPIENTS:
        # Only a recipient that failed because this very message was refused repeatedly may continue.
        failed_by_it = (
            message.recipient_state is RecipientState.FAILED
            and message.recipient_reason == lifecycle.SOFT_BOUNCES
            and message.error_class == ReplyClass.SOFT
        )
        if not failed_by_it:
            because = f" ({message.recipient_reason})" if message.recipient_reason else ""
            return f"its recipient is {message.recipient_state}{because}"
    if not moves.move(
        connection,
        MESSAGE["retry"],
        message.id,
        ready_at=now,
        attempts=0,
        first_failed_at=None,
        settled_at=None,
        **outbox.NO_ERROR,
    ):
        return CHANGED
    if message.recipient_id is not None and moves.move(
        connection, RECIPIENT["retried"], message.recipient_id, reason=None, ended_at=None
    ):
        events.record(connection, context.actor, "recipient.retried", now, about(message))
    events.record(connection, context.actor, "message.retried", now, about(message))
    return None


def _away(connection: Connection, message: Candidate) -> str | None:
    """Why a message cannot go whatever its error was: its mailbox is away (C15)."""
    box = mailboxes.by_id(connection, message.mailbox_id)
    if box.state is not ConnectionState.CONNECTED:
        return f"{box.address} is {box.state}; {sign_in_verb(box.state)} it first"
    if message.sender_left_reason == Departure.DISCONNECTED:
        return f"{box.address} has left the campaign's senders; add it again first"
    return None


def cancel(context: Context, ids: Sequence[int], now: datetime) -> Outcome:
    """Take messages out of the outbox. Their recipients end (`cancelled_by_operator`): a step that was
    taken out is neither planned again nor skipped."""
    return each(context, ids, now, lambda connection, message: _cancel(context, connection, message, now))


def cancellable(context: Context, ids: Sequence[int]) -> Outcome:
    """What `cancel` would do."""
    found = Outcome()
    with context.store.reading() as connection:
        authority.require_messages(connection, context.actor, ids)
        for some in portions(ids):
            known = outbox.by_ids(connection, some)
            for message_id in some:
                if message_id not in known:
                    raise _no_message(message_id)
                _note(found, message_id, _why_not_cancel(known[message_id]))
    return found


def _why_not_cancel(message: Candidate) -> str | None:
    if message.state in MESSAGE["cancel"].origins:
        return None
    if message.state is MessageState.HELD:
        return "its fate is unknown: resolve it first"
    return f"it is {message.state}"


def _cancel(context: Context, connection: Connection, message: Candidate, now: datetime) -> str | None:
    refusal = _why_not_cancel(message)
    if refusal is not None:
        return refusal
    if not moves.move(connection, MESSAGE["cancel"], message.id):
        return CHANGED
    events.record(connection, context.actor, "message.cancelled", now, about(message))
    if message.kind is MessageKind.CAMPAIGN and message.recipient_id is not None:
        lifecycle.end_recipients(
            connection,
            context.actor,
            [message.recipient_id],
            RECIPIENT["cancelled"],
            "cancelled_by_operator",
            now,
        )
    return None


def release(context: Context, ids: Sequence[int], now: datetime) -> Outcome:
    """Release late messages (H4)."""
    return each(context, ids, now, lambda connection, message: _release(context, connection, message, now))


def _release(context: Context, connection: Connection, message: Candidate, now: datetime) -> str | None:
    if message.state is not MessageState.SCHEDULED:
        return f"it is {message.state}, not scheduled"
    if not outbox.release(connection, now, message_id=message.id):
        return CHANGED
    events.record(connection, context.actor, "message.released", now, about(message))
    return None


def release_campaign(context: Context, name: str, now: datetime) -> int:
    """Release all recipients of a campaign, also those whose late message is still to be planned.

    Returns how many messages were waiting for it. Lateness of a campaign counts from its latest start,
    resume or release. Raises NotFound (`campaign.none`).
    """
    with acting(context, now) as (connection, now):
        campaign = authority.find_campaign(connection, context.actor, name)
        count = outbox.release(connection, now, campaign_id=campaign.id)
        count += late_messages.release(connection, campaign.id)
        campaigns.change(connection, campaign.id, resumed_at=now)
        about = About(campaign_id=campaign.id)
        events.record(connection, context.actor, "campaign.released", now, about, messages=count)
    return count


def resolve(context: Context, ids: Sequence[int], was_sent: bool, now: datetime) -> Outcome:
    """Settle held messages by what the user found in the sent mail (F3)."""
    act = _resolve_sent if was_sent else _resolve_not_sent
    return each(context, ids, now, lambda connection, message: act(context, connection, message, now))


def _resolve_sent(context: Context, connection: Connection, message: Candidate, now: datetime) -> str | None:
    if message.state not in MESSAGE["resolve_sent"].origins:
        return f"it is {message.state}, not held"
    detail = outbox_lists.detail(connection, message.id)
    left_at = now if detail is None else detail.marked_at or detail.claimed_at or now
    if not moves.move(
        connection, MESSAGE["resolve_sent"], message.id, sent_at=left_at, settled_at=now, **outbox.NO_ERROR
    ):
        return CHANGED
    settling.after_sent(connection, message, left_at)
    box = sending_mailboxes.by_id(connection, message.mailbox_id)
    contact_book.note_sent(connection, box, message, left_at)
    events.record(connection, context.actor, "message.resolved", now, about(message), sent=True)
    return None


def _resolve_not_sent(
    context: Context, connection: Connection, message: Candidate, now: datetime
) -> str | None:
    if message.state not in MESSAGE["resolve_not_sent"].origins:
        return f"it is {message.state}, not held"
    is_wanted = message.recipient_state is None or message.recipient_state in OPEN_RECIPIENTS
    # Nothing leaves from a removed mailbox: an open recipient gets the message from their present sender.
    box = mailboxes.by_id(connection, message.mailbox_id)
    is_gone = box.removed_at is not None
    event = "resolve_not_sent" if is_wanted and not is_gone else "resolve_dropped"
    if not moves.move(connection, MESSAGE[event], message.id, ready_at=now, **_NO_CLAIM, **outbox.NO_ERROR):
        return CHANGED
    if is_wanted and not is_gone:
        connection_errors.cut_off_if_away(connection, box, now)
    if is_wanted and is_gone and message.recipient_id is not None:
        due_at = due_again(message.due_at, message.released_at)
        due_recipients.plan_again(connection, message.recipient_id, due_at)
    events.record(
        connection, context.actor, "message.resolved", now, about(message), sent=False, queued=is_wanted
    )
    return None


def each(
    context: Context, ids: Sequence[int], now: datetime, act: Callable[[Connection, Candidate], str | None]
) -> Outcome:
    """Apply `act` to each message, a few hundred per transaction. Raises NotFound, Refused at first."""
    with context.store.reading() as connection:
        for some in portions(ids):
            known = outbox.by_ids(connection, some)
            missing = next((message_id for message_id in some if message_id not in known), None)
            if missing is not None:
                raise _no_message(missing)
            authority.require_messages(connection, context.actor, some)
    done = Outcome()
    for some in portions(ids):
        with acting(context, now) as (connection, now):
            for message_id in some:
                message = outbox.by_id(connection, message_id)
                _note(done, message_id, "it is gone" if message is None else act(connection, message))
    return done


def _note(outcomes: Outcome, message_id: int, refusal: str | None) -> None:
    if refusal is None:
        outcomes.done.append(message_id)
    else:
        outcomes.refused.append((message_id, refusal))


def about(message: Candidate) -> About:
    return About(message.mailbox_id, message.campaign_id, message.recipient_id, message.id)


def _mailbox_id(connection: Connection, address: str | None) -> int | None:
    return None if address is None else find_mailbox(connection, address, with_removed=True).id


def _campaign_id(connection: Connection, name: str | None) -> int | None:
    return None if name is None else find_campaign(connection, name).id


def _no_message(message_id: int) -> NotFound:
    return NotFound("message.none", f"there is no message m_{message_id}", Command("outbox", "list"))
