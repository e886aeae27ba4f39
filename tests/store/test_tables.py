"""The tables for queries against the rows that declare them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Table, insert
from sqlalchemy.dialects.postgresql import dialect as postgresql
from sqlalchemy.dialects.sqlite import dialect as sqlite
from sqlmodel.sql.sqltypes import UTCDateTime

from mailrotate.core.store import rows, tables
from mailrotate.core.store.tables.column_types import UtcInstant
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


@pytest.mark.parametrize("dialect", [sqlite(), postgresql()], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("name", sorted(rows.METADATA.tables))
def test_a_row_goes_into_a_table_for_queries_as_into_the_declared_one(
    name: str, dialect: sqlite | postgresql
) -> None:
    declared, queried = rows.METADATA.tables[name], tables.METADATA.tables[name]
    numbered = list(queried.primary_key) if queried.autoincrement_column is not None else []
    given = [column.name for column in queried.columns if column not in numbered]

    def inserted(table: Table) -> tuple[str, list[str]]:
        types = [column.type.compile(dialect) for column in table.columns]
        return str(insert(table).compile(dialect=dialect, column_keys=given)), types

    assert inserted(queried) == inserted(declared)


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
