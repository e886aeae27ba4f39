"""What needs an act although something is sent: said below the headline of `status` (F5)."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.headline_words import counted, more, past
from mailrotate.core.rules.outages import server_down
from mailrotate.core.rules.runner_watch import missing_runner
from mailrotate.core.rules.sign_in import sign_in
from mailrotate.core.rules.world import Campaign, Code, Trouble, World
from mailrotate.core.values import reasons
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import CampaignState, ConnectionState

# A next message within this belongs to a running series; a later one is waited for.
SOON = timedelta(minutes=10)
Asked = Callable[[World, datetime], Trouble | None]


def busiest_paused(campaigns: Sequence[Campaign]) -> Campaign | None:
    """The paused campaign that the headline names: one with something due before the others, then the one
    with the most open recipients."""
    paused = [one for one in campaigns if one.state is CampaignState.PAUSED]
    return max(paused, key=lambda campaign: (campaign.is_due, campaign.open), default=None)


def first_draft(campaigns: Sequence[Campaign]) -> Campaign | None:
    """The draft that the headline names: one with recipients before the others."""
    drafts = [one for one in campaigns if one.state is CampaignState.DRAFT]
    return max(drafts, key=lambda draft: draft.open > 0, default=None)


def is_paused(one: Campaign, campaigns: Sequence[Campaign]) -> str:
    alike = [each for each in campaigns if each.state is CampaignState.PAUSED and each.open]
    return f"{one.name} is {reasons.paused(one.pause_reasons)}{more(alike, 'more campaign')}"


def grace(world: World, now: datetime) -> Trouble | None:
    """The hour of a disconnected mailbox that ends first."""
    running = [(*lane.grace, lane.address) for lane in world.lanes if lane.grace is not None]
    if not running:
        return None
    campaign, ends_at, address = min(running, key=lambda one: one[1])
    says = f"{address} is disconnected; its hour in {campaign} ends at {past(ends_at)}{more(running)}"
    return Trouble(Code.NO_SENDER, says, Command("mailbox", "connect", address, "--rejoin", "--resume"))


def broken(world: World, now: datetime) -> Trouble | None:
    broken = [lane for lane in world.waiting if lane.broke_by]
    if not broken:
        return None
    first = broken[0]
    says = f"{first.address}: its last pass ended in an unexpected failure ({first.broke_by}){more(broken)}"
    return Trouble(Code.LANE_DOWN, says, seen_closer(first.address, world.machine.runner_works))


def seen_closer(address: str, runner_works: bool) -> Command:
    """The command that shows more of a failure; beside a runner that works, a second one is refused."""
    return Command("log", "--mailbox", address) if runner_works else Command("run", "--once", "--debug")


def away(world: World, now: datetime) -> Trouble | None:
    """A mailbox that is not connected, or whose user is locked."""
    return _unable(world, (ConnectionState.FAILED, ConnectionState.DISCONNECTED))


def failed(world: World, now: datetime) -> Trouble | None:
    """As `away`, without disconnected mailboxes: while others send, the headline leaves them out."""
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


def paused_beside(world: World, now: datetime) -> Trouble | None:
    """A paused campaign with something due, while none of the others sends now: they hide it."""
    one = busiest_paused(world.campaigns)
    if one is None or not one.is_due or any(lane.goes(now + SOON) for lane in world.waiting):
        return None
    resume = one.way_on or Command("campaign", "resume", one.name)
    return Trouble(Code.PAUSED, is_paused(one, world.campaigns), resume)


def kept_beside(world: World, now: datetime) -> Trouble | None:
    """A mailbox that is paused or on hold, unless another one sends now."""
    kept = [lane for lane in world.waiting if lane.is_kept and lane.state is ConnectionState.CONNECTED]
    if not kept or any(lane.goes(now + SOON) for lane in world.waiting):
        return None
    first, cause = kept[0], kept[0].cause
    assert cause is not None
    way = cause.remedy if cause.gate is Gate.REST else None
    says = f"{first.address}: {cause.reason}{more(kept)}"
    return Trouble(Code.PAUSED, says, way or Command("why", first.address))


def errors(world: World, now: datetime) -> Trouble | None:
    if not world.errors:
        return None
    says = f"{counted(world.errors, 'message')} in error"
    return Trouble(Code.ERRORS, says, Command("outbox", "list", "--state", "error"))


def held(world: World, now: datetime) -> Trouble | None:
    if not world.held:
        return None
    says = f"{counted(world.held, 'message')} may or may not have left"
    return Trouble(Code.HELD, says, Command("outbox", "list", "--state", "held"))


def _runner(world: World, now: datetime) -> Trouble | None:
    return missing_runner(world.machine, now) if world.waiting else None


def _warned(world: World, now: datetime) -> Trouble | None:
    return next(iter(world.machine.warnings), None)


NOTICES: tuple[Asked, ...] = (
    grace,
    _runner,
    broken,
    server_down,
    failed,
    _content,
    paused_beside,
    kept_beside,
    errors,
    held,
    _warned,
)
