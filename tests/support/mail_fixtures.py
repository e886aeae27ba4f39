"""Fixtures around mail servers and the network; `tests/conftest.py` registers them."""

import os
from collections.abc import Iterator

import pytest

from tests.support.dovecot import Dovecot, find_dovecot
from tests.support.network_guard import only_loopback
from tests.support.smtp_sink import SmtpSink, find_smtp_sink
from tests.support.tls import TlsAuthority


@pytest.fixture(scope="session", autouse=True)
def _only_loopback() -> Iterator[None]:
    with only_loopback():
        yield


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsAuthority]:
    """A certificate authority that this process, and each it starts, trusts."""
    made = TlsAuthority(tmp_path_factory.mktemp("tls"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(made.ca_file))
        yield made


@pytest.fixture(scope="session")
def dovecot(authority: TlsAuthority) -> Iterator[Dovecot]:
    """One server for all tests of this process; each makes users of its own."""
    if find_dovecot() is None:
        missing("dovecot", "apt-get install dovecot-core dovecot-imapd dovecot-lmtpd")
    server = Dovecot(authority)
    yield server
    server.stop()


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    if find_smtp_sink() is None:
        missing("smtp-sink", "apt-get install postfix")
    server = SmtpSink()
    yield server
    server.stop()


def missing(program: str, command: str) -> None:
    """Skip a test that needs a program, or fail it where everything must run."""
    reason = f"{program} is not here; on Debian: {command}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
