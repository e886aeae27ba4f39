"""Counts what is asked of the database."""

from types import TracebackType

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
