"""One turn of a lane: read its inbox, plan, then claim → mark → send → settle until nothing may go.

No transaction is open while the network works, and no message is ever in two hands: each step is a
compare-and-set on the lane's and the claim's token. `docs/scheduler.md` walks through the protocol and what
a death at each instruction leaves behind.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailrotate.core.ports import InboxSession, SendSession
from mailrotate.core.rules import quota
from mailrotate.core.rules.gates import Gate
from mailrotate.core.services.access import logins
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import health, inbox_reading, marking, planning, recording, settling
from mailrotate.core.services.sending.claiming import LaneLost, Nothing, claim_next, may_send
from mailrotate.core.services.sending.inbox_reading import InboxTally
from mailrotate.core.services.sending.rendering import StepCache
from mailrotate.core.services.sending.settling import Settled
from mailrotate.core.store.events import About
from mailrotate.core.store.sending import claims, inboxes, lanes, outbox, send_mark, sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.clock import Clock
from mailrotate.core.values.errors import Busy, StoreTrouble
from mailrotate.core.values.mail import Envelope, FateUnknown, FetchBroke, MailTrouble, ServerReply
from mailrotate.core.values.states import ConnectionState, MessageKind, MessageState, Phase

# Servers drop idle connections after minutes; a lane keeps its connection open during shorter gaps.
KEEP_OPEN_FOR = timedelta(seconds=120)
# Seconds between two looks, in a gap, at whether a command waits for the lane.
_LOOK_EVERY = 1.0
# So many mails that break the connection are passed in one reading.
_MOST_BREAKS = 3
# So many notices are sent in one turn for nothing else.
_MOST_NOTICES = 100


@dataclass(frozen=True)
class Pace:
    """How a turn waits and stops, decided by its host.

    `wait(seconds)` returns True when the turn should end at once; `stopping()` says so without waiting.
    `linger`: stay in the lane over a gap between two messages instead of leaving it. `trusted()` is false
    while the clock cannot be believed (F6): nothing irreversible is done then. `tell` says at once what
    the turn waits for without an end.
    """

    clock: Clock
    wait: Callable[[float], bool]
    stopping: Callable[[], bool]
    trusted: Callable[[], bool] = field(default=lambda: True)
    linger: bool = False
    tell: Callable[[Exception], None] = field(default=lambda _trouble: None)


class LaneTurn:
    """One turn of one lane; `tally` counts the results of its messages."""

    def __init__(self, context: Context, lane: Lane, pace: Pace) -> None:
        self.tally: Counter[str] = Counter()
        self._context = context
        self._lane = lane
        self._pace = pace
        self._cache = StepCache()
        self._sender: SendSession | None = None
        self._inbox: InboxSession | None = None
        self._read_at: datetime | None = None
        self._sync_every = timedelta()

    def run(self, only: int | None = None) -> Counter[str]:
        """Work until nothing may go now, the lane is lost, or the host is stopping.

        With `only`, send just that message and leave the rest alone. Raises KeyTrouble when the
        workspace's key is missing or wrong: our own fault, no mailbox's.
        """
        try:
            if only is None:
                is_worth_it = self._is_worth_a_login()
                if is_worth_it:
                    self._read_inbox()
                planning.plan_lane(self._context, self._lane, self._cache, self._pace.clock())
                if not is_worth_it:
                    return self.tally
            while not self._pace.stopping() and self._pace.trusted():
                if only is None:
                    self._look_again()
                if not self._send_one(only) or only is not None:
                    break
            self._file_copies()
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
            self._read_inbox()
            self._file_copies()
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
        if is_old and not _is_left_alone(box, now):
            return True
        with self._context.store.reading() as connection:
            has_copies = bool(inboxes.pending_copies(connection, box.id, now, 1))
        return has_copies or may_send(self._context, box.id, now)

    def _send_one(self, only: int | None) -> bool:
        """Claim and deliver one message; False when the turn is over."""
        claimed = claim_next(
            self._context, self._lane, self._cache, self._pace.clock(), only, self._note_unfit
        )
        if isinstance(claimed, Nothing):
            return self._sit_out_gap(claimed)
        settled = self._deliver(claimed, claimed.box)
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

    def _deliver(self, claimed: Claim, box: SendingMailbox) -> Settled:
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
        return self._commit(claimed, box)

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
        now = self._pace.clock()
        try:
            with self._context.store.writing() as connection:
                if not claims.mark(connection, claimed, self._lane, now):
                    return False
                gap = box.settings.gap
                if gap:
                    lanes.rest(connection, box.id, quota.rest_until(now, claimed.message.token, gap))
                number = send_mark.count(connection)
        except (StoreTrouble, Busy):
            # Not marked, so it must not leave; the next owner of the lane puts it back.
            if self._sender is not None:
                self._sender.abandon()
            raise
        try:
            self._context.mark.note(number)
        except StoreTrouble:
            # Marked in one place only; the dot has not left, and this lane knows it.
            if self._sender is not None:
                self._sender.abandon()
            self._put_back(claimed)
            raise
        return True

    def _commit(self, claimed: Claim, box: SendingMailbox) -> Settled:
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
        return self._recorded(
            claimed, lambda now: settling.settle_sent(self._context, claimed, box, reply, now)
        )

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
        if self._read_at is None or self._pace.clock() - self._read_at < self._sync_every:
            return
        self._read_inbox()
        self._file_copies()
        planning.plan_lane(self._context, self._lane, self._cache, self._pace.clock())

    def _read_inbox(self) -> None:
        box, now = self._box(), self._pace.clock()
        if box.state is not ConnectionState.CONNECTED:
            return
        self._read_at, self._sync_every = now, box.settings.sync_every
        if _is_left_alone(box, now):
            return
        tally = InboxTally()
        trouble = self._read_over_connections(box, now, tally) or tally.waits_for
        self.tally["replies"] += tally.replies
        self.tally["unsubscribes"] += tally.unsubscribes
        # What was broken off because the host is stopping says nothing about the server.
        if trouble is not None and not self._pace.stopping():
            inbox_reading.note_unreadable(self._context, box, trouble, now)

    def _read_over_connections(
        self, box: SendingMailbox, now: datetime, tally: InboxTally
    ) -> MailTrouble | None:
        """Read over the open connection, else over a new one; return why the INBOX cannot be read.

        A server closes idle connections. Where a new one breaks while mail is fetched, a single mail may be
        the reason: then each is fetched alone, and the one that breaks the connection again is passed.
        """
        ways = [inbox_reading.MAILS_AT_ONCE] * (1 if self._inbox is None else 2) + [1] * _MOST_BREAKS
        trouble: MailTrouble | None = None
        for at_once in ways:
            is_new = self._inbox is None
            try:
                if self._inbox is None:
                    self._inbox = self._open_inbox(now)
                inbox_reading.read_inbox(self._context, self._inbox, box, now, tally, at_once)
                return None
            except MailTrouble as broke:
                trouble = broke
                self._drop_inbox()
                if self._pace.stopping() or (is_new and not isinstance(broke, FetchBroke)):
                    break
        return trouble

    def _open_inbox(self, now: datetime) -> InboxSession:
        return logins.log_in(
            self._context, self._lane.mailbox_id, now, lambda provider, account: provider.open_inbox(account)
        )

    def _file_copies(self) -> None:
        """Copies are filed over the connection that read the inbox, after everything was sent."""
        if self._inbox is None:
            return
        box, now = self._box(), self._pace.clock()
        try:
            inbox_reading.file_copies(self._context, self._inbox, box, now)
        except MailTrouble as trouble:
            self._drop_inbox()
            inbox_reading.postpone_copies(self._context, box, trouble, now)

    def _drop_inbox(self) -> None:
        if self._inbox is not None:
            self._inbox.close()
            self._inbox = None

    def _close(self) -> None:
        if self._sender is not None:
            self._sender.close()
        self._drop_inbox()


def _is_left_alone(box: SendingMailbox, now: datetime) -> bool:
    """Whether to skip the inbox, because reading it failed a moment ago."""
    return box.inbox.next_try_at is not None and now < box.inbox.next_try_at


def _counted_as(settled: Settled, kind: MessageKind) -> str:
    if settled.state is MessageState.SENT:
        return "notified" if kind is MessageKind.NOTICE else "sent"
    if settled.state is MessageState.HELD:
        return "held"
    if settled.state is MessageState.CANCELLED:
        # The command that waited has ended: not counted in the pass.
        return "cancelled"
    return "failed" if settled.state is MessageState.ERROR else "deferred"
