"""Statements that are compiled once and then run on the driver's cursor.

Each message that is sent runs some twenty statements, and SQLAlchemy spends several times as long on an
execution as the database does. These are the same Core statements, and the same types read and write the
values; only the way to the cursor is shorter. For statements that run for each message, nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from mailrotate.core.store.dialects import as_database_error, dialect_of, driver_error

Record = Mapping[Any, Any]
Processor = Callable[[Any], Any]
_Read = TypeVar("_Read")


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
        return self._run(connection, known, _all_rows)

    def first(self, connection: Connection, /, **known: object) -> Record | None:
        """Return the first row; None if there is none."""
        return self._run(connection, known, _first_row)

    def value(self, connection: Connection, /, **known: object) -> Any:
        """Return the first column of the first row; None if there is none."""
        row = self.first(connection, **known)
        return None if row is None else next(iter(row.values()))

    def change(self, connection: Connection, /, **known: object) -> int:
        """Change rows; return how many."""
        return self._run(connection, known, lambda _, cursor: int(cursor.rowcount))

    def insert(self, connection: Connection, /, **known: object) -> int:
        """Insert one row; return its id."""
        return self._run(connection, known, _id_of)

    def change_each(self, connection: Connection, each: Sequence[Record]) -> None:
        """Run it once for each of several sets of values, which have the same names."""
        if not each:
            return
        form = self._form(connection, each[0])
        rows = [form.parameters(known) for known in each]
        self._execute(connection, form, rows, _nothing, many=True)

    def _run(self, connection: Connection, known: Record, read: Callable[["_Form", Any], _Read]) -> _Read:
        form = self._form(connection, known)
        return self._execute(connection, form, form.parameters(known), read)

    def _form(self, connection: Connection, known: Record) -> "_Form":
        dialect = dialect_of(connection)
        key = (dialect.name, *known)
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = _Form(self._statement, dialect, known)
        return form

    def _execute(
        self,
        connection: Connection,
        form: "_Form",
        parameters: Any,
        read: Callable[["_Form", Any], _Read],
        *,
        many: bool = False,
    ) -> _Read:
        cursor: Any = None
        # Hot path: without the context managers that wrap errors elsewhere.
        try:
            cursor = connection.connection.cursor()
            # What listens to an engine's statements hears of these too.
            for listen in connection.dispatch.before_cursor_execute:
                listen(connection, cursor, form.sql, parameters, None, many)
            (cursor.executemany if many else cursor.execute)(form.sql, parameters)
            return read(form, cursor)
        except driver_error(connection) as problem:
            raise as_database_error(connection, problem) from problem
        finally:
            if cursor is not None:
                cursor.close()


def _nothing(_form: "_Form", _cursor: Any) -> None:
    pass


def _all_rows(form: "_Form", cursor: Any) -> list[Record]:
    return [form.row(found) for found in cursor.fetchall()]


def _first_row(form: "_Form", cursor: Any) -> Record | None:
    found = cursor.fetchone()
    return None if found is None else form.row(found)


def _id_of(_form: "_Form", cursor: Any) -> int:
    # PostgreSQL's drivers return it as a row, as SQLAlchemy asks for it there.
    return int(cursor.lastrowid if cursor.description is None else cursor.fetchone()[0])


class _Form:
    """A statement in one dialect, for parameters of these names."""

    def __init__(self, statement: Executable, dialect: Dialect, names: Iterable[str]) -> None:
        assert isinstance(statement, ClauseElement)
        known = [*names]
        compiled: Any = statement.compile(dialect=dialect, column_keys=known)
        assert not compiled.post_compile_params, "SQLAlchemy writes out an IN over a list at each execution"
        self.sql: str = compiled.string
        stored = {
            name: _processor(bind.type, dialect, "bind_processor")
            for bind, name in compiled.bind_names.items()
        }
        assert set(known) <= set(stored), f"no parameter has one of these names: {known}"
        assert all(name in known for bind, name in compiled.bind_names.items() if bind.required)
        defaults = {column.key: column.default.arg for column in compiled.insert_prefetch}
        assert not any(map(callable, defaults.values()))
        constants = {
            name: _processed(stored[name], value)
            for name, value in {**compiled.params, **defaults}.items()
            if name not in known
        }
        order: Sequence[str] | None = compiled.positiontup
        self._is_positional = order is not None
        # The parameters as they are passed, with the constants in their places, and what fills the others.
        self._whole: Any = constants if order is None else [constants.get(name) for name in order]
        places: Iterable[tuple[Any, str]] = (
            zip(known, known, strict=True) if order is None else enumerate(order)
        )
        self._places = [(place, name, stored[name]) for place, name in places if name not in constants]
        columns = getattr(statement, "exported_columns", ())
        self._columns = [
            (column.key, _processor(column.type, dialect, "result_processor", None)) for column in columns
        ]

    def parameters(self, known: Record) -> Any:
        values = self._whole.copy()
        for place, name, store in self._places:
            values[place] = known[name] if store is None else store(known[name])
        return tuple(values) if self._is_positional else values

    def row(self, found: Sequence[Any]) -> Record:
        return {
            key: value if load is None else load(value)
            for (key, load), value in zip(self._columns, found, strict=True)
        }


def _processed(store: Processor | None, value: object) -> object:
    return value if store is None else store(value)


def _processor(kind: TypeEngine[Any], dialect: Dialect, which: str, *about: object) -> Processor | None:
    """What the type does to each value on its way in or out; None for nothing."""
    found: Processor | None = getattr(kind.dialect_impl(dialect), which)(dialect, *about)
    return found
