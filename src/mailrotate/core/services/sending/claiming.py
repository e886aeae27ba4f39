"""The claim: one transaction that finds the lane's next message, asks every gate again, and renders it.

As long as nobody has written what gates see, it asks them about the facts of the claim before
(`lane_facts.py`).
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection

from mailrotate.core.rules.compose import Composed, compose, compose_notice
from mailrotate.core.rules.decision import Verdict, first_closed
from mailrotate.core.rules.gates import Gate, Scope, inbox_is_read
from mailrotate.core.rules.situation import Situation
from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.effects.door import settle_passed
from mailrotate.core.services.sending import lane_facts
from mailrotate.core.services.sending.lane_facts import KeptFacts, LaneFacts
from mailrotate.core.services.sending.rendering import StepCache, letter_for, notice_letter_for
from mailrotate.core.store import campaigns, moves
from mailrotate.core.store.group_commit import Block
from mailrotate.core.store.sending import claims, lanes, outbox, sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Candidate, Claim
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
class _At:
    """The facts and the instant of one claim."""

    context: Context
    connection: Connection
    facts: LaneFacts
    now: datetime


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
        return by_hand is not None or bool(lane_facts.open_campaigns(context, connection, box, now))


@dataclass
class Claims:
    """Claims the messages of a lane, one after another.

    `note_unfit` is called for each message that cannot be written.
    """

    context: Context
    lane: Lane
    cache: StepCache = field(default_factory=StepCache)
    note_unfit: Callable[[], None] = lambda: None
    kept: KeptFacts = field(default_factory=KeptFacts)

    def next(self, now: datetime, only: int | None = None) -> Claim | Nothing:
        """Claim the next message (`only`: this one or none); none if a command waits for the lane.

        Raises LaneLost, and ClockTrouble as `effects.door.acting`.
        """
        with self.context.store.sending() as block:
            return self.next_in(block, now, only)

    def next_in(self, block: Block, now: datetime, only: int | None = None) -> Claim | Nothing:
        """Do what `next` does, in a block that is open already."""
        now = self.context.later(now)
        claimed = None if only is not None else self.follow_in(block, now)
        if claimed is not None:
            return claimed
        if settle_passed(self.context, block.connection, now):
            block.change()
        if not lanes.hold_on(block.connection, self.lane, now):
            raise LaneLost
        return self._after_all_gates(block, now, only)

    def follow_in(self, block: Block, now: datetime) -> Claim | None:
        """Claim the first message by facts that still hold; None where everything is to be read anew.

        Raises LaneLost.
        """
        known = self.kept.find(block.version, now)
        if known is None:
            return None
        if not lanes.hold_on(block.connection, self.lane, now):
            raise LaneLost
        known.recount(block.connection, now)
        at = _At(self.context, block.connection, known, now)
        message = _first(at)
        if message is None or _closed_for(at, message) is not None:
            return None
        return self._claim(block, at, message)

    def _after_all_gates(self, block: Block, now: datetime, only: int | None) -> Claim | Nothing:
        connection = block.connection
        if only is None and lanes.is_asked_for(connection, self.lane.mailbox_id):
            return Nothing(None)
        known = lane_facts.gather(self.context, block, self.lane.mailbox_id, now)
        at = _At(self.context, connection, known, now)
        closed = first_closed(Situation(None, known.mailbox, None), now)
        # Only a notice may pass a closed limit of the day.
        if closed is not None and only is None and known.earliest(connection, Priority.NOTICE, now) is None:
            return Nothing(closed)
        for _ in range(_MOST_CLEARED):
            message = _first(at) if only is None else _this(at, only)
            if message is None:
                return Nothing(closed)
            shut = _closed_for(at, message)
            if shut is None:
                claimed = self._claim(block, at, message)
                if claimed is not None:
                    return claimed
                # Its content may have been one error too many: then its campaign is paused from here on.
                known.campaigns = lane_facts.open_campaigns(self.context, connection, known.box, now)
                continue
            block.change()
            if not _clear(at, message, shut) or only is not None:
                return Nothing(shut)
        return Nothing(None)

    def _claim(self, block: Block, at: _At, message: Candidate) -> Claim | None:
        try:
            letter, mail = _rendered(at, self.cache, message)
        except UnfitLetter as unfit:
            block.change()
            lifecycle.refuse_content(at.connection, message, str(unfit), at.now, ReplyClass.MESSAGE)
            self.note_unfit()
            return None
        claim_token = uuid.uuid4().hex
        claimed = claims.claim(
            at.connection,
            MESSAGE["claim"],
            message.id,
            claim_token=claim_token,
            runner_id=self.lane.runner_id,
            slot_id=at.facts.box.slot_id,
            from_address=letter.from_address,
            subject=mail.subject,
            in_reply_to=letter.in_reply_to,
            cited_ids=letter.references,
            content_hash=mail.sha256,
            now=at.now,
        )
        if not claimed:
            return None
        at.facts.count_one()
        self.kept.keep(block.version, at.facts, at.now)
        return Claim(message, claim_token, at.now, at.facts.box, mail.raw)


def _first(at: _At) -> Candidate | None:
    """Notices and mail by hand first, then follow-ups, then first messages; campaigns take turns (E4)."""
    return min(_candidates(at), key=_order, default=None)


def _this(at: _At, message_id: int) -> Candidate | None:
    message = outbox.by_id(at.connection, message_id)
    return message if message is not None and message.mailbox_id == at.facts.box.id else None


def _candidates(at: _At) -> Iterator[Candidate]:
    for priority in (Priority.NOTICE, Priority.BY_HAND):
        found = at.facts.earliest(at.connection, priority, at.now)
        if found is not None:
            yield found
            return
    follow_ups = inbox_is_read(at.facts.mailbox)
    for campaign_id in at.facts.campaigns:
        for priority in (Priority.FOLLOW_UP, Priority.FIRST) if follow_ups else (Priority.FIRST,):
            found = at.facts.earliest(at.connection, priority, at.now, campaign_id)
            if found is not None:
                yield found
                break


def _order(message: Candidate) -> tuple[str, datetime, datetime, int]:
    return message.priority, message.turn_at or _NEVER, message.due_at, message.id


def _closed_for(at: _At, message: Candidate) -> Verdict | None:
    campaign = None if message.campaign_id is None else at.facts.campaigns.get(message.campaign_id)
    if message.kind is MessageKind.CAMPAIGN and campaign is None:
        situation, _ = facts.situation_of(at.context, at.connection, message, at.now)
        return first_closed(situation, at.now)
    lane = at.facts
    known = facts.message_facts(at.context, at.connection, message, lane.box, campaign, at.now, lane.absences)
    return first_closed(Situation(None, lane.mailbox, known), at.now)


def _clear(at: _At, message: Candidate, shut: Verdict) -> bool:
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


def _rendered(at: _At, cache: StepCache, message: Candidate) -> tuple[Letter, Composed]:
    """Render a message. Raises UnfitLetter."""
    if message.kind is MessageKind.NOTICE:
        letter, text = notice_letter_for(at.connection, message, at.facts.box)
        return letter, compose_notice(letter, text, at.now)
    campaign = None if message.campaign_id is None else at.facts.campaigns.get(message.campaign_id)
    if campaign is None and message.campaign_id is not None:
        campaign = campaigns.by_id(at.connection, message.campaign_id)
    if campaign is None:
        raise UnfitLetter("its campaign was deleted")
    letter = letter_for(at.connection, cache, message, at.facts.letterhead(at.connection), campaign)
    return letter, compose(letter, at.now)
