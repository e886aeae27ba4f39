"""What `why` answers: the gates of one thing that waits, and the answer in a sentence."""

from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.rules.decision import Verdict
from mailrotate.core.rules.gates import Cause, Gate
from mailrotate.core.values.hint import AnyHint


@dataclass(frozen=True)
class ExplainedGate:
    """One gate's answer; `mailbox` where a campaign's senders are told apart."""

    gate: Gate
    open: bool
    reason: str
    until: datetime | None
    mailbox: str | None = None


@dataclass(frozen=True)
class Explanation:
    """What holds `subject` back; `summary` is the answer in a sentence."""

    subject: str
    next_at: datetime | None
    binding: Gate | None
    gates: tuple[ExplainedGate, ...]
    summary: str
    # The command that opens the binding gate, where only an act does.
    remedy: AnyHint | None = None
    # How many messages of its mailbox are due before it: `next_at` is then the earliest instant.
    ahead: int = 0
    # No runner works now: whatever the instant, the next run sends it.
    needs_run: bool = False

    @property
    def closed(self) -> list[ExplainedGate]:
        """The gates that hold it back; once it is over, only the one that says so."""
        closed = [gate for gate in self.gates if not gate.open]
        if self.binding is not None and self.binding.cause is Cause.STATE and self.remedy is None:
            return [gate for gate in closed if gate.gate is self.binding]
        # Where both are closed, both name the reasons of the pause.
        is_told = any(gate.gate is Gate.CAMPAIGN for gate in closed)
        return [gate for gate in closed if not is_told or gate.gate is not Gate.PAUSE]


def shown(verdict: Verdict, mailbox: str | None = None) -> ExplainedGate:
    return ExplainedGate(verdict.gate, verdict.open, verdict.reason, verdict.until, mailbox)
