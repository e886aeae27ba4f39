"""The tables for queries against the rows that declare them."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import dialect as postgresql
from sqlalchemy.dialects.sqlite import dialect as sqlite
from sqlmodel.sql.sqltypes import UTCDateTime

from mailrotate.core.store import rows, tables
from mailrotate.core.store.column_types import UtcInstant
from tools import query_tables

INSTANTS = st.datetimes(
    timezones=st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours))),
    min_value=datetime(1000, 1, 1),
    max_value=datetime(9000, 1, 1),
)


def test_tables_for_queries_are_written_from_the_rows_as_they_are_now() -> None:
    """After a change of `store/rows/`, run `make tables`."""
    assert query_tables.WRITTEN.read_text(encoding="utf-8") == query_tables.written()


def test_every_declared_table_can_be_queried_by_its_name() -> None:
    assert set(tables.METADATA.tables) == set(rows.METADATA.tables)
    assert all(getattr(tables, name) is table for name, table in tables.METADATA.tables.items())


def test_the_database_numbers_the_rows_of_the_same_tables() -> None:
    numbered = {
        name: [table.autoincrement_column is not None for table in (table, rows.METADATA.tables[name])]
        for name, table in tables.METADATA.tables.items()
    }
    assert [name for name, (queried, declared) in numbered.items() if queried != declared] == []


@given(instant=st.none() | INSTANTS, dialect=st.sampled_from([sqlite(), postgresql()]))
def test_instants_go_in_and_come_out_as_sqlmodel_has_them(
    instant: datetime | None, dialect: sqlite | postgresql
) -> None:
    ours, theirs = UtcInstant(), UTCDateTime()
    stored = ours.process_bind_param(instant, dialect)
    assert stored == theirs.process_bind_param(instant, dialect)
    assert stored is None or stored.tzinfo is UTC
    for read in (instant, stored and stored.replace(tzinfo=None)):
        found = ours.process_result_value(read, dialect)
        assert found == theirs.process_result_value(read, dialect)
        assert found is None or found.tzinfo is UTC
