"""A runner under cron, under signals, with a full disk and without its key.

Every command here has the environment that cron gives and standard input closed; nothing fakes the clock.
"""

import base64
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mailrotate.core.values.states import Security
from tests.acceptance.autumn import CAMPAIGN, people_file
from tests.support.canary import files_with, found_in, said_with
from tests.support.console import Console
from tests.support.dovecot import Dovecot
from tests.support.keyring_backends import Working, environment_for
from tests.support.mail_fixtures import missing
from tests.support.program import Program
from tests.support.scripted_smtp import ScriptedSmtp
from tests.support.tls import TlsAuthority

pytestmark = pytest.mark.proof

CARLA = "carla@hosting.example.org"
CANARY = "Canary+of/hosts=mine 0815"
PEOPLE = [f"hosting-{number}@example.com" for number in range(3)]
ALWAYS = CAMPAIGN.replace("mon-fri", "mon-sun").replace("09:00-17:00", "00:00-24:00")
KEPT = ("PATH", "HOME", "MAILROTATE_DB", "MAILROTATE_KEY_FILE", "SSL_CERT_FILE")


@dataclass
class Dot:
    """Where a server stops before it answers the first final dot, until it is told to go on."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, phase: str) -> None:
        if phase == "dot":
            self.reached.set()
            self.go_on.wait(100)


@dataclass(frozen=True)
class Ready:
    server: ScriptedSmtp
    program: Program


def under_cron(program: Program) -> Program:
    variables = [f"{name}={value}" for name, value in program.env.items() if name in KEPT]
    return program.started_by("sh", "-c", 'exec "$@" <&-', "sh", "env", "-i", *variables)


@pytest.fixture(scope="module")
def ready(
    dovecot: Dovecot, authority: TlsAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ready]:
    """H1, I1: the whole job up to the first pass needs no terminal, no session and no standard input."""
    home = tmp_path_factory.mktemp("hosting")
    program = Program(home, {"SSL_CERT_FILE": str(authority.ca_file)})
    cron = under_cron(program)
    dovecot.add_user(CARLA, CANARY)
    password = tmp_path_factory.mktemp("password") / "password"
    password.write_text(CANARY)
    (home / "autumn.toml").write_text(ALWAYS)
    (home / "people.csv").write_text(people_file(PEOPLE))
    with ScriptedSmtp(security=Security.TLS, tls=authority.server_context()) as server:
        where = ("--smtp", f"localhost:{server.port}", "--imap", f"localhost:{dovecot.imaps_port}")
        settings = ("--security", "tls", "--gap", "0s", "--password-file", str(password))
        cron.run("mailbox", "connect", CARLA, *where, *settings)
        cron.run("campaign", "create", "autumn.toml")
        cron.run("recipient", "import", "autumn", "people.csv")
        cron.run("campaign", "start", "autumn")
        yield Ready(server, program)


@pytest.fixture
def program(ready: Ready, tmp_path: Path) -> Iterator[Program]:
    program = under_cron(ready.program.moved(tmp_path))
    yield program
    ready.server.before_reply = None
    assert said_with(CANARY, program.said) == [], "I1: a command has told the password"
    assert files_with(CANARY, tmp_path) == [], "I1: the password lies in a file"


@contextmanager
def in_flight(ready: Ready, program: Program, *command: str) -> Iterator[tuple["subprocess.Popen[str]", Dot]]:
    """A runner that waits for the server's answer to the final dot of its first message."""
    dot = Dot()
    ready.server.before_reply = dot
    ready.server.dots.clear()
    ready.server.taken.clear()
    process = program.start(*command)
    try:
        assert dot.reached.wait(60), "the runner has sent nothing"
        yield process, dot
    finally:
        dot.go_on.set()
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def looking_at(program: Program) -> Console:
    """The same home, for what is only looked at: a process each would take long."""
    console = Console(program.home, program.env)
    console.said = program.said
    return console


def states(program: Program) -> list[str]:
    return [message["state"] for message in looking_at(program).run("outbox", "list", "--json").json()]


def test_h1_h2_a_second_runner_does_nothing_and_sigterm_lets_the_message_in_flight_be_recorded(
    ready: Ready, program: Program
) -> None:
    with in_flight(ready, program, "run", "--every", "1s", "--json") as (process, dot):
        connections = ready.server.connection_count
        busy = program.run("run", "--once", "--json", check_status=6)
        assert busy.error()["code"] == "runner.busy"
        assert busy.stdout == ""
        program.run("run", "--once", "--quiet-if-busy")
        assert ready.server.connection_count == connections, "H1: the second runner does nothing"
        assert states(program) == ["sending", "scheduled", "scheduled"]
        for seen in ("cmdline", "environ"):
            text = Path(f"/proc/{process.pid}/{seen}").read_bytes()
            assert found_in(CANARY, text) == [], f"I1: the password stands in {seen}"

        process.send_signal(signal.SIGTERM)
        dot.go_on.set()
        said = process.communicate(timeout=60)
    program.said += said
    assert process.returncode == 0, said
    assert len(ready.server.taken) == 1, "H2: the message in flight, and no other"
    assert states(program) == ["sent", "scheduled", "scheduled"], "H2: finished and recorded"
    assert program.run("run", "--once", "--json").json()["sent"] == 2
    assert len(set(ready.server.taken)) == len(ready.server.dots) == 3, "F3: each once"


@contextmanager
def full_disk(process: "subprocess.Popen[str]") -> Iterator[Iterator[str]]:
    """Every write of a database file by that process fails with ENOSPC; yields each that does."""
    inject = ("-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC")
    strace = subprocess.Popen(
        ["strace", "-f", *inject, "-p", str(process.pid)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline(), "strace may not look into our own processes here"
        yield (line for line in strace.stderr if "ENOSPC" in line)
    finally:
        strace.terminate()
        strace.communicate(timeout=30)


def test_f3_a_disk_that_is_full_after_the_250_makes_the_lane_wait_and_sends_nothing_twice(
    ready: Ready, program: Program
) -> None:
    if shutil.which("strace") is None:
        missing("strace", "apt-get install strace")
    with in_flight(ready, program, "run", "--once", "--json") as (process, dot):
        with full_disk(process) as failures:
            dot.go_on.set()
            for _ in range(4):
                next(failures)
            assert len(ready.server.taken) == 1, "the server has taken the first message"
            assert states(program) == ["sending", "scheduled", "scheduled"], "and nobody could record it"
            assert len(ready.server.dots) == 1, "F3: while it cannot be recorded, the lane sends nothing"
            assert process.poll() is None
        said = process.communicate(timeout=60)
    program.said += said
    assert process.returncode == 0, said
    assert states(program) == ["sent"] * 3, "recorded once there was room"
    assert len(set(ready.server.taken)) == len(ready.server.dots) == 3, "F3: each once"


@contextmanager
def growing_no_file(process: "subprocess.Popen[str]") -> Iterator[None]:
    """That process can make no file grow, as within a quota that is used up: the disk itself has room."""
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    # Below what the file of the database has already, above the mark of sending.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_f3_a_lasting_enospc_while_an_answer_is_recorded_is_said_at_once_and_in_status(
    ready: Ready, program: Program
) -> None:
    looking = looking_at(program)
    with in_flight(ready, program, "run", "--once", "--json") as (process, dot):
        assert process.stderr is not None
        with growing_no_file(process):
            dot.go_on.set()
            first = process.stderr.readline()
            assert "what the server answered for m_1 waits to be recorded" in first, first
            headline = ""
            while not headline.startswith("not sending: what a server answered cannot be recorded"):
                assert process.poll() is None
                headline = looking.run("status").stdout.splitlines()[0]
            assert str(program.home / "workspace.db") in headline
            document = looking.run("status", "--json").json()
            assert (document["headline"]["code"], document["sending"]) == ("unrecorded", False)
            assert document["next_command"] == "mailrotate runner list"
            assert "cannot be recorded" in looking.run("why", "m_2").stdout
            assert len(ready.server.dots) == 1, "F3: while it cannot be recorded, the lane sends nothing"
        said = process.communicate(timeout=60)
    program.said += said
    assert process.returncode == 0, said
    assert "waits to be recorded" not in said[1], "said once, however often it was tried"
    assert states(program) == ["sent"] * 3, "recorded once there was room"
    assert len(set(ready.server.taken)) == len(ready.server.dots) == 3, "F3: each once"
    (late,) = looking.run("log", "--action", "message.recorded", "--json").json()
    assert (late["mailbox"], late["message"]) == (CARLA, "m_1"), "the log says when it goes on"
    assert looking.run("status", "--json").json()["headline"]["code"] != "unrecorded"


def test_f3_a_runner_that_is_killed_while_it_cannot_record_no_longer_stops_the_others(
    ready: Ready, program: Program
) -> None:
    with in_flight(ready, program, "run", "--once", "--json") as (process, dot):
        assert process.stderr is not None
        with growing_no_file(process):
            dot.go_on.set()
            assert "waits to be recorded" in process.stderr.readline()
            process.kill()
            process.wait()
    assert looking_at(program).run("status", "--json").json()["headline"]["code"] != "unrecorded"
    program.run("run", "--once", "--json")
    assert sorted(states(program)) == ["held", "sent", "sent"], "F3: nothing is sent twice"


def test_i1_no_child_is_given_a_password_not_even_one_from_the_environment(
    ready: Ready, dovecot: Dovecot, tmp_path: Path
) -> None:
    if shutil.which("strace") is None:
        missing("strace", "apt-get install strace")
    (tmp_path / "keyring").mkdir()
    given = {
        "MAILROTATE_PASSWORD": CANARY,
        "SSL_CERT_FILE": ready.program.env["SSL_CERT_FILE"],
        **environment_for(Working, tmp_path / "keyring"),
    }
    program = Program(tmp_path, given)
    # The keyring is asked in a child process; a key file would need none.
    del program.env["MAILROTATE_KEY_FILE"]
    started = tmp_path / "started"
    traced = ("strace", "-f", "--seccomp-bpf", "-v", "-s", "65536", "-e", "trace=execve", "-o", str(started))
    where = ("--smtp", f"localhost:{ready.server.port}", "--imap", f"localhost:{dovecot.imaps_port}")
    program.started_by(*traced).run("mailbox", "connect", CARLA, *where, "--security", "tls")
    own, *children = [line for line in started.read_text().splitlines() if "execve(" in line]
    assert found_in(CANARY, own.encode()), "it would be seen here where it is"
    assert any("keyring" in child for child in children)
    assert said_with(CANARY, children) == [], "I1: a child has the password in its arguments or environment"
    started.unlink()
    assert files_with(CANARY, tmp_path) == [], "I1: the password lies in a file"


def test_i1_a_missing_or_wrong_key_is_the_runners_own_fault(ready: Ready, program: Program) -> None:
    key = program.home / "workspace.key"
    right = key.read_text()
    connections = ready.server.connection_count

    def refused() -> Any:
        ran = program.run("run", "--once", "--json", check_status=1)
        (mailbox,) = looking_at(program).run("mailbox", "list", "--json").json()
        assert (mailbox["state"], mailbox["hold_reason"], mailbox["last_error"]) == ("connected", None, None)
        assert ready.server.connection_count == connections, "nothing is sent without the key"
        return ran.error()

    key.unlink()
    assert refused()["code"].startswith("key."), "it says so"
    key.write_text(f"mailrotate-key 1\n{base64.b64encode(bytes(32)).decode()}\n")
    key.chmod(0o600)
    assert refused()["code"].startswith("key.")
    key.write_text(right)
    ready.server.taken.clear()
    assert program.run("run", "--once", "--json").json()["sent"] == 3, "no harm was done"
    assert len(set(ready.server.taken)) == 3
