"""A disconnect waits for the message in flight of its mailbox, in real processes (C4)."""

import threading
from collections.abc import Iterator
from subprocess import Popen

import pytest

from tests.support.dovecot import Dovecot
from tests.support.life import ANNA, BEN, LATER, Scene
from tests.support.post_office import PostOffice
from tests.support.recording_smtp import RecordingSmtp
from tests.support.tls import TlsAuthority


class SlowServer:
    """Takes mail as before; once `slow` is set, it answers the next final dot only when it may."""

    def __init__(self, dovecot: Dovecot) -> None:
        self._dovecot = dovecot
        self.slow, self.got_one, self.may_answer = (threading.Event() for _ in range(3))

    def deliver(self, address: str, raw: bytes) -> None:
        if self.slow.is_set():
            self.got_one.set()
            assert self.may_answer.wait(120)
        self._dovecot.deliver(address, raw)


@pytest.fixture(scope="module")
def server(dovecot: Dovecot) -> SlowServer:
    return SlowServer(dovecot)


@pytest.fixture(scope="module")
def office(dovecot: Dovecot, authority: TlsAuthority, server: SlowServer) -> Iterator[PostOffice]:
    with RecordingSmtp({}, tls=authority.server_context(), forward=server.deliver) as smtp:
        yield PostOffice(dovecot, smtp)


@pytest.fixture
def sending(scene: Scene, server: SlowServer) -> Iterator[Popen[str]]:
    """A pass whose first message of Anna's waits for the server's answer; two more are due."""
    scene.at(LATER, "mailbox", "pause", BEN)
    scene.at(LATER, "settings", "set", "clock_jump=off")
    for event in (server.got_one, server.may_answer):
        event.clear()
    server.slow.set()
    process = scene.console.process.at(LATER).start("run", "--once", "--json")
    try:
        assert server.got_one.wait(120)
        yield process
    finally:
        server.slow.clear()
        server.may_answer.set()
        process.communicate(timeout=120)


def waiting(scene: Scene, *command: str) -> Popen[str]:
    """The command in a process, once it has said that it waits."""
    process = scene.console.process.at(LATER).start("mailbox", *command)
    assert process.stderr is not None
    expected = f"waiting for the message of {ANNA} that is being sent"
    assert any(line.startswith(expected) for line in iter(process.stderr.readline, ""))
    assert process.poll() is None
    return process


def test_c4_a_disconnect_waits_for_the_message_in_flight_and_then_takes_the_lane(
    scene: Scene, server: SlowServer, sending: Popen[str]
) -> None:
    process = waiting(scene, "disconnect", ANNA, "--yes")
    server.may_answer.set()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    sending.wait(120)
    rows = scene.json(LATER, "outbox", "list", "--mailbox", ANNA)
    states = sorted(row["state"] for row in rows if row["step"] == 2)
    assert states == ["error", "error", "sent"], "nothing leaves after it"
