"""F3: one message's life, in which the real process is killed at every single point.

The points are the process's own: strace kills it at the N-th entry into a system call, for every N until it
ends by itself. Between two of these calls nothing changes that outlives a process: they are all it has to
write to the database, to make that last, to say something to a server and to hear it.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from mailrotate.sandbox.server import SandboxInfo
from tests.proof.ground import Ground, Letter
from tests.proof.mail_host import PHASES, Gate, MailHost

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

# Which of its N each test takes, so that several workers share the long ones: the first and the step.
LANE = [
    *(("pwrite64", first, 6) for first in range(1, 7)),
    ("fdatasync", 1, 1),
    ("sendto", 1, 1),
    *(("recvfrom", first, 2) for first in (1, 2)),
]
MAIN = [*(("pwrite64", first, 4) for first in range(1, 5)), ("fdatasync", 1, 1), ("unlink", 1, 1)]


@dataclass
class Scene:
    """A workspace with one person to write to, and the servers that count."""

    host: MailHost
    gate: Gate
    ready: Ground
    homes: Iterator[Path]

    def fresh(self) -> Ground:
        self.host.reset()
        self.gate.hold = lambda: None
        return self.ready.copy(next(self.homes))


@pytest.fixture(scope="module")
def scene(inboxes: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("kills")
    with MailHost() as host, Gate(inboxes.imap.port) as gate:
        (folder / "ready").mkdir()
        ready = Ground(folder / "ready")
        ready.connect({inboxes.senders[0]: host.endpoint}, gate.endpoint, "--gap", "0s")
        # On a slow machine the copies grow old, and a test of the connection would be one connection more.
        ready.program.run("settings", "set", "test_every=7d")
        ready.start_campaign(1, inboxes.senders[:1])
        yield Scene(host, gate, ready, (folder / str(number) for number in count()))


@pytest.mark.parametrize(("syscall", "first", "step"), LANE)
def test_f3_killed_at_any_point_of_a_message_nothing_is_lost_or_sent_twice(
    scene: Scene, strace: str, syscall: str, first: int, step: int
) -> None:
    for number in count(first, step):
        ground = scene.fresh()
        if not _killed_in_lane(scene, ground, _injection(strace, syscall, number)):
            assert ground.states() == {"sent": 1}
            assert number > step, f"{syscall} is not called at all"
            break
        _assert_carried_on(scene, ground, f"killed at {syscall} {number} of the lane")


@pytest.mark.parametrize(("syscall", "first", "step"), MAIN)
def test_f3_killed_at_any_point_around_a_pass_nothing_is_lost_or_sent_twice(
    scene: Scene, strace: str, syscall: str, first: int, step: int
) -> None:
    for number in count(first, step):
        ground = scene.fresh()
        process = ground.program.started_by(*_injection(strace, syscall, number)).start("run", "--once")
        process.communicate(timeout=60)
        if process.returncode == 0:
            assert ground.states() == {"sent": 1}
            assert number > step, f"{syscall} is not called at all"
            break
        assert process.returncode == -signal.SIGKILL
        _assert_carried_on(scene, ground, f"killed at {syscall} {number} of the main thread")


@pytest.mark.parametrize("groups", [False, True], ids=["one by one", "together"])
@pytest.mark.parametrize(
    "moment", ["content", *(f"{when} {phase}" for phase in PHASES for when in ("before", "after"))]
)
def test_f3_killed_by_the_server_at_any_reply_nothing_is_lost_or_sent_twice(
    scene: Scene, moment: str, groups: bool
) -> None:
    ground = scene.fresh()
    scene.host.takes_groups = groups
    process = ground.program.start("run", "--once")

    def kill(reached: str) -> None:
        if reached == moment:
            os.kill(process.pid, signal.SIGKILL)

    scene.host.watch = kill
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    scene.host.watch = lambda reached: None
    _assert_carried_on(scene, ground, f"killed {moment}")


def _injection(strace: str, syscall: str, number: int) -> list[str]:
    """Without `-f` strace looks at one thread alone, and counts that thread's calls."""
    only = [f"trace={syscall}", f"inject={syscall}:signal=KILL:when={number}"]
    return [strace, "-o", os.devnull, *(word for each in only for word in ("-e", each))]


def _killed_in_lane(scene: Scene, ground: Ground, injection: Sequence[str]) -> bool:
    """Run once, with the lane's thread under strace from its first word to the inbox server on."""
    process = ground.program.start("run", "--once")
    tracers: list[subprocess.Popen[str]] = []

    def attach() -> None:
        (lane,) = {int(name) for name in os.listdir(f"/proc/{process.pid}/task")} - {process.pid}
        tracer = subprocess.Popen([*injection, "-p", str(lane)], stderr=subprocess.PIPE, text=True)
        tracers.append(tracer)
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said

    scene.gate.hold = attach
    try:
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        for tracer in tracers:
            tracer.communicate(timeout=10)
    scene.gate.hold = lambda: None
    assert len(tracers) == 1
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode != 0


def _assert_carried_on(scene: Scene, ground: Ground, killed: str) -> None:
    """An undisturbed pass after the death, and what the operator settles after that."""
    left = ground.letters()
    ground.program.run("run", "--once")
    (after,) = ground.letters()
    taken = scene.host.taken_ids()
    marked = [letter for letter in left if letter.state == "sending" and letter.marked]
    assert after.state == ("held" if marked else "sent"), f"{killed}: {left} became {after}"
    assert taken.count(after.message_id) == len(taken) <= 1, f"{killed}: {taken}"
    if marked:
        # Nothing but a message whose content the server was ready for can have been marked.
        assert scene.host.data_count == 1, killed
        _assert_resolvable(scene, ground, after, killed)
    else:
        assert len(taken) == 1, killed


def _assert_resolvable(scene: Scene, ground: Ground, held: Letter, killed: str) -> None:
    """As the operator would by looking into the mailbox, here by asking the server."""
    arrived = bool(scene.host.taken_ids())
    ground.program.run("outbox", "resolve", f"m_{held.id}", "--sent" if arrived else "--not-sent")
    ground.program.run("run", "--once")
    assert [letter.state for letter in ground.letters()] == ["sent"], killed
    assert scene.host.taken_ids() == [held.message_id], killed
