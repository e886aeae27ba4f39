"""A disconnect waits for the message in flight of its mailbox, in real processes (C4)."""

import threading
from collections.abc import Iterator
from subprocess import Popen

import pytest

from tests.life.scene import ANNA, BEN, LATER, ROOT, Scene


class LateAnswer:
    """Answers a final dot only when it may."""

    def __init__(self) -> None:
        self.is_awaited, self.may_come = threading.Event(), threading.Event()

    def before_reply(self, phase: str) -> None:
        if phase == "dot":
            self.is_awaited.set()
            assert self.may_come.wait(120)


@pytest.fixture
def answer() -> LateAnswer:
    return LateAnswer()


@pytest.fixture
def sending(scene: Scene, answer: LateAnswer) -> Iterator[Popen[str]]:
    """A pass whose first message of Anna's waits for the server's answer; two more are due."""
    scene.at(LATER, "mailbox", "pause", BEN)
    scene.at(LATER, "settings", "set", "clock_jump=off")
    with scene.misbehaving(ANNA, {}) as server:
        server.before_reply = answer.before_reply
        process = scene.console.process.at(LATER).start("run", "--once", "--json")
        try:
            assert answer.is_awaited.wait(120)
            yield process
        finally:
            answer.may_come.set()
            process.communicate(timeout=120)


def waiting(scene: Scene, *command: str) -> Popen[str]:
    """The command in a process, once it has said that it waits."""
    process = scene.console.process.at(LATER).start("mailbox", *command, "--as", ROOT)
    assert process.stderr is not None
    expected = f"waiting for the message of {ANNA} that is being sent"
    assert any(line.startswith(expected) for line in iter(process.stderr.readline, ""))
    assert process.poll() is None
    return process


def test_c4_a_disconnect_waits_for_the_message_in_flight_and_then_takes_the_lane(
    scene: Scene, answer: LateAnswer, sending: Popen[str]
) -> None:
    process = waiting(scene, "disconnect", ANNA, "--yes")
    answer.may_come.set()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    sending.wait(120)
    rows = scene.json(LATER, "outbox", "list", "--mailbox", ANNA)
    states = sorted(row["state"] for row in rows if row["step"] == 2)
    assert states == ["error", "error", "sent"], "nothing leaves after it"
