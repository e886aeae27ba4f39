"""Two connected mailboxes in a workspace of its own, on servers of the tests' own."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.console import Console
from tests.support.mail_fixtures import missing
from tests.support.post_office import PostOffice
from tests.support.tls import TlsAuthority

ANNA, BEN = "anna@acceptance.example.org", "ben@acceptance.example.org"
PASSWORD = "of-two-mailboxes"
# A Friday; the Monday after it is the 3rd of March. Nothing in these tests happens at the true time.
CONNECTED_AT = datetime(2031, 2, 28, 10, tzinfo=UTC)


@pytest.fixture(scope="session")
def two_mailboxes(
    post_office: PostOffice, authority: TlsAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Console:
    """Anna and Ben, connected by command line without a gap between messages; only ever copied."""
    if shutil.which("faketime") is None:
        missing("faketime", "apt-get install faketime")
    home = tmp_path_factory.mktemp("two-mailboxes")
    program = Console(home, {"SSL_CERT_FILE": str(authority.ca_file)}).at(CONNECTED_AT)
    for address in (ANNA, BEN):
        post_office.connect(program, address, PASSWORD, "--gap", "0s")
    return program


@pytest.fixture
def program(two_mailboxes: Console, tmp_path: Path) -> Console:
    return two_mailboxes.moved(tmp_path)
