"""Lanes and the life of runners (F3, H1), on both databases."""

import multiprocessing
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mailrotate.core.rules.transitions import USER
from mailrotate.core.store import instants
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.sending import lanes, liveness
from mailrotate.core.values.errors import Busy
from tests.support.rows import NOW, Workspace


def reopened(store: Store) -> Store:
    return open_store(str(store.path) if store.path else store.name)


def test_a_lane_has_one_owner_and_each_gets_a_new_token(store: Store, workspace: Workspace) -> None:
    box = workspace.add_mailbox("anna@example.org")
    one, two = workspace.add_runner(), workspace.add_runner()
    first = workspace.own_lane(box, one)
    with store.writing() as connection:
        assert lanes.take(connection, box.id, two) is None
        assert lanes.owners(connection) == [one]
        lanes.release(connection, first)
    second = workspace.own_lane(box, two)
    assert second.token == first.token + 1
    with store.writing() as connection:
        assert lanes.hold_on(connection, second, NOW)
        assert not lanes.hold_on(connection, first, NOW)
        # A former owner that lets go of it late frees nobody else's lane.
        lanes.release(connection, first)
        assert lanes.owners(connection) == [two]
        assert instants.latest_acted_at(connection) == NOW


def test_f3_the_same_runner_with_an_old_token_has_lost_the_lane(store: Store, workspace: Workspace) -> None:
    box, runner = workspace.add_mailbox("anna@example.org"), workspace.add_runner()
    old = workspace.own_lane(box, runner)
    with store.writing() as connection:
        lanes.free_lanes_of(connection, runner)
    workspace.own_lane(box, runner)
    with store.writing() as connection:
        assert not lanes.hold_on(connection, old, NOW)


def test_a_lane_that_somebody_is_taking_right_now_is_passed_over(postgresql_store: Store) -> None:
    """PostgreSQL: no waiting for the other's transaction (SKIP LOCKED)."""
    from mailrotate.core.store import workspaces
    from mailrotate.core.values.states import Role

    with postgresql_store.writing() as connection:
        workspaces.create(connection, "test", "UTC", NOW)
        admin = workspaces.add_user(connection, USER["add"], "admin@example.org", "Ada", Role.ADMIN, NOW)
    made = Workspace(postgresql_store, admin)
    box, one, two = made.add_mailbox("anna@example.org"), made.add_runner(), made.add_runner()
    with postgresql_store.writing() as first, postgresql_store.writing() as second:
        assert lanes.take(first, box.id, one) is not None
        assert lanes.take(second, box.id, two) is None


def test_f3_a_runner_lives_until_it_ends(store: Store, workspace: Workspace) -> None:
    box = workspace.add_mailbox("anna@example.org")
    runner = liveness.register(store, "run", NOW, "here")
    workspace.own_lane(box, runner.id)
    elsewhere = reopened(store)
    assert liveness.is_alive(elsewhere, runner.id)
    assert list(liveness.dead_runners(elsewhere, [runner.id])) == []
    with store.reading() as connection:
        assert liveness.living_runners(connection) == [(runner.id, "run", "here", os.getpid(), NOW, None)]
    runner.end(NOW)
    assert not liveness.is_alive(elsewhere, runner.id)
    with store.reading() as connection:
        assert liveness.living_runners(connection) == []
        assert lanes.owners(connection) == []
    elsewhere.close()


def test_f3_a_dead_runner_is_dealt_with_by_one_process_at_a_time(store: Store, workspace: Workspace) -> None:
    runner = workspace.add_runner()
    elsewhere = reopened(store)
    for found in liveness.dead_runners(store, [runner]):
        assert found == runner
        assert list(liveness.dead_runners(elsewhere, [runner])) == []
    assert list(liveness.dead_runners(elsewhere, [runner])) == [runner]
    elsewhere.close()


def _live(target: str, said: "multiprocessing.connection.Connection") -> None:
    runner = liveness.register(open_store(target), "run", NOW, "there")
    said.send(runner.id)
    signal.pause()


def test_f3_a_killed_runner_is_dead_at_once(store: Store, workspace: Workspace) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process: Any = context.Process(target=_live, args=(str(store.path) if store.path else store.name, there))
    process.start()
    assert here.poll(60)
    runner_id = here.recv()
    assert liveness.is_alive(store, runner_id)
    process.kill()
    process.join()
    for _ in range(10_000):
        # PostgreSQL's server notices the closed socket in its own time.
        if not liveness.is_alive(store, runner_id):
            break
    assert list(liveness.dead_runners(store, [runner_id])) == [runner_id]


def test_h1_on_a_file_a_second_host_is_told_so(sqlite_store: Store) -> None:
    elsewhere = reopened(sqlite_store)

    def host_too() -> None:
        with liveness.sole_host(elsewhere):
            pass

    with liveness.sole_host(sqlite_store), pytest.raises(Busy) as refused:
        host_too()
    assert refused.value.code == "runner.busy"
    host_too()
    elsewhere.close()


def test_h1_on_postgresql_many_share_the_work(postgresql_store: Store) -> None:
    with liveness.sole_host(postgresql_store), liveness.sole_host(postgresql_store):
        pass


def test_the_locks_of_a_file_are_private(sqlite_store: Store) -> None:
    runner = liveness.register(sqlite_store, "run", NOW, "here")
    assert sqlite_store.path is not None
    folder = Path(f"{sqlite_store.path}.runners")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert liveness.held_locks(sqlite_store.path) == [runner.id]
    runner.end(NOW)
    assert list(folder.iterdir()) == []


def test_b3_the_gap_counts_from_the_last_message_that_left_or_may_have_left(
    store: Store, workspace: Workspace
) -> None:
    """From the answer, or from the mark where none was recorded; what was only claimed does not count."""
    anna, ben = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben"))
    minutes = [NOW + timedelta(minutes=minute) for minute in range(6)]

    def last() -> tuple[str, datetime] | None:
        with store.writing() as connection:
            return lanes.last_message(connection, anna.id)

    def token_of(message_id: int) -> str:
        with store.reading() as connection:
            query = select(t.message.c.token).where(t.message.c.id == message_id)
            return str(connection.execute(query).scalar_one())

    assert last() is None
    sent = workspace.add_sent(anna, minutes[0], marked_at=minutes[1], sent_at=minutes[2])
    assert last() == (token_of(sent), minutes[2])
    held = workspace.add_sent(anna, minutes[3], state="held", marked_at=minutes[4], sent_at=None)
    assert last() == (token_of(held), minutes[4])
    workspace.add_sent(anna, minutes[5], state="sending", sent_at=None)
    workspace.add_sent(anna, minutes[5], state="error", marked_at=minutes[5])
    workspace.add_sent(ben, minutes[5], marked_at=minutes[5])
    assert last() == (token_of(held), minutes[4])


def test_f3_freeing_a_dead_runners_lanes_leaves_those_of_others(store: Store, workspace: Workspace) -> None:
    dead, living = workspace.add_runner(), workspace.add_runner()
    for name, runner_id in (("anna", dead), ("ben", living), ("clara", dead)):
        workspace.own_lane(workspace.add_mailbox(f"{name}@example.org"), runner_id)
    with store.writing() as connection:
        lanes.free_lanes_of(connection, dead)
        assert lanes.owners(connection) == [living]


def test_b3_a_gap_is_of_one_mailbox_alone(store: Store, workspace: Workspace) -> None:
    anna, ben = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben"))
    with store.writing() as connection:
        lanes.rest(connection, anna.id, NOW)
        rests = connection.execute(select(t.lane.c.mailbox_id, t.lane.c.next_send_at)).all()
    assert sorted(map(tuple, rests)) == [(anna.id, NOW), (ben.id, None)]


def test_a_lanes_work_that_breaks_is_news_once_for_each_error_and_its_end_is_news_too(
    store: Store, workspace: Workspace
) -> None:
    anna, ben = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben"))
    later = NOW + timedelta(hours=1)

    def rows() -> list[tuple[object, ...]]:
        query = select(t.lane.c.mailbox_id, t.lane.c.broke_by, t.lane.c.broke_at)
        with store.reading() as connection:
            return sorted(map(tuple, connection.execute(query)))

    with store.writing() as connection:
        assert not lanes.note_work(connection, anna.id, None, NOW)
        assert lanes.note_work(connection, anna.id, "KeyError", NOW)
        assert not lanes.note_work(connection, anna.id, "KeyError", later)
        assert lanes.broken(connection) == {anna.id: "KeyError"}
    assert rows() == [(anna.id, "KeyError", NOW), (ben.id, None, None)]
    with store.writing() as connection:
        assert lanes.note_work(connection, anna.id, "OSError", later)
        assert lanes.note_work(connection, ben.id, "KeyError", later)
        assert lanes.broken(connection) == {anna.id: "OSError", ben.id: "KeyError"}
    assert rows() == [(anna.id, "OSError", later), (ben.id, "KeyError", later)]
    with store.writing() as connection:
        assert lanes.note_work(connection, anna.id, None, later)
        assert lanes.broken(connection) == {ben.id: "KeyError"}
    assert rows() == [(anna.id, None, None), (ben.id, "KeyError", later)]


def test_c4_a_lane_is_asked_for_until_it_is_taken_or_the_request_is_taken_back(
    store: Store, workspace: Workspace
) -> None:
    anna, ben = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben"))
    with store.writing() as connection:
        lanes.ask_for(connection, anna.id, NOW)
        assert lanes.is_asked_for(connection, anna.id)
        assert not lanes.is_asked_for(connection, ben.id)
        lanes.ask_for(connection, ben.id, NOW)
        lanes.ask_for(connection, anna.id, None)
        assert not lanes.is_asked_for(connection, anna.id)
        assert lanes.is_asked_for(connection, ben.id)
    workspace.own_lane(ben, workspace.add_runner())
    with store.reading() as connection:
        assert not lanes.is_asked_for(connection, ben.id)


def test_c1_whether_a_lane_was_taken_since_is_told_by_its_own_token(
    store: Store, workspace: Workspace
) -> None:
    anna, ben = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben"))
    runner = workspace.add_runner()
    lane = workspace.own_lane(anna, runner)
    with store.writing() as connection:
        lanes.release(connection, lane)
        assert not lanes.was_taken_since(connection, anna.id, lane.token)
        assert lanes.was_taken_since(connection, ben.id, lane.token), "another lane, and another token"
    workspace.own_lane(anna, runner)
    with store.writing() as connection:
        assert lanes.was_taken_since(connection, anna.id, lane.token)
