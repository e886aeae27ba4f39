"""PostgreSQL behind a connection pooler: refused where it shares sessions, used where it does not (F3)."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from sqlalchemy import create_engine, text

from mailrotate.core.store.engine import open_store
from mailrotate.core.store.sending import liveness
from mailrotate.core.values.errors import StoreTrouble
from tests.support.console import Console
from tests.support.databases import PostgresqlServer
from tests.support.pooler import pooler_of
from tests.support.rows import NOW

_numbers = count(1)
_IDLE = ("transaction",)
_IN_TURN = ("transaction", "server_round_robin = 1", "min_pool_size = 3")
_STATEMENT = ("statement",)
# Version 1.18 refuses each setting of a session's start that it does not know; people add this.
_IGNORING = ("transaction", "ignore_startup_parameters = options,extra_float_digits")


@pytest.fixture
def direct(postgresql: PostgresqlServer, postgresql_template: str) -> Iterator[str]:
    """The URL of a migrated, empty database, without a pooler."""
    name = f"pooled_{next(_numbers)}"
    yield postgresql.make(name, postgresql_template)
    postgresql.drop(name)


@pytest.mark.parametrize("mode", [_IDLE, _IN_TURN, _STATEMENT, _IGNORING])
def test_f3_postgresql_behind_a_transaction_pooler_is_refused_at_the_start(
    direct: str, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    with pooler_of(direct, *mode) as url:
        program = Console(tmp_path, {"MAILROTATE_DB": url})
        for command in (["run", "--once"], ["status"], ["init", "--email", "ada@example.org"]):
            told = program.run(*command, "--json", check_status=1).error()
            assert told["code"] == "store.pooler"
            assert "sessions" in told["message"]
            assert "pool_mode = session" in told["hint"]
        pooled = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        if mode != _STATEMENT:
            with pooled.connect() as other:
                assert other.execute(text("SHOW lock_timeout")).scalar_one() == "0", "nothing is left in it"
                locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                assert other.execute(text(locks)).scalar_one() == 0, "no life lock leaks"
        pooled.dispose()


def test_f3_a_transaction_pooler_is_found_while_other_clients_use_it(direct: str) -> None:
    done = Event()

    def work(url: str) -> None:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as session:
            while not done.is_set():
                session.execute("SELECT 1")

    with pooler_of(direct, "transaction", "default_pool_size = 4") as url:
        others = [Thread(target=work, args=(url,)) for _ in range(3)]
        for other in others:
            other.start()
        try:
            for _ in range(5):
                store = open_store(url)
                with pytest.raises(StoreTrouble, match="pooler"), store.reading():
                    pass
                store.close()
        finally:
            done.set()
            for other in others:
                other.join()


def test_f3_a_pooler_in_session_mode_is_as_good_as_none(direct: str, tmp_path: Path) -> None:
    with pooler_of(direct, "session", "ignore_startup_parameters = extra_float_digits") as url:
        program = Console(tmp_path, {"MAILROTATE_DB": url})
        program.run("init", "--email", "ada@example.org")
        assert program.run("run", "--once", "--json").json()["sent"] == 0
        one, two = open_store(url), open_store(url)
        living = liveness.register(one, "loop", NOW, "here")
        assert liveness.is_alive(two, living.id)
        with two.reading() as connection:
            assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "1min"
            assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
        living.end(NOW)
        assert not liveness.is_alive(two, living.id)
        one.close()
        two.close()


def test_f3_a_session_of_postgresql_itself_has_no_pooler_and_waits_for_locks_as_long_as_on_sqlite(
    direct: str,
) -> None:
    store = open_store(direct)
    with store.reading() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "1min"
        assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert connection.execute(text(sessions)).scalar_one() == 1, "the look for a pooler takes none"
    store.close()
