"""`make test` tests the services on SQLite, and `make proof` tests them on PostgreSQL as well.

Every statement of the store is tested on both databases in `make test`. Locks are what differs for a service:
the files in `_LOCKS` test them, and run on both databases in `make test`.
"""

from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_LOCKS = ("test_at_once.py", "test_recovery.py", "test_settings_at_once.py", "test_settlements.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        called = getattr(item, "callspec", None)
        is_on_server = called is not None and "postgresql" in called.params.values()
        if is_on_server and item.path.parent == _HERE and item.path.name not in _LOCKS:
            item.add_marker(pytest.mark.proof)
