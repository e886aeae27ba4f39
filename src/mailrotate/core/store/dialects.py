"""What differs between SQLite and PostgreSQL. No other module of the store asks which of the two it is,
except where a database is a file. `docs/decisions/two-databases.md` gives the reasons.
"""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    MetaData,
    Select,
    Text,
    case,
    cast,
    func,
    text,
)
from sqlalchemy.exc import DBAPIError

# Longer than the longest known writing transaction (an import of a million rows).
BUSY_WAIT_SECONDS = 60.0
# The key of the advisory lock that a migration takes.
_MIGRATION_LOCK = 0x6D61696C


class Wall(NamedTuple):
    """A change that the database itself refuses, by a trigger."""

    name: str
    table: str
    event: str
    condition: str
    says: str


def is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


# --- sessions


def prepare_sqlite(connection: sqlite3.Connection) -> None:
    """Prepare a new connection to a SQLite file."""
    connection.create_function("mailrotate_sha256", 1, _sha256, deterministic=True)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={int(BUSY_WAIT_SECONDS * 1000)}",
        # Lets the log shrink again after a large import.
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _sha256(value: str | None) -> str | None:
    return None if value is None else hashlib.sha256(value.encode()).hexdigest()


POSTGRESQL_ARGUMENTS: Mapping[str, object] = {"application_name": "mailrotate", "connect_timeout": 10}
# Wait for locks as long as on SQLite. The keepalives are the server's (seconds): a life lock must not outlive
# a machine without power. Not sent with the connection's startup, which poolers refuse.
_POSTGRESQL_SETTINGS = f"""
    SET lock_timeout = '{int(BUSY_WAIT_SECONDS)}s';
    SET timezone = 'UTC';
    SET tcp_keepalives_idle = 30;
    SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 3;
"""


def prepare_postgresql(session: Any) -> None:
    """Prepare a new session on PostgreSQL (psycopg's connection)."""
    session.autocommit = True
    session.execute(_POSTGRESQL_SETTINGS)
    session.autocommit = False


def has_pooler(session: Any) -> bool:
    """Whether something between here and PostgreSQL has answered for it: a pooler invents the process id
    with which a session begins (its BackendKeyData), because a client cannot keep the server's."""
    session.autocommit = True
    return bool(session.info.backend_pid != _backend_of(session))


def shares_backends(session: Any) -> bool:
    """Whether a pooler gives each transaction a backend that others use too (PgBouncer's transaction mode).

    An idle pooler gives the same one to two sessions, a busy one gives several to the same session.
    """
    session.autocommit = True
    own = type(session).connect(session.info.dsn, password=session.info.password, autocommit=True)
    with own as other:
        for _ in range(_ROUNDS):
            seen = [_backend_of(each) for each in (session, session, other)]
            if seen[0] != seen[1] or seen[2] in seen[:2]:
                return True
    return False


_ROUNDS = 5


def _backend_of(session: Any) -> int:
    # Not prepared, as psycopg does after five times: another backend does not know the statement.
    return int(session.execute("SELECT pg_backend_pid()", prepare=False).fetchone()[0])


def server_identity(connection: Connection) -> str | None:
    """Which database of which PostgreSQL server this is; None on SQLite, where the machine counts."""
    if is_sqlite(connection):
        return None
    found = connection.execute(text(_SERVER_IDENTITY)).one()
    return f"{found[0]}/{found[1]}"


_SERVER_IDENTITY = (
    "SELECT (SELECT system_identifier FROM pg_control_system()), "
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
)


# --- schema


def lock_schema(connection: Connection) -> None:
    """Let one process at a time migrate; on SQLite the writing transaction does that by itself."""
    if not is_sqlite(connection):
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MIGRATION_LOCK})


def set_foreign_keys(connection: Connection, on: bool) -> None:
    """Switch SQLite's foreign keys, bypassing SQLAlchemy: SQLite ignores the switch inside a transaction."""
    if is_sqlite(connection):
        raw: Any = connection.connection.driver_connection
        raw.execute(f"PRAGMA foreign_keys={'ON' if on else 'OFF'}").close()


def orphans(connection: Connection) -> list[str]:
    """Rows whose parents are missing; always empty on PostgreSQL."""
    if not is_sqlite(connection):
        return []
    found = connection.exec_driver_sql("PRAGMA foreign_key_check")
    return [f"row {row[1]} of {row[0]} points to a missing {row[2]}" for row in found]


def damages(connection: Connection) -> list[str]:
    """Faults that SQLite finds in its file; PostgreSQL has its own tools for that."""
    if not is_sqlite(connection):
        return []
    found = connection.exec_driver_sql("PRAGMA integrity_check")
    return [str(row[0]) for row in found if row[0] != "ok"]


def build_wall(connection: Connection, wall: Wall) -> None:
    """Drop and create one trigger, inside the caller's transaction."""
    name, table, event, condition, says = wall
    if is_sqlite(connection):
        statements: Sequence[str] = (
            f"DROP TRIGGER IF EXISTS {name}",
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{says}'); END",
        )
    else:
        statements = (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            # Not in a WHEN: there, PostgreSQL allows no subquery.
            f"$$ BEGIN IF {condition} THEN RAISE EXCEPTION '{says}'; END IF; "
            "RETURN COALESCE(NEW, OLD); END $$",
            f"DROP TRIGGER IF EXISTS {name} ON {table}",
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
        )
    for statement in statements:
        connection.execute(text(statement))


def standing_triggers(connection: Connection) -> set[str]:
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if is_sqlite(connection)
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
    )
    return set(connection.execute(text(query)).scalars())


def but_not_twice(rows: Select[Any]) -> Select[Any]:
    """Make INSERT … SELECT skip rows that violate a unique index.

    The query needs a WHERE: without one, SQLite reads the added clause as that of a join.
    """
    return rows.suffix_with("ON CONFLICT DO NOTHING")


# --- staging of imports

# One statement for this many rows takes half the time of one statement per row.
_ROWS_AT_ONCE = 50
_STAGING_PRAGMAS = (
    # Without a journal: after a failure the whole staging file is discarded.
    "staging.page_size=32768",
    "staging.journal_mode=OFF",
    "staging.synchronous=OFF",
    "staging.cache_size=-2048",
    "cache_size=-16384",  # KiB, also for sorting: an import's memory does not grow with its file
    # An import has created or looked up everything its rows refer to, and writes one constant state:
    # checking a million rows again would hold the write lock twice as long.
    "foreign_keys=OFF",
    "ignore_check_constraints=ON",
)


def dialect_of(session: Connection) -> Dialect:
    """What compiles statements for this database, and reads and writes its values."""
    return session.dialect


def driver_error(session: Connection) -> type[Exception]:
    """What the driver raises, where SQLAlchemy is bypassed."""
    return session.dialect.loaded_dbapi.Error


def as_database_error(session: Connection, problem: Any) -> DBAPIError:
    """Wrap an error of the driver as SQLAlchemy would."""
    if session.dialect.is_disconnect(problem, session.connection.driver_connection, None):
        session.invalidate(problem)
    found = DBAPIError.instance(None, None, problem, driver_error(session), dialect=session.dialect)
    assert isinstance(found, DBAPIError)
    return found


@contextmanager
def driver_errors(session: Connection) -> Iterator[None]:
    """Wrap the driver's errors inside the block as SQLAlchemy would."""
    try:
        yield
    except driver_error(session) as problem:
        raise as_database_error(session, problem) from problem


def open_staging(session: Connection, database: Path | None, tables: MetaData) -> None:
    """Create the staging tables, which only this session sees and which end with it.

    On SQLite they are a separate database file beside ours, attached as `staging`: temporary tables would
    be in the system's temporary folder, which is often in memory. The file is unlinked as soon as it is
    open, so that a killed import leaves nothing behind.
    """
    if database is None:
        with session.begin():
            tables.create_all(session, checkfirst=False)
        return
    raw: Any = session.connection.driver_connection
    descriptor, name = tempfile.mkstemp(prefix=f"{database.name}.staging-", dir=database.parent)
    os.close(descriptor)
    try:
        with driver_errors(session):
            raw.execute("ATTACH DATABASE ? AS staging", (name,)).close()
            for pragma in _STAGING_PRAGMAS:
                raw.execute(f"PRAGMA {pragma}").close()
            for table in tables.sorted_tables:
                columns = ", ".join(_column(column) for column in table.columns)
                raw.execute(f"CREATE TABLE staging.{table.name} ({columns})").close()
    finally:
        os.unlink(name)


def _column(column: Column[Any]) -> str:
    kind = "TEXT" if isinstance(column.type, Text) else "INTEGER"
    return f"{column.name} {kind}{' PRIMARY KEY' if column.primary_key else ''}"


def load(session: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Load a stream of rows into a staging table in the fastest way."""
    fill = _insert_many if is_sqlite(session) else _copy
    with driver_errors(session):
        fill(session.connection.driver_connection, table, columns, iter(rows))


def _insert_many(raw: Any, table: str, columns: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    # This transaction writes only to the staging file and takes no lock on the database.
    raw.execute("BEGIN").close()
    marks = ", ".join("?" * len(columns))
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        values = ", ".join([f"({marks})"] * len(batch))
        flat = list(chain.from_iterable(batch))
        raw.execute(f"INSERT INTO staging.{table} ({', '.join(columns)}) VALUES {values}", flat).close()
    raw.execute("COMMIT").close()


def _copy(raw: Any, table: str, columns: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    with raw.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    raw.commit()


def gather_statistics(session: Connection, table: str) -> None:
    """Analyse a filled staging table; SQLite needs none, because it has only one query plan here."""
    if not is_sqlite(session):
        session.exec_driver_sql(f"ANALYZE {table}")


def lock_contacts(connection: Connection) -> None:
    """Keep other sessions from adding contacts until the end; on SQLite the transaction itself does."""
    if not is_sqlite(connection):
        connection.execute(text("LOCK TABLE contact IN SHARE ROW EXCLUSIVE MODE"))


def reserve_ids(connection: Connection, table: str, count: int) -> int:
    """Reserve `count` ids; the first is one above the returned number. The caller has locked the table."""
    if is_sqlite(connection):
        query = text("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = :name")
        return int(connection.execute(query, {"name": table}).scalar_one())
    sequence = {"name": f"{table}_id_seq"}
    found = connection.execute(text("SELECT nextval(CAST(:name AS regclass))"), sequence).scalar_one()
    connection.execute(
        text("SELECT setval(CAST(:name AS regclass), :last)"), {**sequence, "last": found + count}
    )
    return int(found)


def domain_of(connection: Connection, address: ColumnElement[str]) -> ColumnElement[str]:
    """The part after the `@` of a normalised address, as an expression."""
    if is_sqlite(connection):
        return func.substr(address, func.instr(address, "@") + 1, type_=Text())
    return func.split_part(address, "@", 2, type_=Text())


def parent_domain(connection: Connection, domain: ColumnElement[str]) -> ColumnElement[str | None]:
    """The part after the first dot of a domain, as an expression; NULL if it has no dot."""
    position = func.instr(domain, ".") if is_sqlite(connection) else func.strpos(domain, ".")
    # Without a dot the part is the domain itself.
    return func.nullif(func.substr(domain, position + 1), domain, type_=Text())


def sha256(connection: Connection, column: ColumnElement[str]) -> ColumnElement[str]:
    """Return the hash of `suppressions.fingerprint` as an SQL expression."""
    if is_sqlite(connection):
        return func.mailrotate_sha256(column, type_=Text())
    return func.encode(func.sha256(func.convert_to(column, "UTF8")), "hex", type_=Text())


def json_text(connection: Connection, column: ColumnElement[str], key: str) -> ColumnElement[str]:
    """A value of a JSON object as text; NULL if the object has no such key."""
    if is_sqlite(connection):
        return cast(func.json_extract(column, f"$.{key}"), Text)
    from sqlalchemy.dialects.postgresql import JSONB

    found: ColumnElement[str] = cast(column, JSONB)[key].astext
    return found


def merged_fields(
    connection: Connection, below: ColumnElement[str], above: ColumnElement[str]
) -> ColumnElement[str]:
    """Merge two JSON objects; the values of the second win."""
    if is_sqlite(connection):
        merged: ColumnElement[str] = func.json_patch(below, above)
    else:
        # Imported here, because this import takes longer than a whole command that does not need it.
        from sqlalchemy.dialects.postgresql import JSONB

        merged = cast(cast(below, JSONB).concat(cast(above, JSONB)), Text)
    return case((func.coalesce(below, "{}") == "{}", above), else_=merged)
