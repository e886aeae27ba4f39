"""Statements compiled once for a whole test process, and not again for each database of a test.

SQLAlchemy keeps compiled statements by engine and dialect object, and a test has both anew.
"""

from typing import Any

from sqlalchemy import Dialect, Engine, create_engine, event

from mailrotate.core.store import engine as store_engine

# The first of each name that has connected: only then does a dialect know its server.
_dialects: dict[str, Dialect] = {}
_compiled: dict[Any, Any] = {}


def _make(*args: Any, **options: Any) -> Engine:
    made = create_engine(*args, **options)
    name = made.dialect.name
    if name in _dialects:
        made.dialect = _dialects[name]
        made.update_execution_options(compiled_cache=_compiled)
    else:
        event.listen(made, "connect", lambda *_: _dialects.setdefault(name, made.dialect))
    return made


store_engine.create_engine = _make
