"""The headline of `status`: is it sending, and if not why (F5).

What stops all sending is asked in the order of `_STOPS`, from the machine inwards to single messages: the
headline names the one thing that the operator must act on first. Where nothing stops it, the headline says
when the next message goes, with the first of `_NOTICES`. The facts are in `world.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mailrotate.core.rules.decision import Verdict
from mailrotate.core.rules.gates import Gate, Scope
from mailrotate.core.rules.headline_words import ahead, countdown, counted, more, past
from mailrotate.core.rules.outages import down, server_down
from mailrotate.core.rules.runner_watch import missing_runner, stops_all
from mailrotate.core.rules.sign_in import sign_in
from mailrotate.core.rules.world import Campaign, Code, Lane, Trouble, World
from mailrotate.core.values import reasons
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import CampaignState, ConnectionState

# A next message within this belongs to a running series; a later one is waited for.
_SOON = timedelta(minutes=10)
_UP_TO_DATE = "up to date: everything due has been sent"
# A mailbox that is away may have messages due too.
_ELSE_UP_TO_DATE = "everything else due has been sent"


@dataclass(frozen=True)
class Headline:
    """`line` says the first cause, `beside` what else is wrong, with instants in RFC 3339; `command` is what
    to run next."""

    code: Code
    line: str
    beside: tuple[str, ...]
    sending: bool
    command: AnyHint

    @property
    def text(self) -> str:
        return "; ".join((self.line, *self.beside))


Asked = Callable[[World, datetime], Trouble | None]


def headline(world: World, now: datetime) -> Headline:
    """The one line that answers: is it sending, and if not why."""
    for ask in _STOPS:
        stop = ask(world, now)
        if stop is not None:
            beside = tuple(_beside(world, stop, now))
            return Headline(stop.code, f"not sending: {stop.says}", beside, False, stop.command)
    return _flow(world, now)


def _beside(world: World, stop: Trouble, now: datetime) -> Iterator[str]:
    """What stays wrong once the stop is over: a server until it was used with success, a failed mailbox."""
    down_too = server_down(world, now) if stop.code is Code.PAUSED else None
    if down_too is not None:
        yield down_too.says
    failed = sum(lane.state is ConnectionState.FAILED for lane in world.lanes)
    if failed and stop.code in (Code.SERVER_DOWN, Code.OFFLINE):
        yield f"{counted(failed, 'mailbox has', 'mailboxes have')} failed"


# --- what stops everything


def _of_machine(world: World, now: datetime) -> Trouble | None:
    return stops_all(replace(world.machine, runner_works=True), now)


def _no_mailbox(world: World, now: datetime) -> Trouble | None:
    if world.lanes:
        return None
    return Trouble(Code.NO_SENDER, "no mailbox is connected", Command("mailbox", "connect", "ADDRESS"))


def _stuck(world: World, now: datetime) -> Trouble | None:
    """Something waits, and only an act lets any of it go."""
    first = next(iter(world.waiting), None)
    if first is None or first.decision is None or first.decision.next_at is not None:
        return None
    bound = first.decision.bound
    if bound is not None and bound.gate is Gate.OVERDUE and (stop := _no_runner(world, now)):
        # The next pass parks it: that no runner runs is the cause, and comes first.
        return stop
    if bound is None or (bound.gate is Gate.INBOX and bound.remedy == Command("run", "--once")):
        return _no_runner(world, now)
    if bound.gate is Gate.INBOX and first.imap is not None:
        found = server_down(world, now)
        return found if found is not None and found.code is Code.OFFLINE else down(first, world.lanes)
    if bound.gate is Gate.CONNECTION:
        return _grace(world, now) or _away(world, now)
    code = _STUCK.get(bound.gate, Code.NO_SENDER)
    alike = [lane for lane in world.waiting if lane.gate is bound.gate]
    says = f"{first.address}: {bound.reason}{more(alike)}"
    return Trouble(code, says, _way_of(bound) or Command("why", first.address))


def _way_of(bound: Verdict) -> AnyHint | None:
    """The command that opens a mailbox's gate, unless only some users may run it; what a hold is about is
    read before it is released."""
    gate = bound.gate
    is_plain = gate.scope is Scope.MAILBOX and gate.deed is None and gate is not Gate.HOLD
    return bound.remedy if is_plain else None


_STUCK: Mapping[Gate, Code] = {
    Gate.REST: Code.PAUSED,
    Gate.HOLD: Code.HELD,
    Gate.OVERDUE: Code.HELD,
    Gate.WINDOW: Code.ERRORS,
    Gate.INBOX: Code.SERVER_DOWN,
}


def busiest_paused(campaigns: Sequence[Campaign]) -> Campaign | None:
    """The paused campaign that the headline names: one with something due before the others, then the one
    with the most open recipients."""
    paused = [one for one in campaigns if one.state is CampaignState.PAUSED]
    return max(paused, key=lambda campaign: (campaign.is_due, campaign.open), default=None)


def _is_paused(one: Campaign, campaigns: Sequence[Campaign]) -> str:
    alike = [each for each in campaigns if each.state is CampaignState.PAUSED and each.open]
    return f"{one.name} is {reasons.paused(one.pause_reasons)}{more(alike, 'more campaign')}"


def _paused(world: World, now: datetime) -> Trouble | None:
    """Every campaign with open recipients is paused: at most a notice or a test message waits in a lane."""
    running = any(one.state is CampaignState.ACTIVE and one.open for one in world.campaigns)
    one = busiest_paused(world.campaigns)
    if running or one is None or (world.waiting and not one.open):
        return None
    away = {reasons.MAILBOX_DISCONNECTED, reasons.MAILBOX_FAILED, reasons.NO_SENDER} & {*one.pause_reasons}
    resume = Command("campaign", "resume", one.name)
    # A campaign that can be resumed has another sender: the mailbox that is away does not stop it.
    if away and one.way_on != resume and (stop := _grace(world, now) or _away(world, now)):
        return stop
    code = Code.ERRORS if reasons.CONTENT_ERRORS in one.pause_reasons else Code.PAUSED
    return Trouble(code, _is_paused(one, world.campaigns), one.way_on or resume)


def _without_sender(world: World, now: datetime) -> Trouble | None:
    """Nothing waits in any lane, because no mailbox is able to take the recipients that are open."""
    if world.waiting or any(lane.state is ConnectionState.CONNECTED for lane in world.lanes):
        return None
    return _grace(world, now) or _away(world, now)


def _no_runner(world: World, now: datetime) -> Trouble | None:
    return stops_all(world.machine, now) if world.waiting else None


def _needs_runner(world: World, now: datetime) -> Trouble | None:
    """Something would go now; a window, a limit or a date that is waited for comes before the runner."""
    return _no_runner(world, now) if any(lane.goes(now + _SOON) for lane in world.waiting) else None


def _all_broken(world: World, now: datetime) -> Trouble | None:
    return _broken(world, now) if all(lane.broke_by for lane in world.waiting) else None


def _all_down(world: World, now: datetime) -> Trouble | None:
    """No mailbox that would send now can reach its server; one at its daily limit would not."""
    due = [lane for lane in world.waiting if lane.is_due(now + _SOON)] or world.waiting
    pressing = [lane for lane in due if lane.goes(now + _SOON)] or due
    return server_down(world, now) if pressing and all(lane.smtp for lane in pressing) else None


def _only_errors(world: World, now: datetime) -> Trouble | None:
    return None if world.waiting else _errors(world, now) or _held(world, now)


_STOPS: tuple[Asked, ...] = (
    _of_machine,
    _no_mailbox,
    _stuck,
    _paused,
    _without_sender,
    _needs_runner,
    _all_broken,
    _all_down,
    _only_errors,
)


# --- what needs an act although something is sent


def _grace(world: World, now: datetime) -> Trouble | None:
    """The hour of a disconnected mailbox that ends first."""
    running = [(*lane.grace, lane.address) for lane in world.lanes if lane.grace is not None]
    if not running:
        return None
    campaign, ends_at, address = min(running, key=lambda one: one[1])
    says = f"{address} is disconnected; its hour in {campaign} ends at {past(ends_at)}{more(running)}"
    return Trouble(Code.NO_SENDER, says, Command("mailbox", "connect", address, "--rejoin", "--resume"))


def _broken(world: World, now: datetime) -> Trouble | None:
    broken = [lane for lane in world.waiting if lane.broke_by]
    if not broken:
        return None
    first = broken[0]
    says = f"{first.address}: its last pass ended in an unexpected failure ({first.broke_by}){more(broken)}"
    return Trouble(Code.LANE_DOWN, says, seen_closer(first.address, world.machine.runner_works))


def seen_closer(address: str, runner_works: bool) -> Command:
    """The command that shows more of a failure; beside a runner that works, a second one is refused."""
    return Command("log", "--mailbox", address) if runner_works else Command("run", "--once", "--debug")


def _away(world: World, now: datetime) -> Trouble | None:
    """A mailbox that is not connected, or whose user is locked."""
    return _unable(world, (ConnectionState.FAILED, ConnectionState.DISCONNECTED))


def _failed(world: World, now: datetime) -> Trouble | None:
    """As `_away`, but a mailbox that was disconnected on purpose is no news while others send."""
    return _unable(world, (ConnectionState.FAILED,))


def _unable(world: World, states: Sequence[ConnectionState]) -> Trouble | None:
    unable = [
        (lane, lane.shut)
        for lane in world.lanes
        if lane.shut is not None and (lane.state in states or lane.shut.gate is Gate.USER)
    ]
    if not unable:
        return None
    lane, shut = unable[0]
    says = f"{lane.address}: {shut.reason}{more(unable)}"
    return Trouble(Code.NO_SENDER, says, shut.remedy or sign_in(lane.state, lane.address))


def _content(world: World, now: datetime) -> Trouble | None:
    one = next((one for one in world.campaigns if reasons.CONTENT_ERRORS in one.pause_reasons), None)
    if one is None:
        return None
    edited = Command("campaign", "edit", one.name, "FILE")
    return Trouble(Code.ERRORS, f"{one.name} is {reasons.paused(one.pause_reasons)}", edited)


def _paused_beside(world: World, now: datetime) -> Trouble | None:
    """A paused campaign with something due, while none of the others sends now: they hide it."""
    one = busiest_paused(world.campaigns)
    if one is None or not one.is_due or any(lane.goes(now + _SOON) for lane in world.waiting):
        return None
    resume = one.way_on or Command("campaign", "resume", one.name)
    return Trouble(Code.PAUSED, _is_paused(one, world.campaigns), resume)


def _errors(world: World, now: datetime) -> Trouble | None:
    if not world.errors:
        return None
    says = f"{counted(world.errors, 'message')} in error"
    return Trouble(Code.ERRORS, says, Command("outbox", "list", "--state", "error"))


def _held(world: World, now: datetime) -> Trouble | None:
    if not world.held:
        return None
    says = f"{counted(world.held, 'message')} may or may not have left"
    return Trouble(Code.HELD, says, Command("outbox", "list", "--state", "held"))


def _runner(world: World, now: datetime) -> Trouble | None:
    return missing_runner(world.machine, now) if world.waiting else None


def _warned(world: World, now: datetime) -> Trouble | None:
    return next(iter(world.machine.warnings), None)


_NOTICES: tuple[Asked, ...] = (
    _grace,
    _runner,
    _broken,
    server_down,
    _failed,
    _content,
    _paused_beside,
    _errors,
    _held,
    _warned,
)


# --- while something is sent


def _flow(world: World, now: datetime) -> Headline:
    notice = next((found for ask in _NOTICES if (found := ask(world, now))), None)
    is_kept = any(ask(world, now) for ask in (_grace, _failed, _paused_beside))
    all_sent = _ELSE_UP_TO_DATE if is_kept else _UP_TO_DATE
    waiting = world.waiting
    if not waiting:
        code, line, command = _idle(world, all_sent)
    else:
        code, line, command = _ongoing(world, waiting[0], now, all_sent)
    if notice is None:
        return Headline(code, line, (), bool(waiting), command)
    sends = bool(waiting) and missing_runner(world.machine, now) is None
    return Headline(notice.code, line, (notice.says,), sends, notice.command)


def _ongoing(world: World, first: Lane, now: datetime, all_sent: str) -> tuple[Code, str, AnyHint]:
    decision, at, machine = first.decision, first.next_at, world.machine
    assert decision is not None
    command = Command("log", "--follow") if machine.runner_works else Command("run")
    counts = _counts(world)
    if at is None:
        # An inbox that was never read: the runner that works, or the next pass, reads it first.
        return Code.WAITING, f"waiting: {decision.summary}; {counts}", command
    if not first.is_due(now + _SOON):
        return Code.NOTHING_DUE, f"{all_sent}; next at {ahead(at)}; {counts}", command
    if at - now > _SOON and first.gate is not Gate.GAP:
        why = _WAITS.get(first.gate, decision.summary) if first.gate else decision.summary
        return Code.WAITING, f"waiting: {why}; next at {ahead(at)}; {counts}", command
    if not machine.runner_works and machine.last_pass_at is not None:
        # Cron makes the next run, or a person must: nothing here tells which.
        last = past(machine.last_pass_at)
        return (
            Code.SENDING,
            f"between runs: {counts}, more with the next run; the last was at {last}",
            command,
        )
    then = f"next {countdown(at, now)}" if at > now else "more with the next pass"
    return Code.SENDING, f"sending: {counts}, {then}", command


# The reasons of other gates say it without the instant, which follows.
_WAITS: Mapping[Gate, str] = {
    Gate.WINDOW: "outside the delivery window",
    Gate.RECIPIENT_WINDOW: "outside the recipient's delivery window",
    Gate.DAILY_LIMIT: "the daily limit is reached",
    Gate.SLOT_CAP: "the plan's daily cap is reached",
}


def _idle(world: World, all_sent: str) -> tuple[Code, str, AnyHint]:
    """Nothing waits in any lane, and nothing stops it: all is done, or there is nothing to do."""
    active = next((one for one in world.campaigns if one.state is CampaignState.ACTIVE), None)
    draft = next((one for one in world.campaigns if one.state is CampaignState.DRAFT), None)
    if active is not None:
        command = Command("campaign", "show", active.name)
        return Code.NOTHING_DUE, f"{all_sent}; {_counts(world)}", command
    if draft is not None:
        if not draft.open:
            says = f"not sending: {draft.name} is a draft without recipients"
            return Code.NOTHING_DUE, says, Command("recipient", "import", draft.name, "FILE")
        says = f"not sending: {draft.name} is a draft"
        return Code.NOTHING_DUE, says, Command("campaign", "start", draft.name)
    if world.campaigns:
        says = f"not sending: every campaign was stopped; {_counts(world)}"
        return Code.NOTHING_DUE, says, Command("campaign", "create", "FILE")
    return Code.NOTHING_DUE, "not sending: there is no campaign", Command("campaign", "create", "FILE")


# --- words


def _counts(world: World) -> str:
    replies = f", {counted(world.replies_today, 'reply', 'replies')}" if world.replies_today else ""
    return f"{world.sent_today} today{replies}"
