"""The headline of `status`: is it sending, and if not why (F5).

What stops all sending is asked in the order of `STOPS`, from the machine inwards to single messages: the
headline names the one thing that the operator must act on first. Where nothing stops it, the headline says
when the next message goes, with the first of `NOTICES` below it. The facts are in `world.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.headline_notices import (
    NOTICES,
    SOON,
    failed,
    first_draft,
    grace,
    kept_beside,
    paused_beside,
)
from mailrotate.core.rules.headline_stops import STARTED, STOPS
from mailrotate.core.rules.headline_words import ahead, countdown, counted, past
from mailrotate.core.rules.outages import server_down
from mailrotate.core.rules.runner_watch import missing_runner
from mailrotate.core.rules.world import Code, Lane, Trouble, World
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import ConnectionState

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


def headline(world: World, now: datetime) -> Headline:
    """The one line that answers: is it sending, and if not why."""
    for ask in STOPS:
        stop = ask(world, now)
        if stop is not None:
            beside = tuple(_beside(world, stop, now))
            return Headline(stop.code, f"not sending: {stop.says}", beside, False, stop.command)
    return _flow(world, now)


def _beside(world: World, stop: Trouble, now: datetime) -> Iterator[str]:
    """What stays wrong once the stop is over: a server until it was used with success, a failed mailbox."""
    down_too = server_down(world, now) if stop.code in (Code.PAUSED, Code.NO_RUNNER) else None
    if down_too is not None:
        yield down_too.says
    draft = first_draft(world.campaigns)
    if stop.code is Code.NOTHING_DUE and draft is not None:
        notice = _notice(world, now)
        if draft.open and draft.lack is not None:
            yield draft.lack
        elif notice is not None:
            yield notice.says
    count = sum(lane.state is ConnectionState.FAILED for lane in world.lanes)
    if count and stop.code in (Code.SERVER_DOWN, Code.OFFLINE):
        yield f"{counted(count, 'mailbox has', 'mailboxes have')} failed"


def _notice(world: World, now: datetime) -> Trouble | None:
    return next((found for ask in NOTICES if (found := ask(world, now))), None)


def _flow(world: World, now: datetime) -> Headline:
    notice = _notice(world, now)
    is_kept = any(ask(world, now) for ask in (grace, failed, paused_beside, kept_beside))
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
    if not first.is_due(now + SOON):
        return Code.NOTHING_DUE, f"{all_sent}; next at {ahead(at)}; {counts}", command
    if at - now > SOON and first.gate is not Gate.GAP:
        why = _WAITS.get(first.gate, decision.summary) if first.gate else decision.summary
        return Code.WAITING, f"waiting: {why}; next at {ahead(at)}; {counts}", command
    if not machine.runner_works and machine.last_pass_at is not None:
        # Cron makes the next run, or a person must: nothing here tells which.
        run = "the next run" if at <= now else f"a run from {ahead(at)}"
        says = f"between runs: {counts}, more with {run}; the last was at {past(machine.last_pass_at)}"
        return Code.SENDING, says, command
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
    # Nobody waits in a paused one: that was asked before.
    done = next((one for one in world.campaigns if one.state in STARTED), None)
    draft = first_draft(world.campaigns)
    if done is not None:
        show = Command("campaign", "show", done.name)
        command = show if draft is None or not draft.open else draft.way_on
        return Code.NOTHING_DUE, f"{all_sent}; {_counts(world)}", command or show
    if world.campaigns:
        says = f"not sending: every campaign was stopped; {_counts(world)}"
        return Code.NOTHING_DUE, says, Command("campaign", "create", "FILE")
    return Code.NOTHING_DUE, "not sending: there is no campaign", Command("campaign", "create", "FILE")


def _counts(world: World) -> str:
    replies = f", {counted(world.replies_today, 'reply', 'replies')}" if world.replies_today else ""
    return f"{world.sent_today} today{replies}"
