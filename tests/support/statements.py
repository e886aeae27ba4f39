"""Counts what is asked of the database."""

from types import TracebackType
from typing import Any

from sqlalchemy import event

from mailrotate.core.store.engine import Store


class statements:
    """The statements that the block runs; many rows with one statement count as one."""

    def __init__(self, store: Store) -> None:
        self._engine = store.engine
        self._seen: list[str] = []

    def __enter__(self) -> list[str]:
        event.listen(self._engine, "before_cursor_execute", self._note)
        return self._seen

    def __exit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        event.remove(self._engine, "before_cursor_execute", self._note)

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self._seen.append(statement)


class Watched:
    """What each committed transaction of a store has changed: its statements, in order."""

    def __init__(self, engine: Any) -> None:
        self.committed: list[list[str]] = []
        self._open: dict[int, list[str]] = {}
        event.listen(engine, "before_cursor_execute", self._note)
        event.listen(engine, "commit", self._commit)

    def _note(self, connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self._open.setdefault(id(connection.connection.dbapi_connection), []).append(statement)

    def _commit(self, connection: Any) -> None:
        done = self._open.pop(id(connection.connection.dbapi_connection), [])
        if any(s.startswith(("UPDATE recipient", "UPDATE message", "UPDATE mailbox ")) for s in done):
            self.committed.append(done)
