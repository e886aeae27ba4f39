"""One turn of a lane: read its inbox, plan, then claim → mark → send → settle until nothing may go.

No transaction is open while the network works, and no message is ever in two hands: each step is a
compare-and-set on the lane's and the claim's token. `docs/scheduler.md` walks through the protocol and what
a death at each instruction leaves behind.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from mailrotate.core.ports import SendSession
from mailrotate.core.rules import quota
from mailrotate.core.rules.gates import Gate
from mailrotate.core.services.access import logins
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import health, marking, planning, recording, settling
from mailrotate.core.services.sending.claiming import Claims, LaneLost, Nothing, may_send
from mailrotate.core.services.sending.lane_inbox import LaneInbox, is_left_alone
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.services.sending.rendering import StepCache
from mailrotate.core.services.sending.settling import Settled
from mailrotate.core.store.events import About
from mailrotate.core.store.group_commit import Block
from mailrotate.core.store.sending import claims, inboxes, lanes, outbox, sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.errors import Busy, StoreTrouble
from mailrotate.core.values.mail import Envelope, FateUnknown, MailTrouble, ServerReply
from mailrotate.core.values.states import MessageKind, MessageState, Phase

# Servers drop idle connections after minutes; a lane keeps its connection open during shorter gaps.
KEEP_OPEN_FOR = timedelta(seconds=120)
# Seconds between two looks, in a gap, at whether a command waits for the lane.
_LOOK_EVERY = 1.0
# So many notices are sent in one turn for nothing else.
_MOST_NOTICES = 100


class LaneTurn:
    """One turn of one lane; `tally` counts the results of its messages."""

    def __init__(self, context: Context, lane: Lane, pace: Pace) -> None:
        self.tally: Counter[str] = Counter()
        self._context = context
        self._lane = lane
        self._pace = pace
        self._cache = StepCache()
        self._claims = Claims(context, lane, self._cache, self._note_unfit)
        # What was claimed in the transaction that settled the message before.
        self._following: Claim | None = None
        self._sender: SendSession | None = None
        self._inbox = LaneInbox(context, lane, pace, self.tally)

    def run(self, only: int | None = None) -> Counter[str]:
        """Work until nothing may go now, the lane is lost, or the host is stopping.

        With `only`, send just that message and leave the rest alone. Raises KeyTrouble when the
        workspace's key is missing or wrong: our own fault, no mailbox's.
        """
        try:
            if only is None:
                is_worth_it = self._is_worth_a_login()
                if is_worth_it:
                    self._inbox.read()
                planning.plan_lane(self._context, self._lane, self._cache, self._pace.clock())
                if not is_worth_it:
                    return self.tally
            while not self._pace.stopping() and self._pace.trusted():
                if only is None:
                    self._look_again()
                if not self._send_one(only) or only is not None:
                    break
            # After everything was sent.
            self._inbox.file_copies()
        except LaneLost:
            # The new owner recovers our claimed messages; none of them was sent without its mark.
            self.tally["lost"] += 1
        finally:
            self._close()
        return self.tally

    def notify(self) -> Counter[str]:
        """Send the notices that are ready, and nothing else."""
        for _ in range(_MOST_NOTICES):
            with self._context.store.reading() as connection:
                notice = outbox.earliest_notice(connection, self._lane.mailbox_id, self._pace.clock())
            before = self.tally["notified"]
            if notice is None or self.run(only=notice.id)["notified"] == before:
                break
        return self.tally

    def sync(self) -> Counter[str]:
        """Read the inbox and file the copies that are due; send nothing."""
        try:
            self._inbox.read()
            self._inbox.file_copies()
        finally:
            self._close()
        return self.tally

    def _box(self) -> SendingMailbox:
        with self._context.store.reading() as connection:
            return sending_mailboxes.by_id(connection, self._lane.mailbox_id)

    def _is_worth_a_login(self) -> bool:
        """Whether to log in now. Behind a used-up limit or a closed window, messages can be due for hours."""
        box, now = self._box(), self._pace.clock()
        is_old = box.inbox.read_at is None or now - box.inbox.read_at >= box.settings.sync_every
        if is_old and not is_left_alone(box, now):
            return True
        with self._context.store.reading() as connection:
            has_copies = bool(inboxes.pending_copies(connection, box.id, now, 1))
        return has_copies or may_send(self._context, box.id, now)

    def _send_one(self, only: int | None) -> bool:
        """Claim and deliver one message; False when the turn is over."""
        claimed = self._following or self._claims.next(self._pace.clock(), only)
        self._following = None
        if isinstance(claimed, Nothing):
            return self._sit_out_gap(claimed)
        settled = self._deliver(claimed, claimed.box, is_single=only is not None)
        self.tally[_counted_as(settled, claimed.message.kind)] += 1
        return settled.lane_goes_on

    def _note_unfit(self) -> None:
        self.tally["failed"] += 1

    def _sit_out_gap(self, nothing: Nothing) -> bool:
        closed = nothing.closed
        if not self._pace.linger or closed is None or closed.gate is not Gate.GAP or closed.until is None:
            return False
        rest = closed.until - self._pace.clock()
        if rest > KEEP_OPEN_FOR or not self._has_more(closed.until):
            return False
        while (seconds := (closed.until - self._pace.clock()).total_seconds()) > 0:
            if self._pace.wait(min(seconds, _LOOK_EVERY)) or self._is_asked_for():
                return False
        return True

    def _is_asked_for(self) -> bool:
        """Whether a command waits for the lane, which is left between two messages."""
        with self._context.store.reading() as connection:
            return lanes.is_asked_for(connection, self._lane.mailbox_id)

    def _has_more(self, until: datetime) -> bool:
        with self._context.store.reading() as connection:
            ready = outbox.next_ready_at(connection, self._lane.mailbox_id)
        return ready is not None and ready <= until

    def _deliver(self, claimed: Claim, box: SendingMailbox, *, is_single: bool) -> Settled:
        message = claimed.message
        try:
            marking.open_pass(self._context)
            # The mailbox's own address also where From names an alias: its server takes it, and a bounce
            # comes back to the inbox that is read.
            self._stage(box, Envelope(claimed.box.address, (message.to_address,), claimed.raw))
        except MailTrouble as trouble:
            refused = trouble.reply
            return self._recorded(
                claimed, lambda now: settling.settle_refused(self._context, claimed, box, refused, now)
            )
        except BaseException:
            # Nothing has left: our own trouble (a missing key, a defect) must not strand the message.
            self._put_back(claimed)
            raise
        assert self._sender is not None
        if not self._pace.trusted():
            self._sender.abandon()
            self._put_back(claimed)
            return Settled(MessageState.SCHEDULED, None, False)
        if not self._mark(claimed, box):
            self._sender.abandon()
            if not self._put_back(claimed):
                raise LaneLost
            return Settled(MessageState.CANCELLED, None, True)
        return self._commit(claimed, box, is_single=is_single)

    def _stage(self, box: SendingMailbox, envelope: Envelope) -> None:
        """Hand over everything but the dot, over the open connection if the server still keeps it."""
        is_reused = self._sender is not None and self._sender.usable
        if not is_reused:
            self._open_sender(box)
        assert self._sender is not None
        try:
            self._sender.stage(envelope)
        except MailTrouble as trouble:
            if not is_reused or self._sender.usable or trouble.reply.code not in (None, 421):
                raise
            # Amazon SES takes 100 messages over a connection and answers the next MAIL with 421. No dot has
            # left, so the same message may go over a new connection.
            self._open_sender(box)
            self._sender.stage(envelope)

    def _open_sender(self, box: SendingMailbox) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None
        self._sender = logins.log_in(
            self._context,
            self._lane.mailbox_id,
            self._pace.clock(),
            lambda provider, account: provider.open_sender(account),
        )
        if health.is_in_doubt(box):
            with self._context.store.writing() as connection:
                health.recover(connection, box, self._pace.clock())

    def _mark(self, claimed: Claim, box: SendingMailbox) -> bool:
        """Mark the message: from here on it may have left. The gap counts from now, even if we die."""

        def mark(block: Block) -> bool:
            now = self._pace.clock()
            if not claims.mark(block.connection, claimed, self._lane, now):
                return False
            if gap := box.settings.gap:
                rest = quota.rest_until(now, claimed.message.token, gap)
                lanes.rest(block.connection, box.id, rest)
            block.mark(self._context.mark.note)
            return True

        try:
            return self._context.store.send(mark)
        except (StoreTrouble, Busy):
            # It may be marked, but the dot has not left, and this lane knows it.
            if self._sender is not None:
                self._sender.abandon()
            self._put_back(claimed)
            raise

    def _commit(self, claimed: Claim, box: SendingMailbox, *, is_single: bool) -> Settled:
        assert self._sender is not None
        try:
            reply = self._sender.commit()
        except FateUnknown as silence:
            said = silence.reply
            return self._recorded(
                claimed, lambda now: settling.settle_unknown(self._context, claimed, said, now)
            )
        except MailTrouble as trouble:
            refused = trouble.reply
            return self._recorded(
                claimed, lambda now: settling.settle_refused(self._context, claimed, box, refused, now)
            )
        except BaseException as interruption:
            reply = ServerReply(
                Phase.DOT, None, None, f"interrupted while waiting ({type(interruption).__name__})"
            )
            settling.settle_unknown(self._context, claimed, reply, self._pace.clock())
            raise
        # In a transaction of its own, the claim would only keep the message in doubt for longer.
        if not is_single and self._context.store.groups_commits and self._goes_on():
            settled = self._settle_and_claim(claimed, box, reply)
            if settled is not None:
                return settled
        return self._recorded(
            claimed,
            lambda now: self._context.store.send(
                lambda block: settling.settle_sent(block, claimed, box, reply, now, self._claims.kept)
            ),
        )

    def _goes_on(self) -> bool:
        """Whether the next message follows at once."""
        return not self._pace.stopping() and self._pace.trusted() and not self._inbox.is_due()

    def _settle_and_claim(self, claimed: Claim, box: SendingMailbox, reply: ServerReply) -> Settled | None:
        """Settle a message, and with it claim the next one if that takes no look around; None if it failed.

        Then what the server answered is settled alone, and the next claim says what is wrong.
        """

        def settle_and_claim(block: Block) -> tuple[Settled, Claim | None]:
            now = self._pace.clock()
            settled = settling.settle_sent(block, claimed, box, reply, now, self._claims.kept)
            return settled, self._claims.follow_in(block, now)

        try:
            settled, self._following = self._context.store.send(settle_and_claim)
        except Exception:  # noqa: BLE001  whatever it is, the answer is recorded first
            self._claims.kept.forget()
            return None
        return settled

    def _recorded(self, claimed: Claim, settle: Callable[[datetime], Settled]) -> Settled:
        about = About(self._lane.mailbox_id, message_id=claimed.message.id)
        return recording.recorded(self._context, about, settle, self._pace.clock, self._pace.tell)

    def _put_back(self, claimed: Claim) -> bool:
        """Put the message back; False if it is no longer ours, or if the next owner must do it."""
        with suppress(StoreTrouble, Busy), self._context.store.writing() as connection:
            return settling.put_back(connection, claimed.message.id, claimed.claim_token)
        return False

    def _look_again(self) -> None:
        """During a long turn, read the inbox and plan as often as the plan says."""
        if self._inbox.is_due():
            # What is read may close a gate.
            self._drop_following()
            self._inbox.read()
            self._inbox.file_copies()
            planning.plan_lane(self._context, self._lane, self._cache, self._pace.clock())

    def _drop_following(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            self._put_back(following)

    def _close(self) -> None:
        try:
            # The host is stopping, or the turn broke off.
            self._drop_following()
        finally:
            if self._sender is not None:
                self._sender.close()
            self._inbox.close()


def _counted_as(settled: Settled, kind: MessageKind) -> str:
    if settled.state is MessageState.SENT:
        return "notified" if kind is MessageKind.NOTICE else "sent"
    if settled.state is MessageState.HELD:
        return "held"
    if settled.state is MessageState.CANCELLED:
        # The command that waited has ended: not counted in the pass.
        return "cancelled"
    return "failed" if settled.state is MessageState.ERROR else "deferred"
