"""What stops all sending: what the headline of `status` names first (F5)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from mailrotate.core.rules.decision import Verdict
from mailrotate.core.rules.gates import Gate, Scope
from mailrotate.core.rules.headline_notices import (
    SOON,
    Asked,
    away,
    broken,
    busiest_paused,
    errors,
    first_draft,
    grace,
    held,
    is_paused,
)
from mailrotate.core.rules.headline_words import more
from mailrotate.core.rules.outages import down, server_down
from mailrotate.core.rules.runner_watch import stops_all
from mailrotate.core.rules.world import Code, Trouble, World
from mailrotate.core.values import reasons
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import CampaignState, ConnectionState


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
        return grace(world, now) or away(world, now)
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


def _paused(world: World, now: datetime) -> Trouble | None:
    """Every campaign with open recipients is paused: at most a notice or a test message waits in a lane."""
    running = any(one.state is CampaignState.ACTIVE and one.open for one in world.campaigns)
    one = busiest_paused(world.campaigns)
    if running or one is None or not one.open:
        return None
    missing = {reasons.MAILBOX_DISCONNECTED, reasons.MAILBOX_FAILED, reasons.NO_SENDER} & {*one.pause_reasons}
    resume = Command("campaign", "resume", one.name)
    # A campaign that can be resumed has another sender: the mailbox that is away does not stop it.
    if missing and one.way_on != resume and (stop := grace(world, now) or away(world, now)):
        return stop
    code = Code.ERRORS if reasons.CONTENT_ERRORS in one.pause_reasons else Code.PAUSED
    return Trouble(code, is_paused(one, world.campaigns), one.way_on or resume)


def _without_sender(world: World, now: datetime) -> Trouble | None:
    """Nothing waits in any lane, because no mailbox is able to take the recipients that are open."""
    if world.waiting or any(lane.state is ConnectionState.CONNECTED for lane in world.lanes):
        return None
    return grace(world, now) or away(world, now)


def _no_runner(world: World, now: datetime) -> Trouble | None:
    stop = stops_all(world.machine, now) if world.waiting else None
    if stop is None or stop.command != Command("run", "--once"):
        return stop
    next_at = world.waiting[0].next_at
    # One pass would send nothing yet.
    is_early = next_at is not None and next_at > now
    return replace(stop, command=Command("run")) if is_early else stop


def _needs_runner(world: World, now: datetime) -> Trouble | None:
    """Something would go now; a window, a limit or a date that is waited for comes before the runner."""
    return _no_runner(world, now) if any(lane.goes(now + SOON) for lane in world.waiting) else None


def _all_broken(world: World, now: datetime) -> Trouble | None:
    return broken(world, now) if all(lane.broke_by for lane in world.waiting) else None


def _all_down(world: World, now: datetime) -> Trouble | None:
    """No mailbox that would send now can reach its server; one at its daily limit would not."""
    due = [lane for lane in world.waiting if lane.is_due(now + SOON)] or world.waiting
    pressing = [lane for lane in due if lane.goes(now + SOON)]
    return server_down(world, now) if pressing and all(lane.smtp for lane in pressing) else None


def _only_errors(world: World, now: datetime) -> Trouble | None:
    return None if world.waiting else errors(world, now) or held(world, now)


def _only_a_draft(world: World, now: datetime) -> Trouble | None:
    draft = first_draft(world.campaigns)
    if draft is None or world.waiting or any(one.state in STARTED for one in world.campaigns):
        return None
    says = f"{draft.name} is a draft{'' if draft.open else ' without recipients'}"
    return Trouble(Code.NOTHING_DUE, says, draft.way_on or Command("campaign", "start", draft.name))


STARTED = (CampaignState.ACTIVE, CampaignState.PAUSED)
STOPS: tuple[Asked, ...] = (
    _of_machine,
    _no_mailbox,
    _stuck,
    _paused,
    _without_sender,
    _needs_runner,
    _all_broken,
    _all_down,
    _only_errors,
    _only_a_draft,
)
