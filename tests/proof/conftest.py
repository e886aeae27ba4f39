"""What the proofs stand on: an inbox server, and the tools that stop a process at an instruction."""

import shutil
from collections.abc import Iterator

import pytest

from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.proof.ground import PASSWORD
from tests.support.mail_fixtures import missing


@pytest.fixture(scope="session")
def inboxes() -> Iterator[SandboxInfo]:
    """IMAP for anna, ben and clara, whose inboxes stay empty."""
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


@pytest.fixture(scope="session")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        missing("strace", "apt-get install strace")
    assert found is not None
    return found
