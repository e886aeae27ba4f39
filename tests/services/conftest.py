"""On which database the services are tested when: in `make test` on a file, in `make proof` on PostgreSQL.

The store's tests run every statement on both in `make test`. For a service the two differ in who waits for
whom; the tests of that are in `make test` on both as well.
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
