"""A program's own database, from the inside: what its commands have stored, and rows beside it."""

from collections.abc import Iterator
from contextlib import contextmanager

from mailrotate.core.store.engine import open_store
from mailrotate.core.store.workspaces import user_by_email
from tests.support.program import Program
from tests.support.rows import Workspace


@contextmanager
def inside(program: Program, email: str) -> Iterator[Workspace]:
    """With the user of this address as its admin."""
    store = open_store(program.env["MAILROTATE_DB"])
    try:
        with store.reading() as connection:
            admin = user_by_email(connection, email)
        assert admin is not None
        yield Workspace(store, admin)
    finally:
        store.close()
