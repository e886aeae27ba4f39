"""Statements that are compiled once and then run on the driver's cursor.

Each message that is sent runs some twenty statements, and SQLAlchemy spends several times as long on an
execution as the database does. These are the same Core statements, and the same types read and write the
values; only the way to the cursor is shorter. For statements that run for each message, nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from mailrotate.core.store.dialects import driver_errors

Record = Mapping[Any, Any]
Processor = Callable[[Any], Any]


class Ready:
    """A statement that runs with values for its parameters.

    As in `Connection.execute`, further values of an UPDATE or INSERT go by the names of their columns.
    All methods raise DBAPIError.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._forms: dict[tuple[str, ...], _Form] = {}

    def rows(self, connection: Connection, /, **known: object) -> list[Record]:
        """Return all rows, each by the names of its columns."""
        with self._executed(connection, known) as (form, cursor):
            return [form.row(found) for found in cursor.fetchall()]

    def first(self, connection: Connection, /, **known: object) -> Record | None:
        """Return the first row; None if there is none."""
        with self._executed(connection, known) as (form, cursor):
            found = cursor.fetchone()
            return None if found is None else form.row(found)

    def value(self, connection: Connection, /, **known: object) -> Any:
        """Return the first column of the first row; None if there is none."""
        row = self.first(connection, **known)
        return None if row is None else next(iter(row.values()))

    def change(self, connection: Connection, /, **known: object) -> int:
        """Change rows; return how many."""
        with self._executed(connection, known) as (_, cursor):
            return int(cursor.rowcount)

    def insert(self, connection: Connection, /, **known: object) -> int:
        """Insert one row; return its id."""
        with self._executed(connection, known) as (_, cursor):
            # PostgreSQL's drivers return it as a row, as SQLAlchemy asks for it there.
            return int(cursor.lastrowid if cursor.description is None else cursor.fetchone()[0])

    @contextmanager
    def _executed(self, connection: Connection, known: Record) -> Iterator[tuple["_Form", Any]]:
        with driver_errors(connection) as dialect:
            key = (dialect.name, *known)
            form = self._forms.get(key)
            if form is None:
                form = self._forms[key] = _Form(self._statement, dialect, known)
            parameters = form.parameters(known)
            cursor = connection.connection.cursor()
            try:
                # What listens to an engine's statements hears of these too.
                for listen in connection.dispatch.before_cursor_execute:
                    listen(connection, cursor, form.sql, parameters, None, False)
                cursor.execute(form.sql, parameters)
                yield form, cursor
            finally:
                cursor.close()


class _Form:
    """A statement in one dialect, for parameters of these names."""

    def __init__(self, statement: Executable, dialect: Dialect, names: Iterable[str]) -> None:
        assert isinstance(statement, ClauseElement)
        known = [*names]
        compiled: Any = statement.compile(dialect=dialect, column_keys=known)
        assert not compiled.post_compile_params, "SQLAlchemy writes out an IN over a list at each execution"
        self.sql: str = compiled.string
        self._order: Sequence[str] | None = compiled.positiontup
        self._stored = {
            name: _processor(bind.type, dialect, "bind_processor")
            for bind, name in compiled.bind_names.items()
        }
        constants = {name: value for name, value in compiled.params.items() if name not in known}
        self._constants = {name: self._store(name, value) for name, value in constants.items()}
        columns = getattr(statement, "exported_columns", ())
        self._columns = [
            (column.key, _processor(column.type, dialect, "result_processor", None)) for column in columns
        ]

    def parameters(self, known: Record) -> Any:
        values = self._constants | {name: self._store(name, value) for name, value in known.items()}
        return values if self._order is None else tuple(values[name] for name in self._order)

    def row(self, found: Sequence[Any]) -> Record:
        return {
            key: value if load is None else load(value)
            for (key, load), value in zip(self._columns, found, strict=True)
        }

    def _store(self, name: str, value: object) -> object:
        store = self._stored[name]
        return value if store is None else store(value)


def _processor(kind: TypeEngine[Any], dialect: Dialect, which: str, *about: object) -> Processor | None:
    """What the type does to each value on its way in or out; None for nothing."""
    found: Processor | None = getattr(kind.dialect_impl(dialect), which)(dialect, *about)
    return found
