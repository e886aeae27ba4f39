"""The two doors to the database, its instants, and what its errors are called."""

import logging
import multiprocessing
import os
import sqlite3
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.exc import OperationalError

from mailrotate.core.store import tables as t
from mailrotate.core.store.database_errors import explain
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.values.errors import Busy, MailrotateError, StoreTrouble
from tests.support.databases import PostgresqlServer
from tests.support.rows import NOW, Workspace


def keep_absence(store: Store, from_at: datetime, until_at: datetime) -> None:
    with store.writing() as connection:
        connection.execute(insert(t.absence).values(from_at=from_at, until_at=until_at))


# --- instants


def test_an_instant_comes_back_with_its_microseconds_in_utc(store: Store) -> None:
    berlin = timezone(timedelta(hours=2))
    keep_absence(store, datetime(2026, 7, 1, 12, 0, 0, 1, tzinfo=berlin), datetime(2026, 12, 1, tzinfo=UTC))
    with store.reading() as connection:
        row = connection.execute(select(t.absence)).one()
    assert row.from_at == datetime(2026, 7, 1, 10, 0, 0, 1, tzinfo=UTC)
    assert (row.from_at.tzinfo, row.until_at.tzinfo) == (UTC, UTC)
    assert row.until_at == datetime(2026, 12, 1, tzinfo=UTC)


def test_instants_compare_in_the_order_of_time(store: Store) -> None:
    """Also a whole second with one that has microseconds, and across zones."""
    whole = datetime(2026, 12, 1, 9, tzinfo=UTC)
    instants = [whole, whole + timedelta(microseconds=1), whole + timedelta(seconds=1)]
    for instant in reversed(instants):
        keep_absence(store, instant, instant)
    eastern = instants[1].astimezone(timezone(timedelta(hours=-5)))
    with store.reading() as connection:
        ordered = (
            connection.execute(select(t.absence.c.from_at).order_by(t.absence.c.from_at)).scalars().all()
        )
        later = connection.execute(select(t.absence.c.from_at).where(t.absence.c.from_at > eastern)).scalars()
        assert later.all() == [instants[2]]
    assert ordered == instants


def test_an_instant_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(Exception, match="has no time zone"):
        keep_absence(store, datetime(2026, 12, 1), NOW)


# --- transactions


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    def fail_half_way() -> None:
        with store.writing() as connection:
            connection.execute(insert(t.setting).values(key="k", value="v"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with store.reading() as connection:
        assert connection.execute(select(t.setting)).all() == []


def test_ctrl_c_while_a_connection_goes_back_to_the_pool_prints_nothing(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # As in the program, which sets up no logging: then Python prints what no handler takes.
    monkeypatch.setattr(logging.root, "handlers", [])

    def interrupt(*_reset: object) -> None:
        raise KeyboardInterrupt

    event.listen(sqlite_store.engine, "reset", interrupt)
    with pytest.raises(KeyboardInterrupt), sqlite_store.reading():
        pass
    event.remove(sqlite_store.engine, "reset", interrupt)
    assert capsys.readouterr() == ("", "")


def test_a_reader_sees_one_state_while_another_writes(store: Store) -> None:
    with store.reading() as reader:
        assert reader.execute(select(t.setting)).all() == []
        with store.writing() as writer:
            writer.execute(insert(t.setting).values(key="k", value="v"))
        assert reader.execute(select(t.setting)).all() == []
    with store.reading() as reader:
        assert len(reader.execute(select(t.setting)).all()) == 1


def test_two_writers_that_read_first_lose_no_update(store: Store, workspace: Workspace) -> None:
    """Both read the same row, then write it: one after the other, as each locks what it reads first."""
    box = workspace.add_mailbox("anna@example.org")

    def add_many() -> None:
        for _ in range(20):
            with store.writing() as connection:
                query = select(t.lane.c.token).where(t.lane.c.mailbox_id == box.id).with_for_update()
                token = connection.execute(query).scalar_one()
                connection.execute(
                    update(t.lane).where(t.lane.c.mailbox_id == box.id).values(token=token + 1)
                )

    threads = [threading.Thread(target=add_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as connection:
        assert connection.execute(select(t.lane.c.token)).scalar_one() == 80


def _hold_the_lock(path: str, held: "multiprocessing.synchronize.Event", go: object) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    held.set()
    go.wait()  # type: ignore[attr-defined]  # an Event, too
    connection.execute("COMMIT")


def test_a_writer_waits_for_another_process(sqlite_store: Store) -> None:
    """A deferred BEGIN would fail at once here, whatever the timeout."""
    context = multiprocessing.get_context("spawn")
    held, go = context.Event(), context.Event()
    other = context.Process(target=_hold_the_lock, args=(str(sqlite_store.path), held, go))
    other.start()
    assert held.wait(30)
    timer = threading.Timer(0.3, go.set)
    timer.start()
    keep_absence(sqlite_store, NOW, NOW)
    other.join()
    timer.join()
    with sqlite_store.reading() as connection:
        assert len(connection.execute(select(t.absence)).all()) == 1


# --- what errors are called


def test_a_lock_that_is_not_given_up_is_busy(store: Store) -> None:
    """With the patience of the store shortened: the code is the same after the long wait."""
    with store.writing() as holder:
        holder.execute(insert(t.setting).values(key="k", value="v"))
        second = open_store(str(store.path) if store.path else store.name)
        with pytest.raises(Busy) as refused:
            write_impatiently(second)
        second.close()
    assert refused.value.code == "store.locked"


def write_impatiently(store: Store) -> None:
    if store.is_sqlite:
        with store.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA busy_timeout=50")
    with store.writing() as connection:
        if not store.is_sqlite:
            connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
        connection.execute(insert(t.setting).values(key="k", value="w"))


def code_of(attempt: "Store | str") -> str:
    """The code of the error that reading from a database gives."""

    def read() -> None:
        store = open_store(attempt) if isinstance(attempt, str) else attempt
        try:
            with store.reading() as connection:
                connection.execute(select(t.setting)).all()
        finally:
            store.close()

    with pytest.raises(MailrotateError) as refused:
        read()
    assert refused.value.hint
    return refused.value.code


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear all, this is certainly not a database, but a longer text. " * 20)
    assert code_of(str(path)) == "store.not_a_database"
    assert path.read_text().startswith("Dear all")


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert code_of(str(tmp_path)) == "store.cannot_open"


def test_a_place_where_no_file_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert code_of(str(tmp_path / "file" / "below.db")) == "store.cannot_open"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; run as another user")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert code_of(str(folder / "mailrotate.db")) == "store.cannot_open"


def test_a_database_that_may_only_be_read_is_named(store: Store) -> None:
    def write_where_none_may() -> None:
        with store.writing() as connection:
            statement = "PRAGMA query_only=ON" if store.is_sqlite else "SET TRANSACTION READ ONLY"
            connection.execute(text(statement))
            connection.execute(insert(t.setting).values(key="k", value="v"))

    with pytest.raises(StoreTrouble) as refused:
        write_where_none_may()
    assert refused.value.code == "store.read_only"


def test_f3_a_full_disk_changes_nothing_and_is_named(sqlite_store: Store) -> None:
    """The limit on pages is SQLite's own way to run out of room."""

    def write_more_than_fits() -> None:
        with sqlite_store.writing() as connection:
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            connection.execute(text(f"PRAGMA max_page_count={pages}"))
            connection.execute(insert(t.setting).values(key="k", value="v" * 10_000_000))

    with pytest.raises(StoreTrouble) as refused:
        write_more_than_fits()
    assert refused.value.code == "store.full"
    with sqlite_store.reading() as connection:
        assert connection.execute(select(t.setting)).all() == []


def test_a_damaged_file_is_named(sqlite_store: Store) -> None:
    assert sqlite_store.path is not None
    sqlite_store.close()
    with sqlite_store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (os.path.getsize(sqlite_store.path) - 4096))
    assert code_of(sqlite_store) == "store.damaged"


def test_a_server_that_does_not_answer_is_named() -> None:
    assert code_of("postgresql://localhost:1/nothing") == "store.unreachable"


def test_a_database_that_the_server_lacks_is_named(postgresql: PostgresqlServer) -> None:
    assert code_of(postgresql.url("no_such_database")) == "store.unreachable"


def test_i1_a_password_is_in_no_name_and_no_message() -> None:
    store = open_store("postgresql://anna@localhost:1/nothing", "s3cret")
    with pytest.raises(StoreTrouble) as refused, store.reading():
        pass
    store.close()
    assert "s3cret" not in store.name + refused.value.message


def test_a_new_database_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mailrotate.db"
    store = open_store(str(path))
    with store.reading():
        pass
    store.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_keeps_what_was_committed_through_a_power_cut(sqlite_store: Store) -> None:
    """F3: each commit is on the disk before it is believed (WAL, synchronous=FULL)."""
    with sqlite_store.reading() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1


@pytest.mark.parametrize(
    "said", ["disk I/O error", "unable to open database file", "database or disk is full"]
)
def test_f3_a_database_whose_small_files_find_no_room_is_on_a_full_disk(said: str) -> None:
    """Even a reader makes the index of the log, and SQLite says of it only that something failed."""
    problem = OperationalError("SELECT 1", {}, sqlite3.OperationalError(said))
    full = explain(problem, "w.db", free_bytes=0)
    assert full is not None
    assert (full.code, full.message) == ("store.full", "the disk that holds w.db is full")
    for free in (2**30, None):
        roomy = explain(problem, "w.db", free)
        assert roomy is not None
        assert (roomy.code == "store.full") == ("full" in said)
