"""A running sandbox for each test; starting one takes milliseconds."""

from collections.abc import Iterator

import pytest

from mailrotate.sandbox.server import Sandbox, SandboxInfo


@pytest.fixture
def info() -> Iterator[SandboxInfo]:
    with Sandbox() as sandbox:
        yield sandbox.info
