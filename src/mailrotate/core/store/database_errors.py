"""What the errors of SQLite and PostgreSQL mean to the user."""

import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError, OperationalError

from mailrotate.core.values.errors import Busy, StoreTrouble, WrongDatabase
from mailrotate.core.values.hint import AnyHint, Command

_SQLITE_SAYS = (
    ("database or disk is full", "store.full"),
    ("disk i/o error", "store.io"),
    ("readonly database", "store.read_only"),
    ("file is not a database", "store.not_a_database"),
    ("database disk image is malformed", "store.damaged"),
    ("unable to open database file", "store.cannot_open"),
)
# What SQLite says when it cannot make the small files beside a database, which even a reader needs.
_FOR_WANT_OF_ROOM = ("store.io", "store.cannot_open")
_LEAST_ROOM = 2**17  # bytes; the shared index of its log takes 2**15
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_SAYS = {
    "53100": "store.full",
    "58030": "store.io",
    "25006": "store.read_only",
    "42501": "store.no_right",
    "XX001": "store.damaged",
    "XX002": "store.damaged",
}
# Lock not available, deadlock, serialization failure, too many connections.
_POSTGRESQL_BUSY = ("55P03", "40P01", "40001", "53300")
_TOLD: Mapping[str, tuple[str, AnyHint]] = {
    "store.full": ("the disk that holds {db} is full", "free some space, then run the command again"),
    "store.io": ("the disk that holds {db} reports an error", Command("db", "check")),
    "store.read_only": ("{db} cannot be written to", "check who may write to it and its folder"),
    "store.no_right": ("{db} does not let this user do that", "check which user MAILROTATE_DB names"),
    "store.not_a_database": ("{db} is not a mailrotate database", "name another file with --db"),
    "store.damaged": ("{db} is damaged", Command("db", "restore", "BACKUP")),
    "store.cannot_open": ("{db} cannot be opened", "check the path and your permissions"),
}  # fmt: skip


def explain(problem: DBAPIError, name: str, free_bytes: int | None) -> StoreTrouble | Busy | None:
    """Translate a database error into ours; None for a defect of the program, which is shown as it is.

    `free_bytes` is what the disk of a SQLite file has left, None where that is not known.
    """
    if isinstance(problem.orig, sqlite3.Error):
        said = str(problem.orig).lower()
        if "is locked" in said:
            return _busy(name)
        code = next((code for words, code in _SQLITE_SAYS if words in said), None)
        if code in _FOR_WANT_OF_ROOM and free_bytes is not None and free_bytes < _LEAST_ROOM:
            code = "store.full"
        return None if code is None else _trouble(code, name)
    state = getattr(problem.orig, "sqlstate", None)
    if state in _POSTGRESQL_BUSY:
        return _busy(name)
    if state in _POSTGRESQL_SAYS:
        return _trouble(_POSTGRESQL_SAYS[state], name)
    if isinstance(problem, OperationalError) or problem.connection_invalidated:
        return StoreTrouble(
            "store.unreachable",
            f"{name} does not answer: {_first_line(problem.orig)}",
            "check that the server runs and that MAILROTATE_DB names it",
        )
    return None


def _busy(name: str) -> Busy:
    return Busy("store.locked", f"another process holds {name}", "run the command again in a moment")


def _trouble(code: str, name: str) -> StoreTrouble:
    message, hint = _TOLD[code]
    kind = WrongDatabase if code == "store.not_a_database" else StoreTrouble
    return kind(code, message.format(db=name), hint)


def _first_line(problem: object) -> str:
    return str(problem).strip().split("\n", 1)[0]
