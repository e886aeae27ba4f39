"""Record what the server answered, and what follows for the message, its recipient and its mailbox."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from mailrotate.core.rules import quota, steps
from mailrotate.core.rules.replies import ReplyVerdict, classify, hint_for
from mailrotate.core.rules.retry import RetryPolicy, next_try
from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.contacts import contact_book
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.sending import health
from mailrotate.core.store import campaigns, events, mailboxes, moves, senders
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.group_commit import Block
from mailrotate.core.store.people import recipients
from mailrotate.core.store.sending import claims, inboxes, lanes
from mailrotate.core.store.sending.claims import InFlight
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Candidate, Claim
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.reasons import HARD_BOUNCE
from mailrotate.core.values.states import (
    MessageKind,
    MessageState,
    Phase,
    ReplyClass,
    SuppressionKind,
)
from mailrotate.core.values.transition import Transition

if TYPE_CHECKING:
    # It renders letters, which takes long to import; only a runner does.
    from mailrotate.core.services.sending.lane_facts import KeptFacts, LaneFacts

_RETRY = RetryPolicy()
_ABOUT_A_MESSAGE = (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT)
_PERSONAL = (ReplyClass.RETRY, ReplyClass.SOFT, ReplyClass.HARD, ReplyClass.MESSAGE)
_SERVER_FILES_WITHIN = timedelta(minutes=1)


@dataclass(frozen=True)
class Settled:
    """What was recorded, and whether the lane may continue to send."""

    state: MessageState
    reply_class: ReplyClass | None
    lane_goes_on: bool


def settle_sent(
    block: Block,
    claimed: Claim,
    box: SendingMailbox,
    reply: ServerReply,
    now: datetime,
    kept: "KeptFacts | None" = None,
) -> Settled:
    """Record that the server accepted the message, and move the recipient to the next step.

    `kept`: the facts of its lane.
    """
    connection, message = block.connection, claimed.message
    known = None if kept is None else kept.find(block.version, now)
    recorded = claims.settle(
        connection,
        MESSAGE["settle_sent"],
        message.id,
        claimed.claim_token,
        sent_at=now,
        settled_at=now,
        attempts=message.attempts + 1,
        error_class=None,
        error_code=None,
        error_enhanced=None,
        error_text=None,
        error_hint=None,
    )
    if recorded:
        if known is None or not known.has_no_gap:
            _rest(connection, box, message.token, now)
            if kept is not None:
                kept.forget()
        after_sent(connection, message, now, known)
        contact_book.note_sent(connection, box, message, now)
        if _needs_copy(box):
            inboxes.keep_copy(connection, message.id, box.id, claimed.raw, _copy_due_at(box, now))
        _log(connection, message, "message.sent", now, reply=reply.text)
    return Settled(MessageState.SENT, None, True)


def _rest(connection: Connection, box: SendingMailbox, token: str, now: datetime) -> None:
    """Keep the gap before the next message, as it is set now and not as at the claim (B3)."""
    # On PostgreSQL also without a gap: from here on the lane's row is locked, and a change of the gap waits.
    lanes.rest(connection, box.id, quota.rest_until(now, token, box.settings.gap))
    gap = mailboxes.gap_of(connection, box.connection_id)
    if gap != box.settings.gap:
        lanes.rest(connection, box.id, quota.rest_until(now, token, gap))


def after_sent(
    connection: Connection, message: Candidate, now: datetime, known: "LaneFacts | None" = None
) -> None:
    """Schedule the recipient's next step, counted from the instant of sending; end the campaign's turn.

    `known`: the facts of its lane, if they hold.
    """
    if message.kind is not MessageKind.CAMPAIGN or message.recipient_id is None:
        return
    assert message.campaign_id is not None
    assert message.step_position is not None
    sequence = (
        campaigns.sequence_of(connection, message.campaign_id)
        if known is None
        else known.sequence(connection, message.campaign_id)
    )
    place = steps.after_sent(sequence, message.step_position, now)
    if place.due_at is not None:
        moves.move(
            connection, RECIPIENT["sent"], message.recipient_id, next_step=place.step, next_at=place.due_at
        )
    else:
        moves.move(
            connection,
            RECIPIENT["sent_last"],
            message.recipient_id,
            next_step=place.step,
            **recipients.ending("all_steps_sent", now),
        )
        if known is None or known.deadline_at is not None:
            lifecycle.end_deadline_if_last(connection, message.campaign_sender_id, now)
    if message.campaign_sender_id is not None:
        senders.note_turn(connection, message.campaign_sender_id, now)


def settle_unknown(context: Context, claimed: Claim, reply: ServerReply, now: datetime) -> Settled:
    """Hold a message after silence following the dot; never guess its fate (F3)."""
    with context.store.writing() as connection:
        if not hold(connection, claimed.message.id, claimed.claim_token, reply.text, now):
            # Another process considered us dead and has settled it.
            return Settled(MessageState.SCHEDULED, ReplyClass.UNKNOWN, False)
        _log(connection, claimed.message, "message.held", now, reply=reply.text)
    return Settled(MessageState.HELD, ReplyClass.UNKNOWN, False)


def hold(connection: Connection, message_id: int, claim_token: str, said: str, now: datetime) -> bool:
    """sending → held: it is unknown whether it left."""
    return claims.settle(
        connection,
        MESSAGE["lose"],
        message_id,
        claim_token,
        settled_at=now,
        error_class=ReplyClass.UNKNOWN,
        error_text=said,
        error_hint=hint_for(ReplyClass.UNKNOWN).to_json(),
    )


def settle_refused(
    context: Context, claimed: Claim, box: SendingMailbox, reply: ServerReply, now: datetime
) -> Settled:
    """Record that the server refused the message, or that the connection failed before it accepted it."""
    verdict = classify(reply, box.provider)
    message = claimed.message
    # Before MAIL FROM nothing concerns the message or its recipient, whatever the answer says.
    personal = reply.phase in _ABOUT_A_MESSAGE and verdict.reply_class in _PERSONAL
    with context.store.writing() as connection:
        if not claims.still_ours(connection, claimed):
            # Another process considered us dead and has settled it; this answer no longer concerns that row.
            return Settled(MessageState.SCHEDULED, verdict.reply_class, False)
        if personal and verdict.reply_class in (ReplyClass.RETRY, ReplyClass.SOFT):
            state = _try_later(connection, claimed, verdict, reply, now)
        elif personal and verdict.reply_class is ReplyClass.HARD:
            state = _fail(connection, claimed, verdict, reply, now)
            _bounce(connection, message, now)
            health.note_refusal(connection, box, now)
        elif personal and verdict.reply_class is ReplyClass.MESSAGE:
            state = _fail(connection, claimed, verdict, reply, now)
            lifecycle.pause_on_repeated_errors(connection, message, verdict.reply_class, now)
        else:
            # Trouble of the path or the mailbox: the message goes back as if it had never been claimed.
            put_back(connection, message.id, claimed.claim_token)
            health.note_trouble(connection, box, verdict, reply, now)
            state = MessageState.SCHEDULED
        _log(
            connection,
            message,
            f"message.{'error' if state is MessageState.ERROR else 'deferred'}",
            now,
            error_class=verdict.reply_class,
            reply=reply.text,
            code=reply.code,
            enhanced=reply.enhanced,
        )
    return Settled(state, verdict.reply_class, personal)


def put_back(
    connection: Connection,
    message_id: int,
    claim_token: str,
    **values: object,
) -> bool:
    """sending → scheduled: nothing left, nothing is counted.

    If its recipient has ended meanwhile it becomes `cancelled`, like their waiting messages (D6, C15).
    """
    is_back = claims.settle(
        connection,
        MESSAGE["put_back"],
        message_id,
        claim_token,
        claimed_at=None,
        marked_at=None,
        claim_token=None,
        runner_id=None,
        **values,
    )
    if is_back and recipients.has_ended(connection, message_id):
        moves.move(connection, MESSAGE["cancel"], message_id)
    return is_back


def _try_later(
    connection: Connection, claimed: Claim, verdict: ReplyVerdict, reply: ServerReply, now: datetime
) -> MessageState:
    message = claimed.message
    first_failed_at = message.first_failed_at or now
    again = next_try(message.attempts + 1, first_failed_at, now, _RETRY)
    if again is None:
        state = _fail(connection, claimed, verdict, reply, now)
        if verdict.reply_class is ReplyClass.SOFT and message.recipient_id is not None:
            _end(connection, message, RECIPIENT["failed"], lifecycle.SOFT_BOUNCES, now)
        return state
    put_back(
        connection,
        message.id,
        claimed.claim_token,
        attempts=message.attempts + 1,
        first_failed_at=first_failed_at,
        ready_at=again,
        **_error(verdict, reply),
    )
    return MessageState.SCHEDULED


def _fail(
    connection: Connection, claimed: Claim, verdict: ReplyVerdict, reply: ServerReply, now: datetime
) -> MessageState:
    claims.settle(
        connection,
        MESSAGE["settle_error"],
        claimed.message.id,
        claimed.claim_token,
        claimed_at=None,
        settled_at=now,
        attempts=claimed.message.attempts + 1,
        first_failed_at=claimed.message.first_failed_at or now,
        **_error(verdict, reply),
    )
    return MessageState.ERROR


def _error(verdict: ReplyVerdict, reply: ServerReply) -> dict[str, object]:
    return {
        "error_class": verdict.reply_class,
        "error_phase": reply.phase,
        "error_code": reply.code,
        "error_enhanced": reply.enhanced,
        "error_text": reply.text,
        "error_hint": verdict.hint.to_json(),
    }


def _bounce(connection: Connection, message: Candidate, now: datetime) -> None:
    """Record a hard refusal: suppress the address for all campaigns (D6)."""
    if message.kind is not MessageKind.CAMPAIGN:
        return
    _end(connection, message, RECIPIENT["bounced"], HARD_BOUNCE, now)
    lifecycle.suppress(
        connection,
        RUNNER,
        SuppressionKind.ADDRESS,
        message.to_address,
        reason=HARD_BOUNCE,
        source=f"m_{message.id}",
        now=now,
    )


def _end(
    connection: Connection, message: Candidate, transition: Transition, reason: str, now: datetime
) -> None:
    """End the recipient but keep the message in `error`, with the server's words."""
    if message.recipient_id is None:
        return
    if recipients.end(connection, transition, reason, message.recipient_id, now):
        _log(connection, message, f"recipient.{transition.event}", now, reason=reason)


def _needs_copy(box: SendingMailbox) -> bool:
    """Whether we file a copy: always, never, or unless the server is known to do it."""
    if box.settings.own.sent_copy is None:
        return box.files_sent_copy is not True
    return box.settings.own.sent_copy == "on"


def _copy_due_at(box: SendingMailbox, now: datetime) -> datetime:
    """When to look for the copy: an unknown server gets a minute to file it itself."""
    return now if box.files_sent_copy is False else now + _SERVER_FILES_WITHIN


def _log(connection: Connection, message: Candidate, action: str, now: datetime, **data: object) -> None:
    about = About(message.mailbox_id, message.campaign_id, message.recipient_id, message.id)
    events.record(connection, RUNNER, action, now, about, **data)


def recover_orphans(connection: Connection, runner_id: int, now: datetime) -> int:
    """Put back a dead runner's unmarked messages and hold the marked ones; return how many are held."""
    held = _settle_left(connection, claims.in_flight_of(connection, runner_id), now)
    lanes.free_lanes_of(connection, runner_id)
    return held


def take_lane(connection: Connection, mailbox_id: int, runner_id: int, now: datetime) -> Lane | None:
    """Take a free lane, and settle what its last owner left claimed, even if that owner still runs.

    A runner that loses the database between claim and mark releases the lane and keeps running, so no process
    holds the messages that are still claimed there.
    """
    lane = lanes.take(connection, mailbox_id, runner_id)
    if lane is not None:
        _settle_left(connection, claims.in_flight_in(connection, mailbox_id), now)
    return lane


def _settle_left(connection: Connection, left: list[InFlight], now: datetime) -> int:
    held = 0
    for message_id, claim_token, is_marked in left:
        if is_marked:
            said = "the runner ended between the final dot and the server's answer"
            if hold(connection, message_id, claim_token, said, now):
                held += 1
                about = About(message_id=message_id)
                events.record(connection, RUNNER, "message.held", now, about, reply=said)
        else:
            put_back(connection, message_id, claim_token)
    return held
