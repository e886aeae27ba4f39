"""H1, F3, C11: a runner that was stopped, or lost its life lock, wakes among others."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailrotate.sandbox.server import SandboxInfo
from tests.proof.ground import CAMPAIGN, Ground, SharedGround
from tests.proof.mail_host import MailHost
from tests.support.databases import PostgresqlServer

pytestmark = [pytest.mark.proof, pytest.mark.timeout(240)]

PEOPLE = 3
_BUSY = 6


@pytest.fixture
def host() -> Iterator[MailHost]:
    with MailHost() as made:
        yield made


def prepare(ground: Ground, inboxes: SandboxInfo, host: MailHost) -> None:
    endpoint = f"{inboxes.imap.host}:{inboxes.imap.port}"
    ground.connect({inboxes.senders[0]: host.endpoint}, endpoint, "--gap", "0s")
    ground.start_campaign(PEOPLE, inboxes.senders[:1])


@pytest.fixture
def shared(
    postgresql: PostgresqlServer, inboxes: SandboxInfo, host: MailHost, tmp_path: Path
) -> Iterator[SharedGround]:
    name = f"proof_{os.getpid()}_stopped"
    ground = SharedGround(tmp_path, postgresql.make(name))
    try:
        prepare(ground, inboxes, host)
        yield ground
    finally:
        postgresql.drop(name)


@contextmanager
def stopped_at(
    ground: Ground, host: MailHost, moment: str, *command: str
) -> Iterator["subprocess.Popen[str]"]:
    """A runner that was stopped while the server held back its first answer at that moment."""
    process = ground.program.start(*command)
    stopped = threading.Event()

    def stop(reached: str) -> None:
        if reached == moment and not stopped.is_set():
            os.kill(process.pid, signal.SIGSTOP)
            # The signal is taken by one thread; until that has run, the others go on, and one of them
            # would read the answer that this return lets out.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            stopped.set()

    host.watch = stop
    try:
        assert stopped.wait(60)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_f3_a_stopped_runner_whose_lane_was_taken_over_sends_nothing_when_it_wakes(
    shared: SharedGround, host: MailHost
) -> None:
    with stopped_at(shared, host, "before data", "run", "--once") as stopped:
        shared.end_sessions()
        shared.program.run("run", "--once")
        assert shared.states() == {"sent": PEOPLE}
        taken = host.taken_ids()
        assert len(set(taken)) == len(taken) == PEOPLE
        stopped.send_signal(signal.SIGCONT)
        said = stopped.communicate(timeout=60)
        assert stopped.returncode in (0, 1), said
        assert "Traceback" not in said[1]
    assert host.taken_ids() == taken
    assert host.data_count == PEOPLE + 1
    assert shared.states() == {"sent": PEOPLE}


def test_f3_the_answer_to_a_stopped_runner_settles_what_others_hold(
    shared: SharedGround, host: MailHost
) -> None:
    with stopped_at(shared, host, "before dot", "run", "--once") as stopped:
        shared.end_sessions()
        shared.program.run("run", "--once")
        assert shared.states() == {"sent": PEOPLE - 1, "held": 1}
        stopped.send_signal(signal.SIGCONT)
        said = stopped.communicate(timeout=60)
        assert stopped.returncode in (0, 1), said
        assert "Traceback" not in said[1]
    assert shared.states() == {"sent": PEOPLE}
    taken = host.taken_ids()
    assert len(set(taken)) == len(taken) == PEOPLE


def test_h1_a_loop_that_lost_its_sessions_goes_on_as_a_runner_that_others_see_alive(
    shared: SharedGround, host: MailHost
) -> None:
    with stopped_at(shared, host, "before data", "run", "--every", "1s") as stopped:
        shared.end_sessions()
        shared.program.run("run", "--once")
        first = host.taken_ids()
        answered = threading.Event()
        host.watch = lambda moment: answered.set() if moment == "after dot" else None
        stopped.send_signal(signal.SIGCONT)
        shared.program.run("recipient", "add", CAMPAIGN, "late@firm.example.com", "--field", "name=Lea")
        assert answered.wait(60)
        alive = [one["alive"] for one in shared.program.run("runner", "list", "--json").json()]
        assert True in alive
        stopped.terminate()
        said = stopped.communicate(timeout=60)
        assert stopped.returncode == 0, said
    assert len(host.taken_ids()) == len(set(host.taken_ids())) == len(first) + 1
    assert shared.states() == {"sent": PEOPLE + 1}


def test_h1_on_sqlite_a_second_runner_exits_6_while_the_first_is_stopped(
    inboxes: SandboxInfo, host: MailHost, tmp_path: Path
) -> None:
    ground = Ground(tmp_path)
    prepare(ground, inboxes, host)
    with stopped_at(ground, host, "before data", "run", "--once") as stopped:
        before = ground.letters()
        second = ground.program.run("run", "--once", "--json", check_status=_BUSY)
        assert second.error()["code"] == "runner.busy"
        assert ground.letters() == before
        stopped.send_signal(signal.SIGCONT)
        said = stopped.communicate(timeout=60)
        assert stopped.returncode == 0, said
    assert ground.states() == {"sent": PEOPLE}
    assert len(set(host.taken_ids())) == len(host.taken_ids()) == PEOPLE
