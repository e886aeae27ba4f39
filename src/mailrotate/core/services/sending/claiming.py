"""The claim: one transaction that finds the lane's next message, asks every gate again, and renders it."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from mailrotate.core.rules.compose import Composed, compose, compose_notice
from mailrotate.core.rules.decision import Verdict, first_closed
from mailrotate.core.rules.gates import Gate, Scope, inbox_is_read
from mailrotate.core.rules.situation import MailboxFacts, Situation
from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.deciding.facts import Absences
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.effects.door import acting
from mailrotate.core.services.sending.rendering import StepCache, letter_for, notice_letter_for
from mailrotate.core.store import campaigns, moves
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.sending import claims, lanes, outbox, sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Candidate, Claim
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.letter import Letter, UnfitLetter
from mailrotate.core.values.states import MessageKind, Priority, ReplyClass

# So many rows that may not go (suppressed, ended, parked) are cleared away in one transaction at most.
_MOST_CLEARED = 200
_NEVER = datetime.min.replace(tzinfo=UTC)


class LaneLost(Exception):
    """Another runner owns the lane now: whatever we hold of it is void."""


@dataclass(frozen=True)
class Nothing:
    """No message may go now: the closed gate of the mailbox, or None for nothing ready or a lane to leave."""

    closed: Verdict | None


@dataclass
class _Lane:
    """The facts of one claim, gathered once."""

    context: Context
    connection: Connection
    box: SendingMailbox
    facts: MailboxFacts
    campaigns: dict[int, StoredCampaign]
    absences: Absences
    now: datetime
    note_unfit: Callable[[], None]


def may_send(context: Context, mailbox_id: int, now: datetime) -> bool:
    """Whether a lane's own gates are open, and those of anything in it: else no message can leave now."""
    with context.store.reading() as connection:
        box = sending_mailboxes.by_id(connection, mailbox_id)
        known = facts.mailbox_facts(connection, box, now)
        notice = outbox.earliest_notice(connection, box.id, now)
        if notice is not None:
            of_it = facts.message_facts(context, connection, notice, box, None, now)
            if first_closed(Situation(None, known, of_it), now) is None:
                return True
        if first_closed(Situation(None, known, None), now) is not None:
            return False
        by_hand = outbox.earliest_by_hand(connection, box.id, now)
        return by_hand is not None or bool(_open_campaigns(context, connection, box, now))


def claim_next(
    context: Context,
    lane: Lane,
    cache: StepCache,
    now: datetime,
    only: int | None = None,
    note_unfit: Callable[[], None] = lambda: None,
) -> Claim | Nothing:
    """Claim the next message of a lane (`only`: this one or none); none if a command waits for the lane.

    Raises LaneLost.
    """
    with acting(context, now) as (connection, now):
        if not lanes.hold_on(connection, lane, now):
            raise LaneLost
        if only is None and lanes.is_asked_for(connection, lane.mailbox_id):
            return Nothing(None)
        box = sending_mailboxes.by_id(connection, lane.mailbox_id)
        known = facts.mailbox_facts(connection, box, now)
        closed = first_closed(Situation(None, known, None), now)
        # Only a notice may pass a closed limit of the day.
        if closed is not None and only is None and outbox.earliest_notice(connection, box.id, now) is None:
            return Nothing(closed)
        running = _open_campaigns(context, connection, box, now)
        absences = facts.absences_in(connection)
        at = _Lane(context, connection, box, known, running, absences, now, note_unfit)
        for _ in range(_MOST_CLEARED):
            message = _first(at, only)
            if message is None:
                return Nothing(closed)
            shut = _closed_for(at, message)
            if shut is None:
                claimed = _claim(at, lane, cache, message)
                if claimed is not None:
                    return claimed
                # Its content may have been one error too many: then its campaign is paused from here on.
                at.campaigns = _open_campaigns(context, connection, box, now)
            elif not _clear(at, message, shut) or only is not None:
                return Nothing(shut)
        return Nothing(None)


def _open_campaigns(
    context: Context, connection: Connection, box: SendingMailbox, now: datetime
) -> dict[int, StoredCampaign]:
    zone, found = box.settings.workspace_timezone, {}
    for campaign in campaigns.active_in_lane(connection, box.id, box.slot_id):
        known = facts.campaign_facts(context, campaign, zone, now)
        if first_closed(Situation(known, None, None), now) is None:
            found[campaign.id] = campaign
    return found


def _first(at: _Lane, only: int | None) -> Candidate | None:
    """Notices and mail by hand first, then follow-ups, then first messages; campaigns take turns (E4)."""
    if only is not None:
        message = outbox.by_id(at.connection, only)
        return message if message is not None and message.mailbox_id == at.box.id else None
    return min(_candidates(at), key=_order, default=None)


def _candidates(at: _Lane) -> Iterator[Candidate]:
    for find in (outbox.earliest_notice, outbox.earliest_by_hand):
        found = find(at.connection, at.box.id, at.now)
        if found is not None:
            yield found
            return
    follow_ups = inbox_is_read(at.facts)
    for campaign_id in at.campaigns:
        for priority in (Priority.FOLLOW_UP, Priority.FIRST) if follow_ups else (Priority.FIRST,):
            found = outbox.earliest_ready(at.connection, at.box.id, campaign_id, priority, at.now)
            if found is not None:
                yield found
                break


def _order(message: Candidate) -> tuple[str, datetime, datetime, int]:
    return message.priority, message.turn_at or _NEVER, message.due_at, message.id


def _closed_for(at: _Lane, message: Candidate) -> Verdict | None:
    campaign = None if message.campaign_id is None else at.campaigns.get(message.campaign_id)
    if message.kind is MessageKind.CAMPAIGN and campaign is None:
        situation, _ = facts.situation_of(at.context, at.connection, message, at.now)
        return first_closed(situation, at.now)
    known = facts.message_facts(at.context, at.connection, message, at.box, campaign, at.now, at.absences)
    return first_closed(Situation(None, at.facts, known), at.now)


def _clear(at: _Lane, message: Candidate, shut: Verdict) -> bool:
    """Take a row that may not go out of the others' way; False when there is nothing to do about it."""
    if shut.gate is Gate.SUPPRESSION and message.recipient_id is not None:
        lifecycle.end_recipients(
            at.connection,
            at.context.actor,
            [message.recipient_id],
            RECIPIENT["unsubscribed"],
            "suppressed",
            at.now,
        )
    elif shut.gate is Gate.RECIPIENT:
        moves.move(at.connection, MESSAGE["cancel"], message.id)
    elif shut.gate is Gate.OVERDUE:
        outbox.set_overdue(at.connection, message.id, at.now)
    elif shut.until is not None and shut.gate.scope is Scope.RECIPIENT:
        outbox.postpone(at.connection, message.id, shut.until)
    else:
        return False
    return True


def _rendered(at: _Lane, cache: StepCache, message: Candidate) -> tuple[Letter, Composed]:
    """Render a message. Raises UnfitLetter."""
    if message.kind is MessageKind.NOTICE:
        letter, text = notice_letter_for(at.connection, message, at.box)
        return letter, compose_notice(letter, text, at.now)
    campaign = None if message.campaign_id is None else at.campaigns.get(message.campaign_id)
    if campaign is None and message.campaign_id is not None:
        campaign = campaigns.by_id(at.connection, message.campaign_id)
    if campaign is None:
        raise UnfitLetter("its campaign was deleted")
    letter = letter_for(at.connection, cache, message, at.box, campaign)
    return letter, compose(letter, at.now)


def _claim(at: _Lane, lane: Lane, cache: StepCache, message: Candidate) -> Claim | None:
    try:
        letter, mail = _rendered(at, cache, message)
    except UnfitLetter as unfit:
        lifecycle.refuse_content(at.connection, message, str(unfit), at.now, ReplyClass.MESSAGE)
        at.note_unfit()
        return None
    claim_token = uuid.uuid4().hex
    claimed = claims.claim(
        at.connection,
        MESSAGE["claim"],
        message.id,
        claim_token=claim_token,
        runner_id=lane.runner_id,
        slot_id=at.box.slot_id,
        from_address=letter.from_address,
        subject=mail.subject,
        in_reply_to=letter.in_reply_to,
        cited_ids=letter.references,
        content_hash=mail.sha256,
        now=at.now,
    )
    return Claim(message, claim_token, at.now, at.box, mail.raw) if claimed else None
