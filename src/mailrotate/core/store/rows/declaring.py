"""How tables are declared: names of constraints, ids, references, and conditions."""

from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, LargeBinary, text
from sqlmodel import Field, SQLModel

from mailrotate.core.store.column_types import ID

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


def own_id() -> Any:
    """The row's own number."""
    return Field(default=None, sa_column=Column(ID, primary_key=True, autoincrement=True))


def refers(target: str, *, nullable: bool = False, primary_key: bool = False) -> Any:
    """The number of another table's row."""
    return Field(
        default=None,
        sa_column=Column(
            ID, ForeignKey(target), nullable=nullable and not primary_key, primary_key=primary_key
        ),
    )


def blob(*, nullable: bool = True) -> Any:
    """Bytes."""
    return Field(default=None, sa_column=Column(LargeBinary, nullable=nullable))


def one_of(column: str, words: type[StrEnum]) -> CheckConstraint:
    """A column that holds one of these words."""
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def only_while(condition: str) -> dict[str, Any]:
    """The condition of a partial index."""
    # Revisions say it for PostgreSQL too. Here that would import its dialect in every command, and these
    # declarations make no table: they are what queries are written with.
    return {"sqlite_where": text(condition)}


# Ids are never used twice, also after the newest row was deleted: they are what people and the log name.
LASTING_IDS = {"sqlite_autoincrement": True}
