"""Servers that never end, flood, or announce more than was asked for; lanes that die, and signals (H2)."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest

from mailrotate.core.services.sending import planning
from mailrotate.core.values.mail import FolderCursor, InboxHeaders, MailTrouble, Timeouts
from mailrotate.providers import imap
from mailrotate.runner import KILLED_BY_SECOND_SIGNAL
from tests.acceptance.autumn import MONDAY
from tests.providers.conftest import IMPATIENT, TIMEOUTS, account_at, local, refusal
from tests.support.kept_imap import Asked, KeptImap
from tests.support.program import runner_of
from tests.wire.conftest import ANNA, PEOPLE, THURSDAY, Wire

HOUR = timedelta(hours=1)
# Far more than a bounded reader needs, far less than what the servers here would make it keep.
MOST_BYTES = 64 * 1024 * 1024


@pytest.fixture
def server() -> Iterator[KeptImap]:
    with KeptImap({1: b"Subject: x\r\n\r\n"}) as made:
        yield made


def most_resident() -> int:
    """The most memory in bytes that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def opened(server: KeptImap, patience: Timeouts = TIMEOUTS) -> Iterator[imap.ImapSession]:
    session = imap.open_session(account_at(1, imap=local(server.port)), patience)
    try:
        yield session
    finally:
        session.close()


def read(server: KeptImap, patience: Timeouts = TIMEOUTS) -> list[InboxHeaders]:
    with opened(server, patience) as session:
        return list(session.new_headers(FolderCursor(7, 0))[1])


def dripping(server: KeptImap, line: bytes) -> Iterator[bytes]:
    """A line now and then, each long before the time for the next one is over."""
    while not server.wait(0.05):
        yield line


def flood(line: bytes) -> Iterator[bytes]:
    block = line * (64 * 1024 // len(line) + 1)
    while True:
        yield block


@pytest.mark.parametrize("verb", ["GREETING", "CAPABILITY", "LOGIN", "EXAMINE", "UID SEARCH", "UID FETCH"])
@pytest.mark.parametrize("line", [b"* OK still here\r\n", b"*", b"* 1 FETCH (FLAGS ())\r\n"])
def test_h5_a_whole_answer_has_one_deadline(server: KeptImap, verb: str, line: bytes) -> None:
    if verb == "GREETING":
        line = b"*"
    server.odd[verb] = lambda _asked: dripping(server, line)
    began = time.monotonic()
    with pytest.raises(MailTrouble, match="timed out"):
        read(server, IMPATIENT)
    # Nor is a farewell waited for, which alone would take that long.
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("verb", ["LOGIN", "EXAMINE", "UID FETCH"])
@pytest.mark.parametrize(
    "line", [b"* OK\r\n", b"x" * 1000, b"* SEARCH 1\r\n", b"* 1 FETCH (UID 1 BODY[HEADER] {9}\r\n"]
)
def test_h5_a_flood_is_refused_and_kept_out_of_memory(server: KeptImap, verb: str, line: bytes) -> None:
    server.odd[verb] = lambda _asked: flood(line)
    before = most_resident()
    with pytest.raises(MailTrouble):
        read(server)
    assert most_resident() - before < MOST_BYTES


@pytest.mark.parametrize("size", [4 * 1024**3, 2**64, 10**30, 2 * 1024**2])
def test_h5_a_literal_beyond_what_was_asked_for_is_refused(server: KeptImap, size: int) -> None:
    server.odd["UID FETCH"] = lambda _asked: flood(b"* 1 FETCH (UID 1 BODY[HEADER] {%d}\r\n" % size)
    said = refusal(lambda: read(server))
    assert f"a literal of {size} bytes, where at most 65536 were asked for" in said.text


def test_h5_of_a_header_that_is_longer_than_asked_for_the_beginning_is_read(server: KeptImap) -> None:
    """Some servers ignore the part that a FETCH names."""
    server.mails[2] = b"Subject: second\r\n\r\n"
    long = b"Subject: first\r\n" + b"X-Long: yes\r\n" * 20_000

    def whole(asked: Asked) -> Iterator[bytes]:
        yield b"* 1 FETCH (UID 1 BODY[HEADER] {%d}\r\n%b)\r\n" % (len(long), long)
        yield f"{server.fetched(2)}{asked.tag} OK done\r\n".encode()

    server.odd["UID FETCH"] = whole
    first, second = read(server)
    assert (len(first.raw), first.raw[:14]) == (64 * 1024, b"Subject: first")
    assert second.raw == b"Subject: second\r\n\r\n"


def test_h5_a_million_folders_are_refused(server: KeptImap) -> None:
    server.odd["LIST"] = lambda _asked: flood(b'* LIST () "/" a-folder\r\n')
    before = most_resident()
    with opened(server) as session:
        assert "the server's answer" in refusal(session.folder_names).text
    assert most_resident() - before < MOST_BYTES


def test_h5_what_is_said_unasked_does_not_add_up_over_a_session(server: KeptImap) -> None:
    server.odd["UID SEARCH"] = lambda asked: "* XNEWS hello\r\n" * 20_000 + asked.usual
    with opened(server) as session:
        for _ in range(4):
            list(session.new_headers(FolderCursor(7, 0))[1])
        assert sum(map(len, session._box.client.untagged_responses.values())) <= 20_003


# --- signals


def waiting_in(wire: Wire, verb: str, at_least: int = 1) -> "subprocess.Popen[str]":
    """A pass in a process of its own that waits for an answer which has no end."""
    wire.imap.commands.clear()
    wire.imap.odd[verb] = lambda _asked: dripping(wire.imap, b"* OK still here\r\n")
    process = wire.console.process.at(THURSDAY).start("run", "--once")
    for _ in range(600):
        if len(wire.imap.asked(verb)) >= at_least:
            return process
        assert process.poll() is None, process.communicate()
        wire.imap.wait(0.05)
    os.kill(runner_of(process), signal.SIGKILL)
    raise AssertionError(f"no {verb} within 30 s")


@pytest.mark.proof
@pytest.mark.parametrize("verb", ["LOGIN", "EXAMINE", "UID FETCH"])
def test_h2_a_signal_ends_a_pass_whose_server_never_ends_its_answer(wire: Wire, verb: str) -> None:
    wire.imap.add(wire.reply(PEOPLE[0]))
    process = waiting_in(wire, verb)
    os.kill(runner_of(process), signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode in (0, 5)
    # Nothing was lost, and nothing is held against the server.
    wire.imap.odd.clear()
    report, sent = wire.pass_at(THURSDAY + HOUR)
    assert (report["replies"], sorted(sent)) == (1, sorted(PEOPLE[1:]))


def test_h2_a_second_signal_always_ends_a_pass(wire: Wire) -> None:
    process = waiting_in(wire, "EXAMINE")
    runner = runner_of(process)
    for _ in range(2):
        with suppress(ProcessLookupError):
            os.kill(runner, signal.SIGINT)
        wire.imap.wait(0.02)
    process.communicate(timeout=30)
    assert process.returncode in (0, KILLED_BY_SECOND_SIGNAL, 5)


# --- a lane that dies


def test_h1_a_lane_that_dies_is_said_in_status_in_the_log_and_at_the_exit(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect of ours, which no input that we know of reaches."""

    def defect(*_given: object) -> None:
        raise ZeroDivisionError("secret words")

    at = MONDAY + HOUR
    with monkeypatch.context() as broken:
        broken.setattr(planning, "plan_lane", defect)
        ran = wire.run(at, "run", "--once", check_status=1)
        assert "unexpected failure (ZeroDivisionError)" in ran.stderr
        assert "Traceback" not in ran.stderr
        again = wire.run(at + HOUR, "run", "--once", "--debug", check_status=1)
        assert "Traceback" in again.stderr
        assert "in plan_lane" in again.stderr or "in defect" in again.stderr
    told = wire.run(at + 2 * HOUR, "status").stdout
    assert f"{ANNA}: its last pass ended in an unexpected failure (ZeroDivisionError)" in told
    assert "run --once --debug" in told
    assert wire.shown(at + 2 * HOUR)["broke_by"] == "ZeroDivisionError"
    assert wire.actions(at + 2 * HOUR).count("lane.broke") == 1, "told once, not in every pass"
    wire.pass_at(at + 3 * HOUR)
    assert "unexpected failure" not in wire.run(at + 3 * HOUR, "status").stdout, "until it works again"
