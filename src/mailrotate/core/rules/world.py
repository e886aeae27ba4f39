"""The facts of the world that the headline of `status` is made of (F5).

A new fact about the machine or the workspace (its key, its clock, its disk) is a `Trouble` in
`Machine.troubles`, at the place of its code in `Code`, or in `Machine.warnings` if it stops nothing. A new
fact about one mailbox is a field of `Lane` and a function in `headline_stops.py` or `headline_notices.py`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from mailrotate.core.rules.decision import Decision, Verdict
from mailrotate.core.rules.gates import Gate
from mailrotate.core.values.hint import AnyHint
from mailrotate.core.values.reasons import heard
from mailrotate.core.values.states import CampaignState, ConnectionState

_REFUSES = "refuses connections"
# What the network's words of a server mean.
_SIGNS = {
    "connection refused": _REFUSES,
    "has no address": "has no address",
    "timed out": "does not answer",
    "did not answer": "does not answer",
}
_NEVER = datetime.max.replace(tzinfo=UTC)


class Code(StrEnum):
    """What a headline is about: what stops everything first, from the machine inwards."""

    DISK_FULL = "disk_full"
    UNRECORDED = "unrecorded"
    CLOCK = "clock"
    NO_KEY = "no_key"
    RESTORED = "restored"
    NO_SENDER = "no_sender"
    HELD = "held"
    PAUSED = "paused"
    ERRORS = "errors"
    NO_RUNNER = "no_runner"
    LANE_DOWN = "lane_down"
    OFFLINE = "offline"
    SERVER_DOWN = "server_down"
    EXPOSED = "exposed"
    WAITING = "waiting"
    NOTHING_DUE = "nothing_due"
    SENDING = "sending"


@dataclass(frozen=True)
class Trouble:
    """Something that the operator must act on; `says` follows "not sending: "."""

    code: Code
    says: str
    command: AnyHint


@dataclass(frozen=True)
class Outage:
    """A server that cannot be used, in its own or the network's words; `since` where that is known."""

    host: str
    said: str
    since: datetime | None
    port: int | None = None

    @property
    def server(self) -> tuple[str, int | None]:
        """Two ports of a host may be two servers, of which one fails earlier."""
        return self.host, self.port

    @property
    def refuses(self) -> bool:
        return self.words[0] == _REFUSES

    @property
    def words(self) -> tuple[str, str]:
        """What the server does, and after it what it said where that is not enough."""
        does = next((words for sign, words in _SIGNS.items() if sign in self.said.lower()), None)
        return (does, "") if does else ("cannot be used", f": {heard(self.said)}")


@dataclass(frozen=True)
class Kept:
    """Why recipients of a lane wait for a user: their campaigns are paused, or their mailbox is away.

    `pause` is None if the mailbox is away.
    """

    pause: Verdict | None = None
    campaign_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Lane:
    """One mailbox: its closed gate, the decision on what may leave first (None: no pass looks for anything),
    and what is wrong with it. An outage lasts until the server was used with success."""

    address: str
    state: ConnectionState
    shut: Verdict | None = None
    decision: Decision | None = None
    kept: Kept | None = None
    smtp: Outage | None = None
    imap: Outage | None = None
    # The campaign and the end of a disconnected mailbox's hour there.
    grace: tuple[str, datetime] | None = None
    # The kind of error in which the last pass of this lane ended, where that was a defect.
    broke_by: str | None = None

    @property
    def next_at(self) -> datetime | None:
        return None if self.decision is None else self.decision.next_at

    @property
    def waits_for_act(self) -> bool:
        """Whether something waits here, and time alone lets none of it go."""
        return self.next_at is None and (self.decision is not None or self.kept is not None)

    @property
    def cause(self) -> Verdict | None:
        """What holds back what waits here: the one answer of `status` and `why`.

        Where only a person lets it go on, it is what the person must end: a gap or a limit passes by itself.
        """
        if self.decision is not None:
            return self.decision.bound
        needs_act = self.shut is not None and self.shut.until is None
        return self.shut if needs_act or self.kept is None else self.kept.pause

    @property
    def is_kept(self) -> bool:
        """Whether its first message would go now or after its gap, if a person ended what keeps it."""
        if self.decision is None or self.next_at is not None or self.gate is Gate.INBOX:
            return False
        closed = (verdict for verdict in self.decision.gates if not verdict.open)
        return all(verdict.until is None or verdict.gate is Gate.GAP for verdict in closed)

    @property
    def gate(self) -> Gate | None:
        """The gate that holds its first message back."""
        bound = None if self.decision is None else self.decision.bound
        return None if bound is None else bound.gate

    def is_due(self, by: datetime) -> bool:
        """Whether a message is due by then, whatever else holds it back."""
        return self.gate is not Gate.DUE or self.next_at is None or self.next_at <= by

    def goes(self, by: datetime) -> bool:
        """Whether its first message goes by then, or after its gap or the next try at its server."""
        retries = self.gate is Gate.HOLD and self.smtp is not None
        return retries or self.gate in (None, Gate.GAP) or (self.next_at is not None and self.next_at <= by)


@dataclass(frozen=True)
class Campaign:
    name: str
    state: CampaignState
    pause_reasons: tuple[str, ...] = ()
    # Recipients that have not ended.
    open: int = 0
    # Of a paused campaign: whether something would be due now.
    is_due: bool = False
    # What lets it go on while it is paused, or lets a draft begin.
    way_on: AnyHint | None = None
    # Why a draft cannot begin yet.
    lack: str | None = None


@dataclass(frozen=True)
class Machine:
    """What all mailboxes share: the troubles of the machine and the workspace, and the runner.

    `warnings` want an act too, but messages leave meanwhile. `runner_works`, `last_pass_at` and `ended_at`,
    the end of the latest runner where that is known, are about runners that send; `other_work` is what the
    living ones do if none of them sends.
    """

    troubles: tuple[Trouble, ...] = ()
    warnings: tuple[Trouble, ...] = ()
    runner_works: bool = False
    last_pass_at: datetime | None = None
    ended_at: datetime | None = None
    # No runner is to come back by itself, as cron's do: the latest one, a loop, was ended or died.
    loop_is_over: bool = False
    other_work: str | None = None


@dataclass(frozen=True)
class World:
    machine: Machine
    lanes: tuple[Lane, ...] = ()
    campaigns: tuple[Campaign, ...] = ()
    sent_today: int = 0
    replies_today: int = 0
    errors: int = 0
    held: int = 0

    @property
    def waiting(self) -> list[Lane]:
        """The lanes in which something waits, the one that may send first at the beginning."""
        found = [lane for lane in self.lanes if lane.decision is not None]
        return sorted(found, key=lambda lane: lane.next_at or _NEVER)
