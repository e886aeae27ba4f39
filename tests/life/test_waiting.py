"""Commands wait for the message in flight of their mailbox, in real processes (C3, C4, B7)."""

import os
import signal
import threading
from collections.abc import Iterator
from subprocess import Popen

import pytest

from tests.life.scene import AFTER, ANNA, BEN, LATER, MINUTE, PASSWORD, ROOT, Scene
from tests.support.program import runner_of
from tests.support.scripted_smtp import answers

pytestmark = pytest.mark.proof


class LateAnswer:
    """An answer of a server, by `before_reply` that to a final dot, comes only when it may."""

    def __init__(self) -> None:
        self.is_awaited, self.may_come = threading.Event(), threading.Event()

    def hold(self) -> None:
        self.is_awaited.set()
        assert self.may_come.wait(120)

    def before_reply(self, phase: str) -> None:
        if phase == "dot":
            self.hold()


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


COMMANDS = {
    "disconnect": ("disconnect", ANNA, "--yes"),
    "reconnect": ("reconnect", ANNA, "--password-file", "password"),
    "set": ("set", ANNA, "--username", ANNA, "--password-file", "password"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_c3_c4_a_command_waits_for_the_message_in_flight_and_then_takes_the_lane(
    scene: Scene, answer: LateAnswer, sending: Popen[str], name: str
) -> None:
    (scene.console.home / "password").write_text(PASSWORD)
    process = waiting(scene, *COMMANDS[name])
    answer.may_come.set()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    sending.wait(120)
    rows = scene.json(LATER, "outbox", "list", "--mailbox", ANNA)
    states = sorted(row["state"] for row in rows if row["step"] == 2)
    if name == "disconnect":
        assert states == ["error", "error", "sent"], "nothing leaves after it"
    else:
        assert "sent" in states
        assert "error" not in states


def in_flight(scene: Scene) -> tuple[str, str]:
    """The id of the message that is being sent, and its recipient."""
    (row,) = scene.outbox(LATER, "sending")
    return row["id"], row["to"]


def test_c9_story_32_a_message_in_flight_at_the_disconnect_is_recorded_before_the_hour_begins(
    scene: Scene, answer: LateAnswer, sending: Popen[str]
) -> None:
    message, person = in_flight(scene)
    people = set(scene.contacted())
    process = waiting(scene, *COMMANDS["disconnect"])
    answer.may_come.set()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    sending.wait(120)
    assert scene.json(LATER, "outbox", "show", message)["state"] == "sent"
    over = AFTER + 5 * MINUTE
    assert scene.stopped(over) == people - {person}
    ended = scene.people(over)[person]
    assert (ended["sent"], ended["state"]) == (2, "finished"), "it was the last step"


def test_c9_story_32_an_answer_that_comes_after_the_end_is_recorded_and_its_recipient_stays_stopped(
    scene: Scene, answer: LateAnswer, sending: Popen[str]
) -> None:
    message, person = in_flight(scene)
    people = set(scene.contacted())
    # While its runner lives, the lane is free only if that runner has lost it with its connection.
    scene.execute("UPDATE lane SET runner_id = NULL")
    scene.disconnect()
    scene.at(AFTER, "campaign", "resume", "intro")
    assert person in people
    assert scene.stopped(AFTER) == people
    assert scene.json(AFTER, "outbox", "show", message)["state"] == "held"
    answer.may_come.set()
    sending.communicate(timeout=120)
    assert scene.json(AFTER, "outbox", "show", message)["state"] == "sent"
    assert scene.stopped(AFTER) == people
    assert scene.people(AFTER)[person]["sent"] == 2


def test_c4_field_26_a_runner_says_nothing_to_a_mailbox_that_was_disconnected(
    scene: Scene, answer: LateAnswer
) -> None:
    scene.at(LATER, "mailbox", "pause", BEN)
    with scene.misbehaving(ANNA, {}) as server:
        server.before_reply = answer.before_reply
        runner = scene.console.process.at(LATER).start("run", "--every", "1s", "--for", "5s")
        assert answer.is_awaited.wait(120)
        process = waiting(scene, *COMMANDS["disconnect"])
        answer.may_come.set()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        # A pass that begins just then may take the lane once more before the command does.
        begun, connections, taken = len(server.commands), server.connection_count, len(server.taken)
        # It looks for work again and again, and its session is still open.
        _, err = runner.communicate(timeout=120)
        assert runner.returncode == 0, err
        later = [line.partition(" ")[0].upper() for line in server.commands[begun:]]
    assert set(later) <= {"QUIT"}, "after the disconnect"
    assert (len(server.taken), server.connection_count) == (taken, connections)


def test_c1_field_06_a_refusal_of_the_former_password_does_not_fail_a_renewed_login(
    scene_with_solo: Scene, answer: LateAnswer
) -> None:
    scene = scene_with_solo
    once = [answers("535 5.7.8 wrong password")]
    with scene.misbehaving(ANNA, {"auth": once, "login": once}) as server:
        server.before_reply = lambda phase: answer.hold() if phase == "auth" else None
        process = scene.console.process.at(LATER).start("mailbox", "test", ANNA, "--as", ROOT)
        assert answer.is_awaited.wait(120)
        server.before_reply = None
        # While its process lives, the lane is free only if that process has lost it with its connection.
        scene.execute("UPDATE lane SET runner_id = NULL")
        scene.reconnect(LATER + MINUTE, ANNA)
        answer.may_come.set()
        process.communicate(timeout=120)
        assert process.returncode == 5
        report, _ = scene.passes(LATER + 2 * MINUTE)
    assert scene.json(LATER + 2 * MINUTE, "mailbox", "show", ANNA)["state"] == "connected"
    assert (scene.pauses(LATER + 2 * MINUTE, "solo"), scene.deadlines(LATER + 2 * MINUTE)) == ([], [])
    assert report["notified"] == 0
    actions = [row["action"] for row in scene.json(LATER + 2 * MINUTE, "log") if row["mailbox"] == ANNA]
    assert ("mailbox.failed" in actions, actions.count("mailbox.outdated_verdict")) == (False, 1)


def test_c4_ctrl_c_ends_the_wait_and_changes_nothing(
    scene: Scene, answer: LateAnswer, sending: Popen[str]
) -> None:
    process = waiting(scene, *COMMANDS["disconnect"])
    os.kill(runner_of(process), signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    answer.may_come.set()
    sending.wait(120)
    assert scene.json(LATER, "mailbox", "show", ANNA)["state"] == "connected"
    rows = scene.json(LATER, "outbox", "list", "--mailbox", ANNA)
    assert {row["state"] for row in rows if row["step"] == 2} == {"sent"}, "the runner goes on"
