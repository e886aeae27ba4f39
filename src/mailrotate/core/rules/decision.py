"""The decision over all gates, which planning, sending, `why` and `status` share."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrotate.core.rules.gates import Answer, Gate, Scope
from mailrotate.core.rules.situation import Situation
from mailrotate.core.values.clock import next_whole_second
from mailrotate.core.values.hint import AnyHint

# Hot path: iterating an enum and reading its members' attributes is slow.
_GATES = tuple((gate, gate.answer) for gate in Gate)


@dataclass(frozen=True)
class Verdict:
    """One gate's answer: `until` is rounded up to a whole second; see `Shut`."""

    gate: Gate
    open: bool
    reason: str
    until: datetime | None = None
    remedy: AnyHint | None = None


@dataclass(frozen=True)
class Decision:
    """All gates at one instant, and when all will open by themselves (None: only by a user's action)."""

    gates: tuple[Verdict, ...]
    next_at: datetime | None
    binding: Gate | None
    # The address of the mailbox that sends.
    mailbox: str | None = None

    @property
    def open(self) -> bool:
        return all(verdict.open for verdict in self.gates)

    @property
    def bound(self) -> Verdict | None:
        """The binding gate's answer now, or the first closed one's while the binding gate is still open."""
        closed = [verdict for verdict in self.gates if not verdict.open]
        return next((verdict for verdict in closed if verdict.gate is self.binding), next(iter(closed), None))

    @property
    def summary(self) -> str:
        """One sentence: why it waits, or that it may go."""
        return "nothing holds it back" if self.bound is None else self.bound.reason

    @property
    def summary_of_mailbox(self) -> str:
        """The summary where several mailboxes may be meant: it names the one that holds the message back."""
        is_of_mailbox = self.bound is not None and self.bound.gate in _OF_MAILBOX
        return f"{self.mailbox}: {self.summary}" if self.mailbox and is_of_mailbox else self.summary


_OF_MAILBOX = frozenset(gate for gate in Gate if gate.scope is Scope.MAILBOX) - {Gate.WORKSPACE} | {
    Gate.INBOX
}

# Windows, days and periods interlock; each round moves at least to the next opening of one of them.
_MAX_ROUNDS = 500
_SECOND = timedelta(seconds=1)


def _verdict(gate: Gate, answer: Answer) -> Verdict:
    if isinstance(answer, str):
        return Verdict(gate, True, answer)
    until = None if answer.until is None else next_whole_second(answer.until)
    return Verdict(gate, False, answer.reason, until, answer.remedy)


def verdicts(at: Situation, now: datetime) -> tuple[Verdict, ...]:
    """Every gate that applies, in order, at `now`."""
    answers = ((gate, ask(at, now)) for gate, ask in _GATES)
    return tuple(_verdict(gate, answer) for gate, answer in answers if answer is not None)


def first_closed(at: Situation, now: datetime) -> Verdict | None:
    """The first gate that is closed at `now`, or None when the message may go."""
    for gate, ask in _GATES:
        answer = ask(at, now)
        if answer is not None and not isinstance(answer, str):
            return _verdict(gate, answer)
    return None


def decide(at: Situation, now: datetime) -> Decision:
    """All gates now, and the first instant (whole seconds) from which all are open on these facts.

    `binding` is the gate that refuses one second before that instant; where only an act helps, the first
    gate that waits for one.
    """
    present = verdicts(at, now)
    mailbox = None if at.mailbox is None else at.mailbox.address
    instant: datetime = now
    closed = [verdict for verdict in present if not verdict.open]
    for _ in range(_MAX_ROUNDS):
        if not closed:
            shut = None if instant == now else first_closed(at, max(now, instant - _SECOND))
            return Decision(present, instant, None if shut is None else shut.gate, mailbox)
        without_end = [verdict for verdict in closed if verdict.until is None]
        if without_end:
            return Decision(present, None, without_end[0].gate, mailbox)
        instant = max(verdict.until for verdict in closed if verdict.until is not None)
        closed = [verdict for verdict in verdicts(at, instant) if not verdict.open]
    # Windows that are never open at the same time, for instance.
    return Decision(present, None, closed[-1].gate, mailbox)
