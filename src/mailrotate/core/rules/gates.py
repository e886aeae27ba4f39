"""The gates a message must pass, in order. The one decision that planning, sending, `why` and `status` share.

A gate looks at facts and `now` and answers open or not, why, and from when on it may be open again. Gates
of the workspace, the campaign and the mailbox are decided once per lane; those of the recipient for each
candidate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from mailrotate.core.rules.window import next_open
from mailrotate.core.values.clock import next_whole_second, rfc3339
from mailrotate.core.values.delivery_window import DeliveryWindow
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    MessageKind,
    MessageState,
    RecipientState,
)


class Scope(IntEnum):
    """Whom a gate is about; the first two are the same for every message of a lane and campaign."""

    CAMPAIGN = 1
    MAILBOX = 2
    RECIPIENT = 3


@dataclass(frozen=True)
class CampaignFacts:
    name: str
    state: CampaignState
    pause_reasons: tuple[str, ...]
    # None when each recipient has a window of their own zone, unless none of them can be known.
    window: DeliveryWindow | None


@dataclass(frozen=True)
class RollingUse:
    """A provider's rolling limit, and the instant at which the last place was taken (None: room left)."""

    description: str
    period: timedelta
    full_since: datetime | None


@dataclass(frozen=True)
class MailboxFacts:
    address: str
    connection: ConnectionState
    connection_error: str | None
    user_locked: bool
    paused_at: datetime | None
    hold_reason: str | None
    hold_until: datetime | None
    daily_limit: int
    sent_today: int
    day_ends_at: datetime
    # The plan's cap counts what left through the slot under any address (B4).
    daily_cap: int
    slot_sent_today: int
    rolling: tuple[RollingUse, ...]
    next_send_at: datetime | None
    inbox_read_at: datetime | None
    inbox_failing_since: datetime | None
    inbox_error: str | None
    # While the ramp-up is what limits the day: which day of it this is (B4).
    ramp_day: int | None = None


@dataclass(frozen=True)
class MessageFacts:
    kind: MessageKind
    is_follow_up: bool
    due_at: datetime
    ready_at: datetime
    released_at: datetime | None = None
    # The earliest instant at which nothing but a runner was missing, where that made it too late (H4).
    late_since: datetime | None = None
    last_error: str | None = None
    state: MessageState = MessageState.SCHEDULED
    # False for a message that would be planned next, but that no mailbox has been found for yet.
    is_assigned: bool = True
    recipient: RecipientState | None = None
    recipient_reason: str | None = None
    suppressed_by: str | None = None
    window: DeliveryWindow | None = None


@dataclass(frozen=True)
class Situation:
    """Everything that decides; parts that do not apply are None."""

    campaign: CampaignFacts | None
    mailbox: MailboxFacts | None
    message: MessageFacts | None


@dataclass(frozen=True)
class Verdict:
    """One gate's answer. `until` is None for an open gate, and where only an act of somebody opens it."""

    gate: str
    scope: Scope
    open: bool
    reason: str
    until: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """All gates at one instant, and when all will be open if nobody acts (None: only by an act)."""

    gates: tuple[Verdict, ...]
    next_at: datetime | None
    binding: str | None

    @property
    def open(self) -> bool:
        return all(verdict.open for verdict in self.gates)


_Answer = tuple[bool, str, datetime | None]


def _campaign(facts: CampaignFacts, now: datetime) -> _Answer:
    if facts.state is CampaignState.ACTIVE:
        return True, "the campaign is active", None
    return False, f"the campaign is {'a draft' if facts.state is CampaignState.DRAFT else facts.state}", None


def _pause(facts: CampaignFacts, now: datetime) -> _Answer:
    if not facts.pause_reasons:
        return True, "nothing pauses the campaign", None
    return False, f"paused: {', '.join(facts.pause_reasons)}", None


def _within(window: DeliveryWindow | None, now: datetime) -> _Answer:
    if window is None:
        return True, "no window of its own", None
    opens = next_open(window, now)
    if opens is None:
        return False, window.unusable or "the delivery window never opens", None
    if opens <= now:
        return True, "inside the delivery window", None
    return False, f"the delivery window opens at {rfc3339(opens)}", opens


def _campaign_window(facts: CampaignFacts, now: datetime) -> _Answer:
    return _within(facts.window, now)


def _connection(facts: MailboxFacts, now: datetime) -> _Answer:
    if facts.connection is ConnectionState.CONNECTED:
        return True, "connected", None
    because = f": {facts.connection_error}" if facts.connection_error else ""
    has = "has failed" if facts.connection is ConnectionState.FAILED else f"is {facts.connection}"
    return False, f"the mailbox {has}{because}", None


def _user(facts: MailboxFacts, now: datetime) -> _Answer:
    return not facts.user_locked, "its user is locked" if facts.user_locked else "its user is active", None


def _rest(facts: MailboxFacts, now: datetime) -> _Answer:
    if facts.paused_at is None:
        return True, "the mailbox is not rested", None
    return False, f"the mailbox is rested since {rfc3339(facts.paused_at)}", None


def _hold(facts: MailboxFacts, now: datetime) -> _Answer:
    if facts.hold_reason is None or (facts.hold_until is not None and now >= facts.hold_until):
        return True, "no hold", None
    return False, f"on hold: {facts.hold_reason}", facts.hold_until


def _daily_limit(facts: MailboxFacts, now: datetime) -> _Answer:
    if facts.daily_limit <= 0:
        return False, "the daily limit is 0", None
    if now >= facts.day_ends_at:
        return True, f"a new day: 0 of {facts.daily_limit} sent", None
    ramp = "" if facts.ramp_day is None else f", day {facts.ramp_day} of the ramp-up"
    count = f"{facts.sent_today} of {facts.daily_limit} sent today{ramp}"
    return facts.sent_today < facts.daily_limit, count, facts.day_ends_at


def _slot_cap(facts: MailboxFacts, now: datetime) -> _Answer:
    if facts.daily_cap <= 0:
        return False, "the plan's daily cap is 0", None
    if now >= facts.day_ends_at:
        return True, f"a new day: 0 of the plan's {facts.daily_cap} sent from this slot", None
    count = f"{facts.slot_sent_today} of the plan's {facts.daily_cap} sent from this slot today"
    return facts.slot_sent_today < facts.daily_cap, count, facts.day_ends_at


def _provider_limit(facts: MailboxFacts, now: datetime) -> _Answer:
    full = [
        (use.full_since + use.period, use.description)
        for use in facts.rolling
        if use.full_since is not None and now < use.full_since + use.period
    ]
    if not full:
        return True, "within the provider's limits", None
    until, description = max(full)
    return False, f"the provider's limit is used up: {description}", until


def _gap(facts: MailboxFacts, now: datetime) -> _Answer:
    if facts.next_send_at is None or now >= facts.next_send_at:
        return True, "the gap since the last message has passed", None
    return (
        False,
        f"the mailbox rests between two messages until {rfc3339(facts.next_send_at)}",
        facts.next_send_at,
    )


def _message(facts: MessageFacts, now: datetime) -> _Answer:
    if facts.state is MessageState.SCHEDULED:
        return True, "the message is scheduled", None
    because = f": {facts.last_error}" if facts.last_error else ""
    return False, f"the message is {_STATE_SAYS.get(facts.state, facts.state)}{because}", None


_STATE_SAYS = {
    MessageState.DRAFT: "a draft",
    MessageState.SENDING: "being sent",
    MessageState.ERROR: "in error",
    MessageState.SENT: "sent already",
}


def _assignment(facts: MessageFacts, now: datetime) -> _Answer:
    if facts.is_assigned:
        return True, "a mailbox is assigned", None
    return False, "no mailbox is assigned yet", None


def _recipient(facts: MessageFacts, now: datetime) -> _Answer:
    if facts.recipient is None or facts.recipient in OPEN_RECIPIENTS:
        return True, "the recipient is open", None
    because = f" ({facts.recipient_reason})" if facts.recipient_reason else ""
    return False, f"the recipient is {facts.recipient}{because}", None


def _suppression(facts: MessageFacts, now: datetime) -> _Answer:
    if facts.suppressed_by is None:
        return True, "not suppressed", None
    return False, f"suppressed: {facts.suppressed_by}", None


def _due(facts: MessageFacts, now: datetime) -> _Answer:
    if now >= facts.due_at:
        return True, f"due since {rfc3339(facts.due_at)}", None
    return False, f"due at {rfc3339(facts.due_at)}", facts.due_at


def _retry(facts: MessageFacts, now: datetime) -> _Answer:
    if now >= facts.ready_at:
        return True, "no retry is waited for", None
    at = rfc3339(facts.ready_at)
    reason = f"tried again at {at} after: {facts.last_error}" if facts.last_error else f"not before {at}"
    return False, reason, facts.ready_at


def _recipient_window(facts: MessageFacts, now: datetime) -> _Answer:
    return _within(facts.window, now)


def inbox_is_read(mailbox: MailboxFacts, now: datetime) -> bool:
    """Whether follow-ups may leave this mailbox: the whole lane's answer of the gate `inbox` (H5)."""
    return mailbox.inbox_failing_since is None and mailbox.inbox_read_at is not None


def _inbox(mailbox: MailboxFacts, message: MessageFacts, now: datetime) -> _Answer:
    if not message.is_follow_up:
        return True, "a first message waits for no reply", None
    if mailbox.inbox_failing_since is not None:
        because = f": {mailbox.inbox_error}" if mailbox.inbox_error else ""
        return False, f"the inbox cannot be read since {rfc3339(mailbox.inbox_failing_since)}{because}", None
    if mailbox.inbox_read_at is None:
        return False, "the inbox was not read yet", None
    return True, f"the inbox was read at {rfc3339(mailbox.inbox_read_at)}", None


def _overdue(facts: MessageFacts, now: datetime) -> _Answer:
    if facts.late_since is None or facts.released_at is not None:
        return True, "not late", None
    return False, f"late since {rfc3339(facts.late_since)} because no runner ran; release it to send", None


def _of_campaign(decide: Callable[[CampaignFacts, datetime], _Answer]) -> "_Decider":
    return lambda at, now: None if at.campaign is None else decide(at.campaign, now)


def _of_mailbox(decide: Callable[[MailboxFacts, datetime], _Answer]) -> "_Decider":
    return lambda at, now: None if at.mailbox is None else decide(at.mailbox, now)


def _of_message(decide: Callable[[MessageFacts, datetime], _Answer]) -> "_Decider":
    return lambda at, now: None if at.message is None else decide(at.message, now)


def _of_inbox(at: Situation, now: datetime) -> _Answer | None:
    if at.mailbox is None or at.message is None:
        return None
    return _inbox(at.mailbox, at.message, now)


_Decider = Callable[[Situation, datetime], _Answer | None]

GATES: tuple[tuple[str, Scope, _Decider], ...] = (
    ("campaign", Scope.CAMPAIGN, _of_campaign(_campaign)),
    ("pause", Scope.CAMPAIGN, _of_campaign(_pause)),
    ("window", Scope.CAMPAIGN, _of_campaign(_campaign_window)),
    ("connection", Scope.MAILBOX, _of_mailbox(_connection)),
    ("user", Scope.MAILBOX, _of_mailbox(_user)),
    ("rest", Scope.MAILBOX, _of_mailbox(_rest)),
    ("hold", Scope.MAILBOX, _of_mailbox(_hold)),
    ("daily_limit", Scope.MAILBOX, _of_mailbox(_daily_limit)),
    ("slot_cap", Scope.MAILBOX, _of_mailbox(_slot_cap)),
    ("provider_limit", Scope.MAILBOX, _of_mailbox(_provider_limit)),
    ("gap", Scope.MAILBOX, _of_mailbox(_gap)),
    ("message", Scope.RECIPIENT, _of_message(_message)),
    ("assignment", Scope.RECIPIENT, _of_message(_assignment)),
    ("recipient", Scope.RECIPIENT, _of_message(_recipient)),
    ("suppression", Scope.RECIPIENT, _of_message(_suppression)),
    ("due", Scope.RECIPIENT, _of_message(_due)),
    # Before `retry`: a closed window also puts the row off, and is then the reason to name.
    ("recipient_window", Scope.RECIPIENT, _of_message(_recipient_window)),
    ("retry", Scope.RECIPIENT, _of_message(_retry)),
    ("inbox", Scope.RECIPIENT, _of_inbox),
    ("overdue", Scope.RECIPIENT, _of_message(_overdue)),
)

# Windows, days and periods interlock; each round moves at least to the next opening of one of them.
_MAX_ROUNDS = 500
_SECOND = timedelta(seconds=1)


def verdicts(at: Situation, now: datetime) -> tuple[Verdict, ...]:
    """Every gate that applies, in order, at `now`."""
    answers = []
    for name, scope, decide in GATES:
        answer = decide(at, now)
        if answer is not None:
            is_open, reason, until = answer
            rounded = None if is_open or until is None else next_whole_second(until)
            answers.append(Verdict(name, scope, is_open, reason, rounded))
    return tuple(answers)


def first_closed(at: Situation, now: datetime) -> Verdict | None:
    """The first gate that is closed at `now`, or None when the message may go."""
    for name, scope, decide in GATES:
        answer = decide(at, now)
        if answer is not None and not answer[0]:
            return Verdict(name, scope, False, answer[1], answer[2] and next_whole_second(answer[2]))
    return None


def decide(at: Situation, now: datetime) -> Decision:
    """All gates now, and the first instant (whole seconds) from which all are open on these facts.

    `binding` is the gate that refuses one second before that instant; where only an act helps, the first
    gate that waits for one.
    """
    present = verdicts(at, now)
    instant: datetime = now
    for _ in range(_MAX_ROUNDS):
        closed = [verdict for verdict in verdicts(at, instant) if not verdict.open]
        if not closed:
            shut = None if instant == now else first_closed(at, max(now, instant - _SECOND))
            return Decision(present, instant, None if shut is None else shut.gate)
        without_end = [verdict for verdict in closed if verdict.until is None]
        if without_end:
            return Decision(present, None, without_end[0].gate)
        instant = max(_until(verdict) for verdict in closed)
    # Windows that are never open at the same time, for instance.
    return Decision(present, None, closed[-1].gate)


def _until(verdict: Verdict) -> datetime:
    assert verdict.until is not None
    return verdict.until


def summary(decision: Decision) -> str:
    """One sentence: why it waits, or that it may go."""
    closed: Sequence[Verdict] = [verdict for verdict in decision.gates if not verdict.open]
    if not closed:
        return "nothing holds it back"
    binding = next((verdict for verdict in closed if verdict.gate == decision.binding), closed[0])
    return binding.reason
