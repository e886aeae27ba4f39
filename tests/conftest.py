"""What all tests share; each plugin says what its fixtures are."""

import gc
import os

import pytest
from hypothesis import Phase, settings

from tests.support.memory import folder_in_memory

pytest_plugins = [
    "tests.support.compiled",
    "tests.support.console",
    "tests.support.databases",
    "tests.support.mail_fixtures",
    "tests.support.post_office",
    "tests.support.rows",
    "tests.support.webhook_server",
    # After those that it imports.
    "tests.support.people",
    "tests.acceptance.old_workspace",
]

if memory := folder_in_memory():
    # pytest makes its `tmp_path` below this folder.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))

# A shared machine may be slow at any moment; how long an example takes proves nothing.
settings.register_profile("mailrotate", deadline=None, print_blob=True)
# `make mutate` asks only whether a test fails, so it needs no smallest example; two runs must find the same.
settings.register_profile(
    "mutate",
    settings.get_profile("mailrotate"),
    max_examples=50,
    phases=(Phase.explicit, Phase.generate),
    derandomize=True,
    database=None,
)
settings.load_profile("mailrotate")

# Tests that take ten seconds and more. They run first, so that no worker is left alone with them at the end.
_SLOWEST = (
    "tests/acceptance/",
    "tests/model/",
    "test_processes.py",
    "test_team_machine.py",
    "test_why_property.py",
)


def pytest_collection_finish() -> None:
    """Collect garbage rarely, and leave out the imported modules: collecting took a twentieth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not any(name in item.nodeid for name in _SLOWEST))
