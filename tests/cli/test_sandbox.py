"""`mailrotate sandbox` as a person starts it in one terminal and uses it from another."""

import json
import signal
import smtplib
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.console import Console
from tests.support.program import Program

PIA = "pia@firm.example.com"
FREE_PORTS = ("--smtp-port", "0", "--imap-port", "0")


@pytest.fixture
def program(tmp_path: Path) -> Console:
    return Console(tmp_path)


@contextmanager
def running(
    program: Console, *options: str, ended_by: signal.Signals = signal.SIGTERM
) -> Iterator[dict[str, Any]]:
    """A sandbox in a process of its own; what it said when it was ready."""
    process = program.process.start("sandbox", *FREE_PORTS, "--json", *options)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield json.loads(line) if line else pytest.fail(process.communicate(timeout=30)[1])
        process.send_signal(ended_by)
        assert process.communicate(timeout=30) == ("", "the sandbox has ended; its mail is gone\n")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def send(said: dict[str, Any]) -> None:
    with smtplib.SMTP(said["smtp"]["host"], said["smtp"]["port"], timeout=30) as server:
        server.login(said["senders"][0], said["password"])
        server.sendmail(
            said["senders"][0],
            [PIA],
            f"From: Anna Example <{said['senders'][0]}>\r\nTo: {PIA}\r\nSubject: Hello\r\n"
            "Message-ID: <1@example.org>\r\n"
            f"List-Unsubscribe: <mailto:{said['senders'][1]}?subject=off>\r\n\r\nAre you there?\r\n",
        )


def note(program: Program) -> Path:
    return program.home / ".local" / "state" / "mailrotate" / "sandbox.json"


def test_one_reads_answers_and_unsubscribes_from_another_terminal(program: Console) -> None:
    terminal = program.process
    with running(program) as said:
        assert stat.S_IMODE(note(program).stat().st_mode) == 0o600
        send(said)
        (mail,) = terminal.run("sandbox", "read", PIA, "--json").json()
        assert (mail["from_address"], mail["subject"], mail["text"]) == (
            said["senders"][0],
            "Hello",
            "Are you there?\n",
        )
        assert mail["from_name"] == "Anna Example"
        as_seen = program.run("sandbox", "read", PIA).stdout
        assert as_seen.splitlines()[0] == f"From:        Anna Example <{said['senders'][0]}>"
        replied = terminal.run("sandbox", "answer", PIA, "Yes, call me.", "--json").json()["message_id"]
        shown = program.run("sandbox", "read", said["senders"][0]).stdout
        assert f"Message-ID:   {replied}" in shown
        assert "In-Reply-To:  <1@example.org>" in shown
        assert "  Yes, call me." in shown
        terminal.run("sandbox", "unsubscribe", PIA)
        (request,) = program.run("sandbox", "read", said["senders"][1], "--json").json()
        assert (request["from_address"], request["subject"]) == (PIA, "off")
    assert not note(program).exists()


def test_the_password_can_stay_the_same_over_restarts(program: Console) -> None:
    (program.home / "password").write_text("a long one\nnot this\n")
    with running(program, "--password-file", "password", ended_by=signal.SIGINT) as said:
        assert said["password"] == "a long one"
    (program.home / "password").write_text("\n")
    refused = program.run("sandbox", "--password-file", "password", "--json", check_status=2)
    assert refused.error()["code"] == "password.empty"


# A process for each command.
@pytest.mark.proof
def test_the_commands_that_a_person_is_told_connect_all_its_mailboxes(program: Console) -> None:
    process = program.process.start("sandbox", *FREE_PORTS)
    try:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        typed = [line for line in said.splitlines() if line.startswith("  ") and "ADDRESS" not in line]
        shell = subprocess.run(
            ["bash", "-e", "-c", "\n".join(typed)],
            cwd=program.home,
            env={**program.env, "PATH": f"{Path(sys.executable).parent}:{program.env['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert shell.returncode == 0, shell.stderr
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    own = {"MAILROTATE_DB": "sandbox.db", "MAILROTATE_KEY_FILE": "sandbox.key"}
    listed = Console(program.home, own).run("mailbox", "list", "--json").json()
    assert [box["address"] for box in listed] == [
        f"{name}@sandbox.example.org" for name in ("anna", "ben", "clara")
    ]


def test_a_taken_port_is_a_clear_error(program: Console) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = program.run("sandbox", "--smtp-port", str(port), "--imap-port", "0", check_status=6)
    assert refused.stderr == (
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n"
        "hint: mailrotate sandbox --smtp-port 0 --imap-port 0\n"
    )


def test_without_a_running_sandbox_reading_says_so_also_after_one_was_killed(program: Console) -> None:
    assert program.run("sandbox", "read", PIA, "--json", check_status=3).error()["code"] == "sandbox.none"
    process = program.process.start("sandbox", *FREE_PORTS, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=30)
    assert note(program).exists()
    assert (
        program.run("sandbox", "answer", PIA, "Hi", "--json", check_status=3).error()["code"]
        == "sandbox.none"
    )
