"""The headline of `status`: is it sending, and if not why (F5).

What stops all sending is asked in the order of `_STOPS`, from the machine inwards to single messages: the
headline names the one thing that the operator must act on first. Where nothing stops it, the headline says
when the next message goes, with the first of `_NOTICES`. The facts are in `world.py`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.sign_in import sign_in
from mailrotate.core.rules.world import Campaign, Code, Lane, Machine, Outage, Trouble, World
from mailrotate.core.values import reasons
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import CampaignState, ConnectionState

# Cron passes by every minute; without a pass for longer than this, no runner runs.
PASS_IS_RECENT = timedelta(minutes=2)
# A next message within this belongs to a running series; a later one is waited for.
_SOON = timedelta(minutes=10)
_UP_TO_DATE = "up to date: everything due has been sent"
# A mailbox that is away may have messages due too.
_ELSE_UP_TO_DATE = "everything else due has been sent"
# Up to here people read "in 12 min" faster than an instant.
_COUNTED_DOWN = timedelta(minutes=90)


@dataclass(frozen=True)
class Headline:
    """`text` is the whole line, with instants in RFC 3339; `command` is what to run next."""

    code: Code
    text: str
    sending: bool
    command: AnyHint


Asked = Callable[[World, datetime], Trouble | None]


def headline(world: World, now: datetime) -> Headline:
    """The one line that answers: is it sending, and if not why."""
    for ask in _STOPS:
        stop = ask(world, now)
        if stop is not None:
            return Headline(stop.code, f"not sending: {stop.says}", False, stop.command)
    return _flow(world, now)


def stops_all(machine: Machine, now: datetime) -> Trouble | None:
    """What keeps every message back although its own gates are open."""
    order = list(Code)
    trouble = min(machine.troubles, key=lambda each: order.index(each.code), default=None)
    if trouble is not None or machine.runner_works:
        return trouble
    if machine.last_pass_at is None:
        since = "no runner has run yet"
    elif now - machine.last_pass_at > PASS_IS_RECENT:
        since = f"no runner since {_past(machine.last_pass_at)}"
    else:
        return None
    return Trouble(Code.NO_RUNNER, f"{since}; run it or install the cron line", Command("run", "--once"))


def down(lane: Lane, all_lanes: Sequence[Lane] = ()) -> Trouble | None:
    """Trouble with a server of this mailbox; with all lanes, those that miss it are counted."""
    outage = lane.smtp or lane.imap
    if outage is None:
        return None
    found = [(each, known) for each in all_lanes or (lane,) if (known := _outages(each, outage.host))]
    lanes = {outage.host: [each for each, _ in found]}
    return _outage(lanes, [one for _, known in found for one in known], bool(all_lanes))


def _outages(lane: Lane, host: str) -> list[Outage]:
    return [one for one in (lane.smtp, lane.imap) if one is not None and one.host == host]


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
        found = _server_down(world, now)
        return found if found is not None and found.code is Code.OFFLINE else down(first, world.lanes)
    if bound.gate is Gate.CONNECTION:
        return _grace(world, now) or _away(world, now)
    code = _STUCK.get(bound.gate, Code.NO_SENDER)
    return Trouble(code, f"{first.address}: {bound.reason}", Command("why", first.address))


_STUCK: Mapping[Gate, Code] = {
    Gate.REST: Code.PAUSED,
    Gate.HOLD: Code.HELD,
    Gate.OVERDUE: Code.HELD,
    Gate.WINDOW: Code.ERRORS,
    Gate.INBOX: Code.SERVER_DOWN,
}


def busiest_paused(campaigns: Sequence[Campaign]) -> Campaign | None:
    """The paused campaign with the most open recipients: the one that the headline names."""
    paused = [one for one in campaigns if one.state is CampaignState.PAUSED]
    return max(paused, key=lambda campaign: campaign.open, default=None)


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
    return Trouble(code, f"{one.name} is {reasons.paused(one.pause_reasons)}", one.way_on or resume)


def _without_sender(world: World, now: datetime) -> Trouble | None:
    """Nothing waits in any lane, because no mailbox is able to take the recipients that are open."""
    if world.waiting or any(lane.state is ConnectionState.CONNECTED for lane in world.lanes):
        return None
    return _grace(world, now) or _away(world, now)


def _no_runner(world: World, now: datetime) -> Trouble | None:
    return stops_all(world.machine, now) if world.waiting else None


def _all_broken(world: World, now: datetime) -> Trouble | None:
    return _broken(world, now) if all(lane.broke_by for lane in world.waiting) else None


def _all_down(world: World, now: datetime) -> Trouble | None:
    """No mailbox that would send now can reach its server; one at its daily limit would not."""
    due = [lane for lane in world.waiting if lane.is_due(now + _SOON)] or world.waiting
    pressing = [lane for lane in due if lane.goes(now + _SOON)] or due
    return _server_down(world, now) if pressing and all(lane.smtp for lane in pressing) else None


def _only_errors(world: World, now: datetime) -> Trouble | None:
    return None if world.waiting else _errors(world, now) or _held(world, now)


_STOPS: tuple[Asked, ...] = (
    _of_machine,
    _no_mailbox,
    _stuck,
    _paused,
    _without_sender,
    _no_runner,
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
    says = f"{address} is disconnected; its hour in {campaign} ends at {_past(ends_at)}"
    return Trouble(Code.NO_SENDER, says, Command("mailbox", "connect", address, "--rejoin", "--resume"))


def _broken(world: World, now: datetime) -> Trouble | None:
    lane = next((lane for lane in world.waiting if lane.broke_by), None)
    if lane is None:
        return None
    says = f"{lane.address}: its last pass ended in an unexpected failure ({lane.broke_by})"
    return Trouble(Code.LANE_DOWN, says, Command("run", "--once", "--debug"))


def _server_down(world: World, now: datetime) -> Trouble | None:
    """The servers that cannot be used: of those that send before those that are read."""
    for outages in ([lane.smtp for lane in world.lanes], [lane.imap for lane in world.lanes]):
        known = [outage for outage in outages if outage is not None]
        lanes = defaultdict[str, list[Lane]](list)
        for lane, outage in zip(world.lanes, outages, strict=True):
            if outage is not None:
                lanes[outage.host].append(lane)
        if known:
            return _offline(world, known) or _outage(lanes, known)
    return None


def _offline(world: World, known: Sequence[Outage]) -> Trouble | None:
    """This machine, when several servers are known and no connected mailbox reaches its own (C2)."""
    connected = [lane for lane in world.lanes if lane.state is ConnectionState.CONNECTED]
    is_one_server = len({outage.host for outage in known}) == 1
    if is_one_server or len(known) < len(connected) or any(outage.refuses for outage in known):
        return None
    says = f"no mail server can be reached{_since(known)}; check the network of this machine"
    return Trouble(Code.OFFLINE, says, Command("mailbox", "test", "--all"))


def _outage(lanes: Mapping[str, Sequence[Lane]], outages: Sequence[Outage], counts: bool = True) -> Trouble:
    """The server that most mailboxes miss, and how many more there are."""
    host = max(lanes, key=lambda each: len(lanes[each]))
    of_host = [outage for outage in outages if outage.host == host]
    others = f" and {_counted(len(lanes) - 1, 'more server')}" if len(lanes) > 1 else ""
    missed = f" ({_counted(len(lanes[host]), 'mailbox', 'mailboxes')})" if counts else ""
    does, said = of_host[0].words
    says = f"{host} {does}{_since(of_host)}{missed}{others}{said}"
    return Trouble(Code.SERVER_DOWN, says, Command("mailbox", "test", lanes[host][0].address))


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
    by_user = shut.remedy if shut.gate is Gate.USER else None
    more = f" (and {_counted(len(unable) - 1, 'more mailbox', 'more mailboxes')})" if len(unable) > 1 else ""
    says = f"{lane.address}: {shut.reason}{more}"
    return Trouble(Code.NO_SENDER, says, by_user or sign_in(lane.state, lane.address))


def _content(world: World, now: datetime) -> Trouble | None:
    one = next((one for one in world.campaigns if reasons.CONTENT_ERRORS in one.pause_reasons), None)
    if one is None:
        return None
    edited = Command("campaign", "edit", one.name, "FILE")
    return Trouble(Code.ERRORS, f"{one.name} is {reasons.paused(one.pause_reasons)}", edited)


def _errors(world: World, now: datetime) -> Trouble | None:
    if not world.errors:
        return None
    says = f"{_counted(world.errors, 'message')} in error"
    return Trouble(Code.ERRORS, says, Command("outbox", "list", "--state", "error"))


def _held(world: World, now: datetime) -> Trouble | None:
    if not world.held:
        return None
    says = f"{_counted(world.held, 'message')} may or may not have left"
    return Trouble(Code.HELD, says, Command("outbox", "list", "--state", "held"))


def _warned(world: World, now: datetime) -> Trouble | None:
    return next(iter(world.machine.warnings), None)


_NOTICES: tuple[Asked, ...] = (_grace, _broken, _server_down, _failed, _content, _errors, _held, _warned)


# --- while something is sent


def _flow(world: World, now: datetime) -> Headline:
    notice = next((found for ask in _NOTICES if (found := ask(world, now))), None)
    is_one_away = notice is not None and notice.code is Code.NO_SENDER
    all_sent = _ELSE_UP_TO_DATE if is_one_away else _UP_TO_DATE
    waiting = world.waiting
    if not waiting:
        code, text, command = _idle(world, all_sent)
    else:
        code, text, command = _ongoing(world, waiting[0], now, all_sent)
    if notice is None:
        return Headline(code, text, bool(waiting), command)
    return Headline(notice.code, f"{text}; {notice.says}", bool(waiting), notice.command)


def _ongoing(world: World, first: Lane, now: datetime, all_sent: str) -> tuple[Code, str, AnyHint]:
    decision, at = first.decision, first.next_at
    assert decision is not None
    command = Command("log", "--follow") if world.machine.runner_works else Command("run")
    counts = _counts(world)
    if at is None:
        # An inbox that was never read: the runner that works, or the next pass, reads it first.
        return Code.WAITING, f"waiting: {decision.summary}; {counts}", command
    if not first.is_due(now + _SOON):
        return Code.NOTHING_DUE, f"{all_sent}; next at {_ahead(at)}; {counts}", command
    if at - now > _SOON and first.gate is not Gate.GAP:
        why = _WAITS.get(first.gate, decision.summary) if first.gate else decision.summary
        return Code.WAITING, f"waiting: {why}; next at {_ahead(at)}; {counts}", command
    if not world.machine.runner_works and world.machine.last_pass_at is not None:
        return Code.SENDING, f"sending: {counts}, more with the next run", command
    return Code.SENDING, f"sending: {counts}, next {_next(at, now)}", command


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
        says = f"not sending: {draft.name} is a draft"
        return Code.NOTHING_DUE, says, Command("campaign", "start", draft.name)
    if world.campaigns:
        says = f"up to date: every campaign is finished; {_counts(world)}"
        return Code.NOTHING_DUE, says, Command("campaign", "create", "FILE")
    return Code.NOTHING_DUE, "not sending: there is no campaign", Command("campaign", "create", "FILE")


# --- words


def _counts(world: World) -> str:
    replies = f", {_counted(world.replies_today, 'reply', 'replies')}" if world.replies_today else ""
    return f"{world.sent_today} today{replies}"


def _counted(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _next(at: datetime, now: datetime) -> str:
    rest = at - now
    if rest <= timedelta():
        return "now"
    if rest <= timedelta(seconds=90):
        return f"in {max(1, round(rest.total_seconds()))} s"
    return f"in {round(rest / timedelta(minutes=1))} min" if rest <= _COUNTED_DOWN else f"at {_ahead(at)}"


def _since(outages: Iterable[Outage]) -> str:
    known = [outage.since for outage in outages if outage.since is not None]
    return f" since {_past(min(known))}" if known else ""


def _ahead(at: datetime) -> str:
    """A future instant, rounded up to the minute that people read: never too early."""
    start = at.replace(second=0, microsecond=0)
    return rfc3339(start if start == at else start + timedelta(minutes=1))


def _past(at: datetime) -> str:
    """An instant in the past, or a deadline: never too late."""
    return rfc3339(at.replace(microsecond=0))
