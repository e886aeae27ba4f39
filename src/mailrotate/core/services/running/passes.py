"""One pass over everything that is due: what `run --once` does, and `run` again and again (H1, H4).

A pass checks clock and key, recovers from dead runners, then works each lane in a thread of the host.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from mailrotate.core.rules.decision import first_closed
from mailrotate.core.rules.gates import Cause
from mailrotate.core.rules.situation import Situation
from mailrotate.core.services import periods
from mailrotate.core.services.access import accounts
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import clock_guard, facts
from mailrotate.core.services.effects import connection_errors, grace_periods
from mailrotate.core.services.effects.door import acting
from mailrotate.core.services.sending import (
    health,
    marking,
    notice_planning,
    planning,
    recovery,
    settling,
    webhook_posting,
)
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.services.sending.rendering import StepCache
from mailrotate.core.services.sending.turn import LaneTurn
from mailrotate.core.store import events, mailboxes, workspaces
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.sending import cut_off_messages, due, lanes, sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.values.clock import Clock
from mailrotate.core.values.errors import MailrotateError
from mailrotate.core.values.states import ConnectionState

COUNTED = (
    "sent", "failed", "deferred", "held", "stopped", "reassigned", "tested", "tests_failed",
    "replies", "bounces", "unsubscribes", "enrolled", "notified", "posted",
)  # fmt: skip


class Work(StrEnum):
    """Optional limits of a pass."""

    DEADLINES = "deadlines"
    SEND = "send"
    SYNC = "sync"
    TEST = "test"
    NOTIFY = "notify"


def sends(only: Work | None) -> bool:
    """Whether a pass with this limit sends campaigns."""
    return only in (None, Work.SEND)


def begin(context: Context, now: datetime, only: Work | None = None) -> Counter[str]:
    """Check clock, key and mark, note an absence, settle what dead runners left and the deadlines
    that have passed; return the counts.

    Raises ClockTrouble, KeyTrouble: both are this process's own fault, no mailbox is touched. Raises Refused
    (`workspace.behind`, `workspace.elsewhere`, `workspace.restored`): what left is to be compared first.
    """
    clock_guard.check_clock(context, now)
    accounts.prove_key(context)
    marking.begin_pass(context)
    # First, because a dead runner worked until the pass that is noted now at the latest.
    held = recovery.recover(context, now)
    _note_pass(context, now, only)
    with context.store.writing_alone() as connection:
        settled = grace_periods.apply_passed(connection, now)
    return Counter(held=held, stopped=settled.stopped, reassigned=settled.reassigned)


def _note_pass(context: Context, now: datetime, only: Work | None) -> None:
    """Note what the next pass is compared with, and a gap that is longer than the allowed lateness (H4)."""
    with context.store.writing() as connection:
        absence = facts.absence_until(connection, now) if sends(only) else None
        if absence is not None:
            workspaces.note_absence(connection, *absence)
        _note_instant(connection, now, only)
        clock_guard.note_boot(context, connection, now)


def _note_instant(connection: Connection, now: datetime, only: Work | None) -> None:
    workspace = workspaces.find(connection)
    if workspace is None:
        return
    known = {"last_pass_at": workspace.last_pass_at}
    if sends(only):
        known["last_sending_pass_at"] = workspace.last_sending_pass_at
    later = {name: now for name, at in known.items() if at is None or now > at}
    if later:
        workspaces.change(connection, **later)


def lanes_due(context: Context, now: datetime, only: Work | None = None) -> list[int]:
    """List the mailboxes that have work at `now`."""
    with context.store.reading() as connection:
        found: list[int] = []
        if only in (None, Work.TEST):
            found += health.due_for_test(connection, now, periods.period(connection, "test_every"))
        if only is Work.NOTIFY:
            found += due.notice_lanes(connection, now)
        if only in (None, Work.SEND, Work.SYNC):
            found += due.lanes_with_work(connection, now)
        if only in (None, Work.SEND):
            found += due.lanes_away(connection, now)
    return sorted(set(found))


def most_clock_jump(context: Context) -> timedelta:
    """How far the wall clock may move against the time since boot while a lane is worked (F6)."""
    with context.store.reading() as connection:
        return periods.period(connection, "clock_jump")


def work_lane(
    context: Context, runner_id: int, mailbox_id: int, pace: Pace, only: Work | None = None
) -> Counter[str]:
    """Take one lane, test its connection if due, read its inbox, send, and free the lane.

    Do nothing if another runner has the lane. Raises KeyTrouble, StoreTrouble, Busy.
    """
    with context.store.writing() as connection:
        lane = settling.take_lane(connection, mailbox_id, runner_id, pace.clock())
    if lane is None:
        return Counter()
    try:
        return _work(context, lane, pace, only)
    finally:
        with context.store.writing() as connection:
            lanes.release(connection, lane)


def plan_notices(context: Context, clock: Clock, only: Work | None = None) -> list[int]:
    """Plan the notices to users that are due; return the mailboxes that have some to send."""
    if only not in (None, Work.NOTIFY):
        return []
    notice_planning.plan(context, clock())
    with context.store.reading() as connection:
        # Asked again: planning may have waited for a lock, and a notice is ready from its own instant on.
        return due.notice_lanes(connection, clock())


def endpoints_due(context: Context, now: datetime, only: Work | None = None) -> list[int]:
    """List the webhook endpoints that have something to be told of at `now`."""
    return webhook_posting.due(context, now) if only in (None, Work.NOTIFY) else []


def _work(context: Context, lane: Lane, pace: Pace, only: Work | None) -> Counter[str]:
    tally: Counter[str] = Counter()
    now = pace.clock()
    with context.store.reading() as connection:
        tests = health.due_for_test(connection, now, periods.period(connection, "test_every"))
    if only in (None, Work.TEST) and lane.mailbox_id in tests:
        tested = health.test(context, lane, now)
        tally["tested"] += 1
        tally["tests_failed"] += not tested.passed
    with context.store.reading() as connection:
        box = mailboxes.by_id(connection, lane.mailbox_id)
    if box.state is not ConnectionState.CONNECTED and only in (None, Work.SEND):
        _plan_away(context, lane, now)
    if only is Work.TEST or box.state is not ConnectionState.CONNECTED:
        return tally
    turn = LaneTurn(context, lane, pace)
    if only is Work.NOTIFY:
        return tally + turn.notify()
    return tally + (turn.sync() if only is Work.SYNC else turn.run())


def _plan_away(context: Context, lane: Lane, now: datetime) -> None:
    """Plan what a mailbox that is away would send, as errors that say so (C15)."""
    planning.plan_lane(context, lane, StepCache(), now)
    with acting(context, now) as (connection, now):
        connection_errors.cut_off_if_away(connection, mailboxes.by_id(connection, lane.mailbox_id), now)


def note_work(context: Context, mailbox_id: int, trouble: Exception | None, now: datetime) -> None:
    """Record for `status` and the log that a lane's work ended in an error, or that it works again."""
    if trouble is None:
        with context.store.reading() as connection:
            if mailbox_id not in lanes.broken(connection):
                return
    broke_by = _told(trouble)
    with context.store.writing() as connection:
        if lanes.note_work(connection, mailbox_id, None if trouble is None else broke_by, now) and trouble:
            events.record(connection, RUNNER, "lane.broke", now, About(mailbox_id), reason=broke_by)


def note_recovery(context: Context, trouble: Exception, now: datetime) -> None:
    """Record for the log that passes go on after one or more that ended in an error."""
    with context.store.writing() as connection:
        events.record(connection, RUNNER, "runner.recovered", now, About(), reason=_told(trouble))


def _told(trouble: Exception | None) -> str:
    """Our own errors have words without secrets; of a defect only its kind is told."""
    return str(trouble) if isinstance(trouble, MailrotateError) else type(trouble).__name__


def conclude(context: Context, now: datetime, only: Work | None = None) -> None:
    """Note how far the runners have come."""
    with context.store.writing() as connection:
        _note_instant(connection, now, only)


@dataclass(frozen=True)
class Outlook:
    """`nobody_can_send`: everything due waits for a user's action. `unreadable` are the mailboxes whose
    follow-ups wait because the inbox cannot be read."""

    nobody_can_send: bool = False
    unreadable: tuple[str, ...] = ()
    failed_count: int = 0


def outlook(context: Context, now: datetime) -> Outlook:
    """Find out whether everything due waits for a user's action."""
    with context.store.reading() as connection:
        cut_off = cut_off_messages.lanes_due(connection, now)
        ready = sorted({*due.lanes_ready(connection, now), *cut_off})
        stuck = {mailbox_id for mailbox_id in ready if _is_stuck(connection, mailbox_id, now)}
        with_others = due.lanes_ready(connection, now, follow_ups=False)
        others = {*stuck, *with_others}
        boxes = [sending_mailboxes.by_id(connection, lane) for lane in ready if lane not in others]
        failed = [box for box in mailboxes.listing(connection) if box.state is ConnectionState.FAILED]
    unreadable = [box for box in boxes if box.inbox.failing_since is not None]
    nobody = bool(ready) and len(stuck) + len(unreadable) == len(ready)
    return Outlook(nobody, tuple(box.address for box in unreadable), len(failed))


def _is_stuck(connection: Connection, mailbox_id: int, now: datetime) -> bool:
    known = facts.mailbox_facts(connection, sending_mailboxes.by_id(connection, mailbox_id), now)
    shut = first_closed(Situation(None, known, None), now)
    return shut is not None and shut.gate.cause is Cause.TROUBLE
