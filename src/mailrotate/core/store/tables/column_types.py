"""The columns of the tables as queries need them: a name, a type, the default of an insert."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, LargeBinary, String, Text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator

# SQLite makes only a plain INTEGER PRIMARY KEY the row's own id.
ID = BigInteger().with_variant(Integer(), "sqlite")


class UtcInstant(TypeDecorator[datetime]):
    """Aware instants in UTC, as `UTCDateTime` of SQLModel stores and returns them.

    A naive one raises ValueError.
    """

    impl = DateTime
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(timezone=True)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        # SQLite keeps no time zone.
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


def number_of_row(name: str, refers_to: str | None = None, **options: Any) -> Column[Any]:
    """The number of the row itself, or of another table's.

    It is not a ForeignKey: a join has to say its condition.
    """
    return Column(name, ID, autoincrement=refers_to is None, info={"refers_to": refers_to}, **options)


def number(name: str, **options: Any) -> Column[Any]:
    return Column(name, Integer, **options)


def big_number(name: str, **options: Any) -> Column[Any]:
    """A number that no database makes, also in a primary key."""
    return Column(name, BigInteger, autoincrement=False, **options)


def text(name: str, **options: Any) -> Column[Any]:
    return Column(name, String, **options)


def long_text(name: str, **options: Any) -> Column[Any]:
    return Column(name, Text, **options)


def flag(name: str, **options: Any) -> Column[Any]:
    return Column(name, Boolean, **options)


def blob(name: str, **options: Any) -> Column[Any]:
    return Column(name, LargeBinary, **options)


def instant(name: str, **options: Any) -> Column[Any]:
    return Column(name, UtcInstant, **options)
