"""Host passes and lanes in threads, and handle signals.

`run --once` works every due lane once and returns. `run` lets APScheduler tick; each tick hands due lanes to
threads and does not wait for them, so that a slow server delays only its own lane.

After the first SIGTERM or SIGINT every message in flight is finished and recorded (H2). A second one ends the
process at once, which the outbox survives: a message past its final dot is then `held`.
"""

import logging
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import FrameType

from mailrotate.core.rules import clock_trust
from mailrotate.core.services.context import Context
from mailrotate.core.services.running import passes
from mailrotate.core.services.running.passes import Outlook, Work
from mailrotate.core.services.sending import dealing, webhook_posting
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.store.sending import liveness
from mailrotate.core.store.sending.liveness import LivingRunner
from mailrotate.core.values.clock import Clock, monotonic_seconds, seconds_since_boot
from mailrotate.core.values.errors import ClockTrouble

# A tick or a look for news that takes longer than its interval would be told on the screen.
logging.getLogger("apscheduler").addHandler(logging.NullHandler())
# Lanes wait for servers nearly all the time, so threads cost little.
_MOST_LANES_AT_ONCE = 64
# Apart from the lanes: an endpoint that does not answer must not take a lane's thread.
_MOST_ENDPOINTS_AT_ONCE = 16
_MOST_TROUBLES = 100
KILLED_BY_SECOND_SIGNAL = 130
# Seconds between two looks for news to show.
_NEWS_EVERY = 1


@dataclass
class Report:
    """Counts of the lanes' work, and the latest trouble beyond single messages.

    `broken` are the mailboxes whose lanes ended in an error the last time. Its size is bounded: `run` may
    run for months.
    """

    tally: Counter[str] = field(default_factory=Counter)
    troubles: deque[Exception] = field(default_factory=lambda: deque(maxlen=_MOST_TROUBLES))
    outlook: Outlook = field(default_factory=Outlook)
    broken: set[int] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        """The counts by their stable names."""
        return {name: self.tally[name] for name in passes.COUNTED}


class Host:
    """Runs passes in this process and calls `tell` with each trouble as it happens."""

    def __init__(
        self, context: Context, clock: Clock, only: Work | None, tell: Callable[[Exception], None]
    ) -> None:
        self.report = Report()
        self._stop = threading.Event()
        # A reading can be broken off without harm, and a server may take minutes to answer.
        self._context = replace(
            context, provider=lambda name: context.provider(name).heeding(self._stop.is_set)
        )
        self._clock = clock
        self._only = only
        self._tell = tell
        self._working: set[int] = set()
        # In which the last tick ended.
        self._lasting: Exception | None = None
        self._posting: set[int] = set()
        self._runner: LivingRunner
        self._ends_at: datetime | None = None
        self._guard = threading.Lock()
        # One thread shows the news at a time.
        self._news = threading.Lock()

    def once(self, machine: str) -> Report:
        """Run one pass over everything due. Raises Busy, KeyTrouble, ClockTrouble, StoreTrouble."""
        with self._alive("once", machine):
            now, steady = self._clock(), monotonic_seconds()
            self._begin(now)
            for future in self._start_lanes(passes.lanes_due(self._context, now, self._only), False):
                future.result()
            # After the lanes, whose work may have shown that a mailbox failed.
            for future in self._start_lanes(self._plan_notices(), False, Work.NOTIFY):
                future.result()
            for future in self._start_posts(self._clock()):
                future.result()
            # Not by the wall clock: after a refused clock jump, every other runner would wait for it.
            ended_at = now + timedelta(seconds=monotonic_seconds() - steady)
            passes.conclude(self._context, ended_at, self._only)
            self.report.outlook = passes.outlook(self._context, ended_at)
        return self.report

    def serve(
        self, machine: str, every: timedelta, end_after: timedelta | None, after_tick: Callable[[], None]
    ) -> Report:
        """Tick until a signal comes or `end_after` is over. Raises Busy."""
        from apscheduler.schedulers.background import BackgroundScheduler

        with self._alive("loop", machine, end_after):
            scheduler = BackgroundScheduler(
                job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
            )

            scheduler.add_job(
                self._tick,
                "interval",
                (machine, after_tick),
                seconds=every.total_seconds(),
                next_run_time=self._clock(),
            )
            scheduler.add_job(self._look, "interval", (after_tick,), seconds=_NEWS_EVERY)
            scheduler.start()
            self._stop.wait(None if end_after is None else end_after.total_seconds())
            self._stop.set()
            scheduler.shutdown(wait=True)
            self._pool.shutdown(wait=True)
            self._post_pool.shutdown(wait=True)
            after_tick()
        return self.report

    def _tick(self, machine: str, after_tick: Callable[[], None]) -> None:
        """Look once for due lanes. Report an error once, however many ticks end in it."""
        try:
            now = self._clock()
            if not self._runner.is_alive():
                # Other runners consider the old entry dead and take its lanes; register again.
                self._runner = self._registered("loop", now, machine)
            self._begin(now)
            self._plan_notices()
            self._start_lanes(passes.lanes_due(self._context, now, self._only), True)
            self._start_posts(now)
            passes.conclude(self._context, now, self._only)
            with self._news:
                after_tick()
            if self._lasting is not None:
                passes.note_recovery(self._context, self._lasting, now)
                self._lasting = None
        except Exception as trouble:  # noqa: BLE001  the tick's edge: the loop outlives any one failure
            if _kind_of(trouble) != _kind_of(self._lasting):
                self._note(trouble)
            self._lasting = trouble

    def _look(self, after_tick: Callable[[], None]) -> None:
        """Show between two ticks what the lanes did; what breaks is reported by the next tick."""
        with suppress(Exception), self._news:
            after_tick()

    def _begin(self, now: datetime) -> None:
        self._count(passes.begin(self._context, now, self._only))
        if passes.sends(self._only):
            dealing.deal(self._context, now)

    def _count(self, tally: Counter[str]) -> None:
        with self._guard:
            self.report.tally.update(tally)

    def _start_lanes(self, due: list[int], linger: bool, only: Work | None = None) -> list[Future[None]]:
        with self._guard:
            fresh = [mailbox_id for mailbox_id in due if mailbox_id not in self._working]
            self._working.update(fresh)
        work = only or self._only
        return [self._pool.submit(self._work, self._runner, mailbox_id, linger, work) for mailbox_id in fresh]

    def _plan_notices(self) -> list[int]:
        try:
            return passes.plan_notices(self._context, self._clock, self._only)
        except Exception as trouble:  # noqa: BLE001  notices must not keep mail from being sent
            self._note(trouble)
            return []

    def _start_posts(self, now: datetime) -> list[Future[None]]:
        due = passes.endpoints_due(self._context, now, self._only)
        with self._guard:
            fresh = [webhook_id for webhook_id in due if webhook_id not in self._posting]
            self._posting.update(fresh)
        return [self._post_pool.submit(self._post, self._runner, webhook_id) for webhook_id in fresh]

    def _post(self, runner: LivingRunner, webhook_id: int) -> None:
        try:
            posted = webhook_posting.post_due(
                self._context, runner.id, webhook_id, self._clock, self._stop.is_set
            )
            self._count(Counter(posted=posted))
        except Exception as trouble:  # noqa: BLE001  one endpoint's failure is not the others'
            self._note(trouble)
        finally:
            with self._guard:
                self._posting.discard(webhook_id)

    def _work(self, runner: LivingRunner, mailbox_id: int, linger: bool, only: Work | None) -> None:
        try:
            self._count(passes.work_lane(self._context, runner.id, mailbox_id, self._pace(linger), only))
        except Exception as trouble:  # noqa: BLE001  one lane's failure is not the others'
            self._note(trouble)
            self._note_work(mailbox_id, trouble)
        else:
            self._note_work(mailbox_id, None)
        finally:
            with self._guard:
                self._working.discard(mailbox_id)

    def _note_work(self, mailbox_id: int, trouble: Exception | None) -> None:
        with self._guard:
            self.report.broken.discard(mailbox_id)
            if trouble is not None:
                self.report.broken.add(mailbox_id)
        try:
            passes.note_work(self._context, mailbox_id, trouble, self._clock())
        except Exception as other:  # noqa: BLE001  the database may be the trouble; the next pass notes it
            self._note(other)

    def _pace(self, linger: bool) -> Pace:
        most = passes.most_clock_jump(self._context)
        wall, since_boot = self._clock(), seconds_since_boot()

        def trusted() -> bool:
            moved = timedelta(seconds=seconds_since_boot() - since_boot)
            distrust = clock_trust.judge_pace(self._clock() - wall, moved, most)
            if distrust is not None:
                self._note(ClockTrouble(distrust.code, f"{distrust.reason}; this turn sends nothing more"))
            return distrust is None

        return Pace(
            clock=self._clock,
            wait=self._stop.wait,
            stopping=self._stop.is_set,
            trusted=trusted,
            linger=linger,
            tell=self._tell,
        )

    def _note(self, trouble: Exception) -> None:
        self.report.troubles.append(trouble)
        self._tell(trouble)

    @contextmanager
    def _alive(self, kind: str, machine: str, end_after: timedelta | None = None) -> Iterator[None]:
        """Hold the life lock (on SQLite, be the only runner) and handle signals."""
        with liveness.sole_host(self._context.store), self._heeding_signals():
            now = self._clock()
            self._ends_at = None if end_after is None else now + end_after
            self._runner = self._registered(kind, now, machine)
            self._pool = ThreadPoolExecutor(_MOST_LANES_AT_ONCE, thread_name_prefix="lane")
            self._post_pool = ThreadPoolExecutor(_MOST_ENDPOINTS_AT_ONCE, thread_name_prefix="webhook")
            try:
                yield
            finally:
                self._stop.set()
                self._pool.shutdown(wait=True)
                self._post_pool.shutdown(wait=True)
                self._runner.end(self._clock())

    def _registered(self, kind: str, now: datetime, machine: str) -> LivingRunner:
        return liveness.register(
            self._context.store, kind, now, machine, only=self._only, ends_at=self._ends_at
        )

    @contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        def heed(_number: int, _frame: FrameType | None) -> None:
            if self._stop.is_set():
                os._exit(KILLED_BY_SECOND_SIGNAL)
            self._stop.set()

        before = {number: signal.signal(number, heed) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _kind_of(trouble: Exception | None) -> object:
    """By its code where it has one: the words count the seconds of a clock that is off."""
    return getattr(trouble, "code", type(trouble))
