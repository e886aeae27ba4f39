"""F3: a runner's life is a lock, and what is dead is written down as dead."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from mailrotate.core.services.sending import recovery, runners
from mailrotate.core.store import backups
from mailrotate.core.store.engine import Store
from mailrotate.core.store.sending import liveness
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace


def test_f3_a_runner_is_alive_while_its_lock_is_held(workspace: Workspace) -> None:
    living = liveness.register(workspace.store, "loop", NOW, "here")
    assert living.is_alive()
    assert liveness.is_alive(workspace.store, living.id)
    living.end(NOW)
    assert not liveness.is_alive(workspace.store, living.id)


def test_f3_a_runner_whose_session_postgresql_ended_knows_that_it_is_taken_for_dead(
    postgresql_store: Store,
) -> None:
    living = liveness.register(postgresql_store, "loop", NOW, "here")
    with postgresql_store.reading() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
    assert not living.is_alive()
    assert not liveness.is_alive(postgresql_store, living.id)
    living.end(NOW)


def test_f3_a_pass_writes_down_that_a_runner_is_dead_which_left_nothing_behind(workspace: Workspace) -> None:
    context = context_of(workspace)
    dead = liveness.register(workspace.store, "loop", NOW, "here")
    dead._lock.release()
    living = liveness.register(workspace.store, "loop", NOW, "here")
    assert [(one.id, one.alive) for one in runners.listing(context)] == [(dead.id, False), (living.id, True)]
    recovery.recover(context, NOW)
    assert [(one.id, one.alive) for one in runners.listing(context)] == [(living.id, True)]
    living.end(NOW)


def test_f3_what_a_killed_backup_left_is_not_taken_into_the_next_one(
    sqlite_store: Store, tmp_path: Path
) -> None:
    for suffix in ("", "-journal", "-wal"):
        (tmp_path / f"copy.db.unfinished{suffix}").write_bytes(b"half a copy")
    backups.back_up(sqlite_store, tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.glob("copy.db*")) == ["copy.db"]
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
