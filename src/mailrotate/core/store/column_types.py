"""The columns that queries need: a name, a type, and the default for an insert."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
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

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Write an instant for SQLite as SQLAlchemy does, in a third of the time."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)

        def stored(value: datetime | None) -> str | None:
            known = self.process_bind_param(value, dialect)
            return None if known is None else known.replace(tzinfo=None).isoformat(" ", "microseconds")

        return stored

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        # SQLite keeps no time zone.
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


def big_number(name: str, refers_to: str | None = None, **options: Any) -> Column[Any]:
    """A number of 64 bits, such as the number of a row; `refers_to` names the column that it refers to.

    It is not a ForeignKey: each join states its condition.
    """
    # "auto" leaves out keys of several columns.
    autoincrement: Any = "auto" if refers_to is None else False
    return Column(name, ID, autoincrement=autoincrement, info={"refers_to": refers_to}, **options)


number = partial(Column[Any], type_=Integer)
text = partial(Column[Any], type_=String)
long_text = partial(Column[Any], type_=Text)
flag = partial(Column[Any], type_=Boolean)
blob = partial(Column[Any], type_=LargeBinary)
instant = partial(Column[Any], type_=UtcInstant)
