"""Threads of one process share a transaction on SQLite: what they may rely on."""

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise

import pytest
from sqlalchemy import Connection, event, insert, select, text
from sqlalchemy.exc import IntegrityError

from mailrotate.core.store import engine, group_commit
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.group_commit import GroupWriter
from mailrotate.core.store.sending import send_mark
from mailrotate.core.values.errors import Busy, StoreTrouble

Block = Callable[[Connection], object]


class Threads:
    """Threads that queue behind a block in the order of their calls."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.pool = ThreadPoolExecutor(64)
        self.commits = 0
        event.listen(store.engine, "commit", self._count)

    def _count(self, connection: Connection) -> None:
        self.commits += bool(connection.get_execution_options().get("mailrotate_writes"))

    def queue(self, block: Block, *, alone: bool = False) -> Future[None]:
        """Start a thread that runs the block, and return once it waits for its turn."""
        before = self.queued()
        ran = self.pool.submit(self.write, block, alone)
        while self.queued() == before:
            assert not ran.done()
        return ran

    def write(self, block: Block, alone: bool = False) -> None:
        door = self.store.writing_alone if alone else self.store.writing
        with door() as connection:
            block(connection)

    @property
    def writer(self) -> GroupWriter:
        assert self.store._writer is not None
        return self.store._writer

    def queued(self) -> int:
        return self.writer.queued

    def is_busy(self) -> bool:
        return self.writer._group is not None

    @contextmanager
    def behind(self, block: Block = lambda connection: None) -> Iterator[None]:
        """Let threads queue behind a first block, which ends with the `with`."""
        with self.store.writing() as connection:
            yield
            block(connection)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No group ends because this machine is slow."""
    monkeypatch.setattr(group_commit, "_LONGEST", 60.0)


@pytest.fixture
def threads(sqlite_store: Store, patience: None) -> Iterator[Threads]:
    found = Threads(sqlite_store)
    yield found
    found.pool.shutdown()


def keep(key: str) -> Block:
    return lambda connection: connection.execute(insert(t.setting).values(key=key, value="v"))


def kept(store: Store) -> list[str]:
    with store.reading() as connection:
        return list(connection.execute(select(t.setting.c.key).order_by(t.setting.c.key)).scalars())


def test_threads_that_queue_meanwhile_share_one_commit(threads: Threads) -> None:
    with threads.behind(keep("first")):
        ran = [threads.queue(keep(f"n{n}")) for n in range(9)]
    for each in ran:
        each.result()
    assert threads.commits == 1
    assert kept(threads.store) == ["first", *(f"n{n}" for n in range(9))]


def test_no_block_returns_before_its_commit(threads: Threads) -> None:
    seen: list[list[str]] = []

    def look(connection: Connection) -> None:
        seen.append(kept(threads.store))

    with threads.behind(keep("first")):
        first = threads.queue(keep("second"))
        last = threads.queue(look)
    for each in (first, last):
        each.result()
    assert seen == [[]], "another connection saw what was not committed"
    assert kept(threads.store) == ["first", "second"]


def test_a_block_that_raises_takes_back_only_its_own_changes(threads: Threads) -> None:
    def fail(connection: Connection) -> None:
        keep("lost")(connection)
        raise ZeroDivisionError

    with threads.behind(keep("first")):
        failing, last = threads.queue(fail), threads.queue(keep("last"))
    last.result()
    with pytest.raises(ZeroDivisionError):
        failing.result()
    assert kept(threads.store) == ["first", "last"]
    assert threads.commits == 1


def test_a_refused_statement_takes_back_only_its_own_block(threads: Threads) -> None:
    with threads.behind(keep("first")):
        failing, last = threads.queue(keep("first")), threads.queue(keep("last"))
    with pytest.raises(IntegrityError):
        failing.result()
    last.result()
    assert kept(threads.store) == ["first", "last"]


def lose_transaction(connection: Connection) -> None:
    """Let SQLite roll back the whole transaction, as it does by itself when the disk is full."""
    connection.execute(text("CREATE TEMP TRIGGER lose BEFORE INSERT ON main.setting WHEN NEW.key = 'lose'"
                            " BEGIN SELECT RAISE(ROLLBACK, 'database or disk is full'); END"))  # fmt: skip
    keep("lose")(connection)


def test_when_the_transaction_is_lost_every_block_of_it_fails_and_the_next_one_works(
    threads: Threads,
) -> None:
    def begin() -> None:
        with threads.behind(keep("first")):
            ran.extend(map(threads.queue, (keep("second"), lose_transaction, keep("after"))))

    ran: list[Future[None]] = []
    with pytest.raises(StoreTrouble, match="is full"):
        begin()
    second, losing, after = ran
    for each in (second, losing):
        with pytest.raises(StoreTrouble, match="is full"):
            each.result()
    after.result()
    assert kept(threads.store) == ["after"]


def test_when_the_commit_fails_every_block_fails(threads: Threads) -> None:
    def break_a_promise(connection: Connection) -> None:
        parent = "REFERENCES setting(key) DEFERRABLE INITIALLY DEFERRED"
        connection.execute(text(f"CREATE TABLE child (parent TEXT {parent})"))
        connection.execute(text("INSERT INTO child VALUES ('missing')"))

    with pytest.raises(IntegrityError):
        _with_another(threads, keep("first"), break_a_promise)
    assert kept(threads.store) == []
    with threads.store.writing() as connection:
        keep("next")(connection)
    assert kept(threads.store) == ["next"]


def _with_another(threads: Threads, first: Block, second: Block) -> None:
    with threads.behind(first):
        ran = threads.queue(second)
    ran.result()


def test_what_may_take_long_has_a_transaction_of_its_own(threads: Threads) -> None:
    order: list[str] = []

    def note(name: str) -> Block:
        return lambda connection: order.append(f"{name} after {threads.commits}")

    with threads.behind(keep("first")):
        ran = [threads.queue(note("alone"), alone=True), threads.queue(note("shared"))]
    for each in ran:
        each.result()
    assert sorted(order) == ["alone after 1", "shared after 2"]
    assert threads.commits == 3


def test_a_group_ends_when_it_is_full(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "_MOST_BLOCKS", 4)
    with threads.behind(keep("first")):
        ran = [threads.queue(keep(f"n{n}")) for n in range(7)]
    for each in ran:
        each.result()
    assert threads.commits == 2


def test_a_group_that_was_open_for_long_ends_although_others_queue(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_LONGEST", 0.0)
    with threads.behind(keep("first")):
        ran = [threads.queue(keep(f"n{n}")) for n in range(4)]
    for each in ran:
        each.result()
    assert threads.commits == 5


def test_ctrl_c_while_it_waits_takes_a_thread_out_of_the_line(threads: Threads) -> None:
    def interrupt(connection: Connection) -> None:
        keep("first")(connection)
        while not threads.queued():
            pass
        os.kill(os.getpid(), signal.SIGINT)
        while threads.queued():
            pass

    first = threads.pool.submit(threads.write, interrupt)
    while not threads.is_busy():
        pass
    with pytest.raises(KeyboardInterrupt):
        threads.write(keep("interrupted"))
    first.result()
    threads.write(keep("next"))
    assert kept(threads.store) == ["first", "next"]


def test_a_group_ends_also_when_its_next_thread_is_interrupted_at_its_turn(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "_LONGEST", 0.05)

    def interrupted() -> None:
        with suppress(KeyboardInterrupt), threads.writer._turns.one():
            raise KeyboardInterrupt

    with threads.behind(keep("first")):
        ran = threads.pool.submit(interrupted)
        while not threads.queued():
            pass
    ran.result()
    assert kept(threads.store) == ["first"]


class Clock:
    """Stands still but for what is added and slept."""

    def __init__(self) -> None:
        self.now = self.began = time.monotonic()
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(self.now)
        self.now += seconds


def test_a_process_that_writes_without_a_gap_leaves_one_several_times_a_second(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(group_commit, "time", clock)
    for n in range(100):
        threads.write(keep(f"n{n}"))
        clock.now += 0.005
    assert 0 < len(clock.slept) <= 3
    assert all(after - before <= 0.25 for before, after in pairwise([clock.began, *clock.slept]))


def test_a_process_that_leaves_gaps_by_itself_does_not_wait(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(group_commit, "time", clock)
    for n in range(20):
        clock.now += 0.05
        threads.write(keep(f"n{n}"))
    assert clock.slept == []


def test_who_waits_for_the_file_looks_often_enough_for_such_a_gap(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own waiting looks ever more rarely, at last every 100 ms."""
    path = threads.store.path
    assert path is not None
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waited: list[float] = []

    class Waiting(Clock):
        def sleep(self, seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                other.execute("COMMIT")

    monkeypatch.setattr(engine, "time", Waiting())
    threads.write(keep("waited"))
    assert waited == [group_commit.LOOK_EVERY] * 3
    assert group_commit.LOOK_EVERY < group_commit._ROOM / 2
    other.close()
    with threads.store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 60_000


def test_a_file_that_another_process_has_locked_is_busy_for_each_block(threads: Threads) -> None:
    path = threads.store.path
    assert path is not None
    other = sqlite3.connect(path, isolation_level=None)
    threads.store.engine.dispose()
    event.listen(threads.store.engine, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout=0").close())
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy), threads.store.writing():
        pass
    other.execute("COMMIT")
    other.close()
    with threads.store.writing() as connection:
        keep("next")(connection)
    assert kept(threads.store) == ["next"]


class Jobs(Threads):
    """Threads whose functions the thread that has the turn runs."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.ran_by: list[int] = []

    def write(self, block: Block, alone: bool = False) -> None:
        def work(opened: group_commit.Block) -> None:
            self.ran_by.append(threading.get_ident())
            block(opened.connection)

        self.store.send(work)

    def queue_many(self, *blocks: Block) -> list[Future[None]]:
        """Let the functions queue behind a block of its own, and run."""
        with self.behind(keep("first")):
            return [self.queue(block) for block in blocks]


@pytest.fixture
def jobs(sqlite_store: Store, patience: None) -> Iterator[Jobs]:
    found = Jobs(sqlite_store)
    with found.pool:
        yield found


def test_one_thread_runs_the_functions_of_all_that_wait_in_their_order(jobs: Jobs) -> None:
    order: list[str] = []

    def note(name: str) -> Block:
        return lambda connection: order.append(name)

    for each in jobs.queue_many(*(note(f"n{n}") for n in range(9))):
        each.result()
    assert order == [f"n{n}" for n in range(9)]
    assert len(set(jobs.ran_by)) == 1
    assert jobs.commits == 1


def test_a_function_that_raises_takes_back_only_its_own_changes_and_raises_in_its_own_thread(
    jobs: Jobs,
) -> None:
    def fail(connection: Connection) -> None:
        keep("lost")(connection)
        raise ZeroDivisionError

    before, failing, after = jobs.queue_many(keep("before"), fail, keep("after"))
    with pytest.raises(ZeroDivisionError):
        failing.result()
    before.result()
    after.result()
    assert kept(jobs.store) == ["after", "before", "first"]


def test_when_the_transaction_is_lost_every_function_of_it_fails(jobs: Jobs) -> None:
    ran: list[Future[None]] = []
    with pytest.raises(StoreTrouble, match="is full"), jobs.behind(keep("first")):
        ran.extend(jobs.queue(block) for block in (keep("second"), lose_transaction, keep("after")))
    second, losing, after = ran
    for each in (second, losing):
        with pytest.raises(StoreTrouble, match="is full"):
            each.result()
    after.result()
    assert kept(jobs.store) == ["after"]


def test_a_function_whose_transaction_cannot_begin_raises_and_the_next_one_works(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = engine._begin_writing

    def fail_once(connection: Connection) -> None:
        monkeypatch.setattr(engine, "_begin_writing", begin)
        raise Busy("store.busy", "another process writes", "run it again")

    monkeypatch.setattr(engine, "_begin_writing", fail_once)
    with pytest.raises(Busy):
        jobs.write(keep("first"))
    jobs.write(keep("second"))
    assert kept(jobs.store) == ["second"]


def test_an_interruption_of_the_thread_that_runs_them_leaves_no_other_waiting(jobs: Jobs) -> None:
    def interrupt(connection: Connection) -> None:
        keep("interrupted")(connection)
        raise KeyboardInterrupt

    running, interrupted, after = jobs.queue_many(keep("own"), interrupt, keep("after"))
    with pytest.raises(KeyboardInterrupt):
        running.result()
    with pytest.raises(Busy, match="broken off"):
        interrupted.result()
    after.result()
    assert kept(jobs.store) == ["after", "first", "own"]


def test_f3_the_marks_of_a_group_are_counted_and_taken_out_once_after_its_commit(jobs: Jobs) -> None:
    with jobs.store.writing() as connection:
        send_mark.begin_pass(connection, "home", "pass")
    taken_out: list[tuple[int, int]] = []

    def note(number: int) -> None:
        with jobs.store.reading() as connection:
            taken_out.append((number, send_mark.read(connection).number))

    def mark(connection: Connection) -> None:
        jobs.store.send(lambda block: block.mark(note))

    with jobs.store.writing():
        ran = [jobs.pool.submit(mark, None) for _ in range(3)]
        while jobs.queued() < 3:
            pass
    for each in ran:
        each.result()
    assert taken_out == [(3, 3)], "the file is told before the database knows it, or for each mark"


def test_f3_where_the_mark_cannot_be_taken_out_only_those_fail_that_mark(jobs: Jobs) -> None:
    with jobs.store.writing() as connection:
        send_mark.begin_pass(connection, "home", "pass")

    def refuse(number: int) -> None:
        raise StoreTrouble("mark.unwritable", "the mark cannot be written", "ls")

    with jobs.store.writing():
        marking = jobs.pool.submit(jobs.store.send, lambda block: block.mark(refuse))
        while jobs.queued() < 1:
            pass
        other = jobs.queue(keep("other"))
    with pytest.raises(StoreTrouble, match="mark cannot be written"):
        marking.result()
    other.result()
    assert kept(jobs.store) == ["other"]


def version(store: Store) -> group_commit.Version | None:
    return store.send(lambda block: block.version)


def test_the_version_stays_while_lanes_send_and_changes_with_all_other_writing(sqlite_store: Store) -> None:
    store, seen = sqlite_store, [version(sqlite_store)]

    def sent(block: group_commit.Block) -> None:
        keep("sent")(block.connection)

    def sent_and_changed(block: group_commit.Block) -> None:
        block.change()

    store.send(sent)
    assert version(store) == seen[0]
    for door in (store.writing, store.writing_alone):
        with door() as connection:
            keep(f"n{len(seen)}")(connection)
        seen.append(version(store))
    store.send(sent_and_changed)
    seen.append(version(store))
    assert store.path is not None
    with sqlite3.connect(store.path) as other:
        other.execute("INSERT INTO setting (key, value) VALUES ('other', 'process')")
    other.close()
    seen.append(version(store))
    assert None not in seen
    assert len(set(seen)) == 5
    assert version(store) == seen[-1]
