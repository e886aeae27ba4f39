"""F6 and F3: a clock that cannot be believed, and a database that cannot be written to for a while."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailrotate.sandbox.server import SandboxInfo
from tests.proof.ground import CAMPAIGN, Ground
from tests.proof.mail_host import MailHost
from tests.support.mail_fixtures import missing

pytestmark = [pytest.mark.proof, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def faketime() -> str:
    found = shutil.which("faketime")
    if found is None:
        missing("faketime", "apt-get install faketime")
    assert found is not None
    return found


@pytest.fixture
def host() -> Iterator[MailHost]:
    with MailHost() as made:
        yield made


@pytest.fixture
def ground(inboxes: SandboxInfo, host: MailHost, tmp_path: Path) -> Ground:
    made = Ground(tmp_path)
    endpoint = f"{inboxes.imap.host}:{inboxes.imap.port}"
    made.connect({inboxes.senders[0]: host.endpoint}, endpoint, "--gap", "0s")
    made.start_campaign(1, inboxes.senders[:1])
    return made


def test_f6_a_clock_behind_the_latest_instant_acted_on_sends_nothing_and_says_so(
    ground: Ground, host: MailHost, faketime: str
) -> None:
    ground.program.run("run", "--once")
    ground.program.run("recipient", "add", CAMPAIGN, "late@firm.example.com", "--field", "name=Lea")
    late = ground.program.started_by(faketime, "--exclude-monotonic", "-f", "-120s")
    refused = late.run("run", "--once", "--json", check_status=1)
    assert refused.error()["code"] == "clock.behind"
    assert "nothing is sent" in refused.error()["message"]
    assert len(host.taken) == 1
    ground.program.run("run", "--once")
    assert len(host.taken) == 2


def test_f6_a_jump_between_staging_and_mark_keeps_the_message_back(
    ground: Ground, host: MailHost, faketime: str
) -> None:
    shift = ground.home / "shift"
    shift.write_text("+0s")
    # The wrapper itself would read the clock's shift once, at its start; the file is read each time.
    program = ground.program.started_by(
        faketime, "--exclude-monotonic", "-f", "+0s",
        "env", "-u", "FAKETIME", "FAKETIME_NO_CACHE=1", f"FAKETIME_TIMESTAMP_FILE={shift}",
    )  # fmt: skip

    def jump(moment: str) -> None:
        if moment == "before data":
            shift.write_text("+2h")

    host.watch = jump
    ran = program.run("run", "--once", check_status=1)
    assert "the clock jumped 1h59m59s forward" in ran.stderr or "the clock jumped 2h forward" in ran.stderr
    assert host.data_count == 1
    assert host.taken == []
    assert ground.states() == {"scheduled": 1}

    # The clock that nobody believed is not one that others must wait for.
    ground.program.run("run", "--once")
    assert len(host.taken) == 1


def test_f3_an_answer_is_recorded_once_a_locked_database_can_be_written_again(
    ground: Ground, host: MailHost
) -> None:
    answered, unlocked = threading.Event(), threading.Event()
    holders: list[threading.Thread] = []

    def lock(moment: str) -> None:
        if moment == "after dot":
            answered.set()
        if moment != "before dot":
            return
        locked = threading.Event()
        holders.append(threading.Thread(target=_hold, args=(ground.database, locked, unlocked)))
        holders[0].start()
        assert locked.wait(10)

    host.watch = lock
    process = ground.program.start("run", "--once")
    try:
        assert answered.wait(60)
        holders[0].join(10)
        assert process.poll() is None, "it ended although its answer could not be recorded"
        said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        unlocked.set()
    assert process.returncode == 0, said
    assert ground.states() == {"sent": 1}
    ground.program.run("run", "--once")
    assert len(host.taken) == 1


def _hold(database: Path, locked: threading.Event, unlocked: threading.Event) -> None:
    """Be another process that writes for some seconds."""
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked.set()
        unlocked.wait(4)
        other.execute("ROLLBACK")
