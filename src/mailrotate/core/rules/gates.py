"""The gates a message must pass, in order.

A gate looks at facts and `now` and says whether it is open and why; a closed one also says when it opens,
or which command opens it. Gates of the campaign and the mailbox are decided once per lane; those of the
recipient for each candidate.

A new gate is a function here, its entry in `Gate`, its facts, and a line in `docs/scheduler.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum, StrEnum, auto
from typing import TypeAlias

from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.sign_in import sign_in
from mailrotate.core.rules.situation import CampaignFacts, MailboxFacts, MessageFacts, Situation
from mailrotate.core.rules.window import next_open
from mailrotate.core.values import reasons
from mailrotate.core.values.clock import next_whole_second, rfc3339
from mailrotate.core.values.delivery_window import DeliveryWindow
from mailrotate.core.values.hint import AnyHint, Command, Hint
from mailrotate.core.values.reasons import BY_HAND, CONTENT_ERRORS, REFUSALS, ended, held, paused, spoken
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    MessageState,
    RecipientState,
)


@dataclass(frozen=True)
class Shut:
    """A closed gate: it opens at `until`, or by the command `remedy`; neither when nothing opens it again,
    or only what `reason` says."""

    reason: str
    until: datetime | None = None
    remedy: AnyHint | None = None


# An open gate returns only its reason; None means that the gate does not apply.
Answer: TypeAlias = str | Shut
Decider: TypeAlias = Callable[[Situation, datetime], Answer | None]


def _of_campaign(decide: Callable[[CampaignFacts, datetime], Answer]) -> Decider:
    return lambda at, now: None if at.campaign is None else decide(at.campaign, now)


def _of_mailbox(decide: Callable[[MailboxFacts, datetime], Answer]) -> Decider:
    return lambda at, now: None if at.mailbox is None else decide(at.mailbox, now)


def _of_message(decide: Callable[[MessageFacts, datetime], Answer]) -> Decider:
    return lambda at, now: None if at.message is None else decide(at.message, now)


def _from(permitted_at: datetime) -> str:
    """Format a future instant for people, rounded up so that it is never too early."""
    return rfc3339(next_whole_second(permitted_at))


def _since(happened_at: datetime) -> str:
    """Format a past instant for people, in whole seconds."""
    return rfc3339(happened_at.replace(microsecond=0))


@_of_campaign
def _campaign(facts: CampaignFacts, now: datetime) -> Answer:
    match facts.state:
        case CampaignState.ACTIVE:
            return "the campaign is active"
        case CampaignState.DRAFT:
            return Shut("the campaign is a draft", remedy=Command("campaign", "start", facts.name))
        case CampaignState.PAUSED:
            said = f"the campaign is {paused(facts.pause_reasons)}"
            return Shut(said, remedy=Command("campaign", "resume", facts.name))
        case CampaignState.FINISHED:
            return Shut("the campaign was stopped")


@_of_campaign
def _pause(facts: CampaignFacts, now: datetime) -> Answer:
    if not facts.pause_reasons:
        return "not paused"
    # While its texts fail, resuming would only fail again.
    words = ("edit", facts.name, "FILE") if CONTENT_ERRORS in facts.pause_reasons else ("resume", facts.name)
    return Shut(paused(facts.pause_reasons), remedy=Command("campaign", *words))


def _within(window: DeliveryWindow | None, now: datetime) -> Answer:
    if window is None:
        return "no window of its own"
    opens = next_open(window, now)
    if opens is None:
        return Shut(window.unusable or "the delivery window never opens")
    if opens <= now:
        return "inside the delivery window"
    return Shut(f"the delivery window opens at {_from(opens)}", opens)


@_of_campaign
def _campaign_window(facts: CampaignFacts, now: datetime) -> Answer:
    return _within(facts.window, now)


@_of_mailbox
def _workspace(facts: MailboxFacts, now: datetime) -> Answer:
    if facts.obstacle is None:
        return "nothing holds the whole workspace back"
    return Shut(facts.obstacle.reason, remedy=facts.obstacle.remedy)


@_of_mailbox
def _connection(facts: MailboxFacts, now: datetime) -> Answer:
    if facts.connection is ConnectionState.CONNECTED:
        return "connected"
    because = f": {reasons.heard(facts.connection_error)}" if facts.connection_error else ""
    state = "has failed" if facts.connection is ConnectionState.FAILED else "is disconnected"
    return Shut(f"the mailbox {state}{because}", remedy=_reconnection(facts))


def _reconnection(facts: MailboxFacts) -> Command:
    """The command that brings a mailbox back, its place in rotations (C8) and its paused campaigns (C6)."""
    rejoin = ("--rejoin",) if facts.may_rejoin else ()
    resume = ("--resume",) if facts.may_rejoin or facts.pauses_campaign else ()
    return sign_in(facts.connection, facts.address, *rejoin, *resume)


@_of_mailbox
def _user(facts: MailboxFacts, now: datetime) -> Answer:
    if facts.locked_user is None:
        return "its user is active"
    return Shut("its user is locked", remedy=Command("user", "unlock", facts.locked_user))


@_of_mailbox
def _rest(facts: MailboxFacts, now: datetime) -> Answer:
    if facts.paused_at is None:
        return "the mailbox is not paused"
    since = _since(facts.paused_at)
    return Shut(f"the mailbox is paused since {since}", remedy=Command("mailbox", "resume", facts.address))


@_of_mailbox
def _hold(facts: MailboxFacts, now: datetime) -> Answer:
    if facts.hold_reason is None or not facts.is_on_hold(now):
        return "no hold"
    said = held(facts.hold_class, facts.hold_reason)
    releasing = Command("mailbox", "release", facts.address)
    if facts.hold_class == REFUSALS:
        undoing = Command("mailbox", "release", facts.address, "--undo-refusals")
        return Shut(said, remedy=Hint(undoing, "(or", releasing, "if the recipients do not exist)"))
    return Shut(said, facts.hold_until, releasing)


def _unless_notice(decide: Decider) -> Decider:
    """Limits of a day bind everything but notices to users (C10)."""
    return lambda at, now: None if at.message is not None and at.message.is_notice else decide(at, now)


@_unless_notice
@_of_mailbox
def _daily_limit(facts: MailboxFacts, now: datetime) -> Answer:
    if facts.daily_limit <= 0:
        raising = Command("mailbox", "set", facts.address, "--daily-limit", "N")
        return Shut("the daily limit is 0", remedy=raising)
    if now >= facts.day_ends_at:
        return f"a new day: 0 of {facts.daily_limit} sent"
    ramp = "" if facts.ramp_day is None else f", day {facts.ramp_day} of the ramp-up"
    count = f"{facts.sent_today} of {facts.daily_limit} sent today{ramp}"
    return count if facts.sent_today < facts.daily_limit else Shut(count, facts.day_ends_at)


@_unless_notice
@_of_mailbox
def _slot_cap(facts: MailboxFacts, now: datetime) -> Answer:
    if facts.daily_cap <= 0:
        return Shut("the plan's daily cap is 0", remedy=Command("plan", "set", "--daily-cap", "N"))
    if now >= facts.day_ends_at:
        return f"a new day: 0 of the plan's {facts.daily_cap} sent from this slot"
    count = f"{facts.slot_sent_today} of the plan's {facts.daily_cap} sent from this slot today"
    return count if facts.slot_sent_today < facts.daily_cap else Shut(count, facts.day_ends_at)


@_of_mailbox
def _provider_limit(facts: MailboxFacts, now: datetime) -> Answer:
    full = [
        (use.full_since + use.period, use.description)
        for use in facts.rolling
        if use.full_since is not None and now < use.full_since + use.period
    ]
    if not full:
        return "within the provider's limits"
    until, description = max(full)
    return Shut(f"the provider's limit is used up: {description}", until)


@_of_mailbox
def _gap(facts: MailboxFacts, now: datetime) -> Answer:
    ends_at = facts.next_send_at
    if ends_at is None or now >= ends_at:
        return "the gap since the last message has passed"
    return Shut(f"the gap after the last message ends at {_from(ends_at)}", ends_at)


def _message(at: Situation, now: datetime) -> Answer | None:
    if (facts := at.message) is None:
        return None
    because = f": {reasons.heard(facts.last_error)}" if facts.last_error else ""
    name = f"m_{facts.id}"
    match facts.state:
        case MessageState.SCHEDULED:
            return "the message is scheduled"
        case MessageState.ERROR:
            again = _way_back(at) or Command("outbox", "retry", name)
            if facts.unfit_campaign is not None:
                edited = Command("campaign", "edit", facts.unfit_campaign, "FILE")
                return Shut(f"the message cannot be written{because}", remedy=Hint(edited, ", then", again))
            return Shut(f"the message is in error{because}", remedy=again)
        case MessageState.HELD:
            settled = Hint(Command("outbox", "resolve", name, "--sent"), "(or --not-sent)")
            return Shut(f"the message is held{because}", remedy=settled)
        case state:
            return Shut(f"the message is {_STATE_SAYS.get(state, state)}{because}")


def _way_back(at: Situation) -> Command | None:
    """The command that brings a message's mailbox back, and then its place in the campaign (C8, C15)."""
    if at.mailbox is None or at.mailbox.connection is not ConnectionState.CONNECTED:
        return None if at.mailbox is None else _reconnection(at.mailbox)
    if at.campaign is None or at.message is None or not at.message.sender_is_away:
        return None
    return Command("campaign", "sender", "add", at.campaign.name, at.mailbox.address)


_STATE_SAYS = {
    MessageState.DRAFT: "a draft",
    MessageState.SENDING: "being sent",
    MessageState.SENT: "already sent",
}


@_of_message
def _assignment(facts: MessageFacts, now: datetime) -> Answer:
    if facts.is_assigned:
        return "a mailbox is assigned"
    if facts.lack is not None:
        return Shut(f"no mailbox is assigned yet: {facts.lack.reason}", remedy=facts.lack.remedy)
    return Shut("no mailbox is assigned yet", remedy=Command("mailbox", "connect", "ADDRESS"))


def _grace(at: Situation, now: datetime) -> Answer | None:
    if at.message is None or at.campaign is None or at.mailbox is None:
        return None
    if not at.message.sender_is_away:
        return "its mailbox is a sender of the campaign"
    said = "its mailbox left the campaign when it was disconnected, and has not been added again"
    return Shut(said, remedy=_way_back(at))


@_of_message
def _recipient(facts: MessageFacts, now: datetime) -> Answer:
    state = facts.recipient
    if state is None:
        return "not a message of a campaign"
    if state in OPEN_RECIPIENTS:
        return f"the recipient is {state}"
    verb = "is" if state is RecipientState.STOPPED else "has"
    return Shut(f"the recipient {verb} {ended(state, facts.recipient_reason)}")


@_of_message
def _suppression(facts: MessageFacts, now: datetime) -> Answer:
    if facts.suppression is None:
        return "not suppressed"
    suppressed, reason = facts.suppression
    # No command is offered against the wish of a recipient, or a server's word that there is none.
    remedy = Command("suppression", "remove", suppressed) if reason == BY_HAND else None
    return Shut(f"{suppressed} is suppressed: {spoken(reason)}", remedy=remedy)


@_of_message
def _due(facts: MessageFacts, now: datetime) -> Answer:
    if now >= facts.due_at:
        return f"due since {_since(facts.due_at)}"
    return Shut(f"due at {_from(facts.due_at)}", facts.due_at)


@_of_message
def _recipient_window(facts: MessageFacts, now: datetime) -> Answer:
    return _within(facts.window, now)


@_of_message
def _retry(facts: MessageFacts, now: datetime) -> Answer:
    if now >= facts.ready_at or facts.ready_at <= facts.due_at:
        return "no retry pending"
    at, said = _from(facts.ready_at), facts.last_error
    return Shut(f"retry at {at} after: {reasons.heard(said)}" if said else f"not before {at}", facts.ready_at)


def inbox_is_read(mailbox: MailboxFacts) -> bool:
    """Whether follow-ups may leave this mailbox: the whole lane's answer of the gate `inbox` (H5)."""
    return mailbox.inbox_failing_since is None and mailbox.inbox_read_at is not None


def _inbox(at: Situation, now: datetime) -> Answer | None:
    mailbox = at.mailbox
    if mailbox is None or at.message is None:
        return None
    if not at.message.is_follow_up:
        return "not a follow-up"
    if mailbox.inbox_failing_since is not None:
        because = f": {reasons.heard(mailbox.inbox_error)}" if mailbox.inbox_error else ""
        said = f"the inbox cannot be read since {_since(mailbox.inbox_failing_since)}{because}"
        return Shut(said, remedy=Command("mailbox", "test", mailbox.address))
    if mailbox.inbox_read_at is None:
        return Shut("the inbox has not been read yet", remedy=Command("run", "--once"))
    return f"the inbox was read at {_since(mailbox.inbox_read_at)}"


def _overdue(at: Situation, now: datetime) -> Answer | None:
    if (facts := at.message) is None:
        return None
    if facts.late_since is None or facts.released_at is not None:
        return "not late"
    why = "and parked by a user" if facts.is_parked else "because no runner was running"
    name = "NAME" if at.campaign is None else at.campaign.name
    which = ("--campaign", name) if facts.id is None else (f"m_{facts.id}",)
    late = f"late since {_since(facts.late_since)} {why}; release it to send it"
    return Shut(late, remedy=Command("outbox", "release", *which))


class Scope(IntEnum):
    """What a gate depends on; the first two have the same answer for every message of a lane and campaign."""

    CAMPAIGN = 1
    MAILBOX = 2
    RECIPIENT = 3


class Cause(Enum):
    """What closes a gate."""

    # A window, a limit or a pause between two tries: time opens it.
    TIME = auto()
    # A person did, and a person opens it.
    PERSON = auto()
    # Something is wrong: until it is mended, nothing can be sent.
    TROUBLE = auto()
    # The message is not waiting, or its recipient has ended: this is told before any other gate.
    STATE = auto()


class Gate(StrEnum):
    """Every gate, in the order in which they are asked; the value is its name in JSON.

    `deed` is what the acting user must be allowed, where running the remedy takes more than their own seat.
    """

    scope: Scope
    cause: Cause
    answer: Decider
    deed: Deed | None

    CAMPAIGN = "campaign", Scope.CAMPAIGN, Cause.PERSON, _campaign
    PAUSE = "pause", Scope.CAMPAIGN, Cause.PERSON, _pause
    WINDOW = "window", Scope.CAMPAIGN, Cause.TIME, _campaign_window
    WORKSPACE = "workspace", Scope.MAILBOX, Cause.TROUBLE, _workspace, Deed.SETTINGS
    CONNECTION = "connection", Scope.MAILBOX, Cause.TROUBLE, _connection
    USER = "user", Scope.MAILBOX, Cause.TROUBLE, _user, Deed.USERS
    REST = "rest", Scope.MAILBOX, Cause.PERSON, _rest
    HOLD = "hold", Scope.MAILBOX, Cause.TROUBLE, _hold
    DAILY_LIMIT = "daily_limit", Scope.MAILBOX, Cause.TIME, _daily_limit
    SLOT_CAP = "slot_cap", Scope.MAILBOX, Cause.TIME, _slot_cap, Deed.PLAN
    PROVIDER_LIMIT = "provider_limit", Scope.MAILBOX, Cause.TIME, _provider_limit
    GAP = "gap", Scope.MAILBOX, Cause.TIME, _gap
    MESSAGE = "message", Scope.RECIPIENT, Cause.STATE, _message
    ASSIGNMENT = "assignment", Scope.RECIPIENT, Cause.TROUBLE, _assignment
    GRACE = "grace", Scope.RECIPIENT, Cause.TROUBLE, _grace
    RECIPIENT = "recipient", Scope.RECIPIENT, Cause.STATE, _recipient
    SUPPRESSION = "suppression", Scope.RECIPIENT, Cause.PERSON, _suppression, Deed.UNSUPPRESS
    DUE = "due", Scope.RECIPIENT, Cause.TIME, _due
    # Before `retry`: a closed window also puts the row off, and is then the reason to name.
    RECIPIENT_WINDOW = "recipient_window", Scope.RECIPIENT, Cause.TIME, _recipient_window
    RETRY = "retry", Scope.RECIPIENT, Cause.TIME, _retry
    INBOX = "inbox", Scope.RECIPIENT, Cause.TROUBLE, _inbox
    OVERDUE = "overdue", Scope.RECIPIENT, Cause.TROUBLE, _overdue

    def __new__(
        cls, name: str, scope: Scope, cause: Cause, answer: Decider, deed: Deed | None = None
    ) -> "Gate":
        gate = str.__new__(cls, name)
        gate._value_ = name
        gate.scope, gate.cause, gate.answer, gate.deed = scope, cause, answer, deed
        return gate
