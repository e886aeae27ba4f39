"""Counts the commits of a process that may have written something."""

import sqlite3
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event

from mailrotate.core.store.engine import Store


def count_commits(store: Store) -> Callable[[], int]:
    """Count what SQLAlchemy reports, which costs next to nothing, without transactions that only read."""
    seen: list[None] = []

    @event.listens_for(store.engine, "commit")
    def note(connection: Connection) -> None:
        if connection.get_execution_options().get("mailrotate_writes"):
            seen.append(None)

    return lambda: len(seen)


def trace_commits(store: Store) -> Callable[[], int]:
    """Count what SQLite itself runs, on whichever way it was asked: each COMMIT after a BEGIN IMMEDIATE."""
    seen: list[None] = []
    store.engine.dispose()

    @event.listens_for(store.engine, "connect")
    def watch(connection: sqlite3.Connection, _record: Any) -> None:
        writes = False

        def note(statement: str) -> None:
            nonlocal writes
            if statement.startswith("BEGIN"):
                writes = statement == "BEGIN IMMEDIATE"
            elif statement == "COMMIT" and writes:
                seen.append(None)

        connection.set_trace_callback(note)

    return lambda: len(seen)
