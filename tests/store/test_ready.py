"""Statements that go straight to the driver's cursor behave like those that SQLAlchemy executes."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import bindparam, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.ready import Ready
from mailrotate.core.values.errors import StoreTrouble

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
INSERT = Ready(insert(t.absence))
ALL = Ready(select(t.absence).order_by(t.absence.c.id))
SINCE = Ready(select(t.absence.c.id).where(t.absence.c.from_at >= bindparam("b_from")))
CHANGE = Ready(update(t.absence).where(t.absence.c.id == bindparam("b_id")))
NEXT = Ready(update(t.send_mark).values(number=t.send_mark.c.number + 1).returning(t.send_mark.c.number))


def test_values_are_written_and_read_by_the_types_of_their_columns(store: Store) -> None:
    in_berlin = NOON.astimezone(timezone(timedelta(hours=1)))
    with store.writing() as connection:
        made = INSERT.insert(connection, from_at=in_berlin, until_at=NOON)
        assert ALL.rows(connection) == [{"id": made, "from_at": NOON, "until_at": NOON}]
        assert connection.execute(select(t.absence)).one() == (made, NOON, NOON)
        assert SINCE.value(connection, b_from=in_berlin) == made
        with pytest.raises(ValueError, match="no time zone"):
            SINCE.value(connection, b_from=datetime(2026, 12, 1))


def test_one_statement_changes_whichever_columns_are_named(store: Store) -> None:
    later = NOON + timedelta(hours=1)
    with store.writing() as connection:
        first, second = (INSERT.insert(connection, from_at=NOON, until_at=NOON) for _ in range(2))
        assert CHANGE.change(connection, b_id=first, until_at=later) == 1
        assert CHANGE.change(connection, b_id=second, from_at=later, until_at=later) == 1
        assert CHANGE.change(connection, b_id=999, until_at=later) == 0
        found = [(row["from_at"], row["until_at"]) for row in ALL.rows(connection)]
    assert found == [(NOON, later), (later, later)]


def test_without_a_row_there_is_none(store: Store) -> None:
    with store.reading() as connection:
        assert ALL.rows(connection) == []
        assert ALL.first(connection) is None
        assert SINCE.value(connection, b_from=NOON) is None


def test_a_changed_row_is_returned(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(insert(t.send_mark).values(id=1, number=7))
        assert [NEXT.value(connection) for _ in range(2)] == [8, 9]


def test_what_ends_the_transaction_takes_it_back(store: Store) -> None:
    def fail() -> None:
        with store.writing() as connection:
            INSERT.insert(connection, from_at=NOON, until_at=NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.reading() as connection:
        assert ALL.rows(connection) == []


def test_errors_of_the_driver_are_those_of_sqlalchemy(store: Store) -> None:
    keep = Ready(insert(t.setting))

    def twice() -> None:
        with store.writing() as connection:
            keep.change(connection, key="k", value="1")
            keep.change(connection, key="k", value="2")

    with pytest.raises(IntegrityError):
        twice()
    with store.reading() as connection:
        assert connection.execute(select(t.setting)).all() == []


def test_a_database_that_may_not_be_written_is_told_as_everywhere(store: Store) -> None:
    with store.reading() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON" if store.is_sqlite else "SET TRANSACTION READ ONLY")
        with pytest.raises(StoreTrouble) as refused, store.telling():
            INSERT.change(connection, from_at=NOON, until_at=NOON)
        assert refused.value.code == "store.read_only"
        if store.is_sqlite:
            connection.exec_driver_sql("PRAGMA query_only=OFF")


def test_a_session_that_the_server_ended_is_not_used_again(postgresql_store: Store) -> None:
    def lose_it() -> None:
        with postgresql_store.reading() as connection:
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with postgresql_store.reading() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
            ALL.rows(connection)

    with pytest.raises(StoreTrouble, match="does not answer"):
        lose_it()
    with postgresql_store.reading() as connection:
        assert ALL.rows(connection) == []


def test_listeners_of_an_engine_hear_of_them(store: Store) -> None:
    heard: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *args: heard.append(args[2]))
    with store.reading() as connection:
        ALL.rows(connection)
    assert any("FROM absence" in statement for statement in heard)


def test_a_list_of_unknown_length_is_refused_before_it_runs(store: Store) -> None:
    some = Ready(select(t.absence.c.id).where(t.absence.c.id.in_(bindparam("b_ids", expanding=True))))
    with store.reading() as connection, pytest.raises(AssertionError, match="IN over a list"):
        some.rows(connection, b_ids=[1])
