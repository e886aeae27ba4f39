"""Servers that refuse, hang and fall silent at every phase: whom it concerns, and that nobody else is harmed.

Seven mailboxes, each with a server of its own that misbehaves at one phase, and one person for each of them.
Their password is a canary: after everything it is looked for wherever it must not be.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailrotate.core.values.states import Security
from tests.acceptance.autumn import MONDAY, start_campaign
from tests.support.canary import files_with, said_with
from tests.support.console import Console
from tests.support.dovecot import Dovecot
from tests.support.post_office import PostOffice
from tests.support.program import Program
from tests.support.scripted_smtp import Move, ScriptedSmtp, answers, closes, hangs, resets
from tests.support.tls import TlsAuthority

PHASES = ("connect", "ehlo", "auth", "mail", "rcpt", "data", "dot")
CANARY = "Canary+of/the=mine 4711"
# Logged in a moment ago, so that it is the sending that meets the trouble, not the test of the connection.
CONNECTED_AT = MONDAY - timedelta(minutes=10)
# Something was due, and every mailbox that still has something is shut.
NOBODY_CAN_SEND = 5
SHORT = {"CONNECT": "4", "COMMAND": "4", "DOT": "4"}

# The classes of an answer, by the phases above. There are fewer content errors than pause a campaign (three).
CLASSES = {
    "421 closing": ("net", "net", "retry", "retry", "retry", "retry", "retry"),
    "450 not now": ("net", "net", "retry", "retry", "soft", "retry", "retry"),
    "550 no": ("net", "net", "auth", "sender", "soft", "message", "message"),
    "550 5.1.1 no such user": ("net", "net", "auth", "sender", "hard", "hard", "hard"),
    "552 5.2.2 over quota": ("net", "net", "auth", "message", "soft", "soft", "soft"),
}


@dataclass(frozen=True)
class Fleet:
    """The seven servers, and the workspace in which their mailboxes are connected; only ever copied."""

    servers: dict[str, ScriptedSmtp]
    program: Program

    def misbehave(self, moves: dict[str, Move]) -> None:
        """Each mailbox's server by its own name; the others behave."""
        for name, server in self.servers.items():
            server.follow({name: moves[name]} if name in moves else {})


@dataclass(frozen=True)
class Outcome:
    """What the commands say after a pass about the mailbox of a phase, its message and its person."""

    mailbox: Any
    message: Any
    person: Any
    # The class that the log names last for this mailbox.
    logged: str | None


def address_of(phase: str) -> str:
    return f"{phase}@failures.example.org"


@pytest.fixture(scope="module")
def fleet(
    dovecot: Dovecot, authority: TlsAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("fleet")
    program = Console(home, {"SSL_CERT_FILE": str(authority.ca_file)})
    there = program.at(CONNECTED_AT)
    with ExitStack() as stack:
        servers = {
            phase: stack.enter_context(ScriptedSmtp(security=Security.TLS, tls=authority.server_context()))
            for phase in PHASES
        }
        for phase, server in servers.items():
            dovecot.add_user(address_of(phase), CANARY)
            imap = f"localhost:{dovecot.imaps_port}"
            where = ("--smtp", f"localhost:{server.port}", "--imap", imap, "--security", "tls")
            there.run(
                *("mailbox", "connect", address_of(phase), "--gap", "0s", "--password-stdin", *where),
                input=CANARY,
            )
            if phase == "connect":
                there.run("slot", "add", "--user", address_of(phase), "--count", "5")
        people = [f"person-{phase}@example.com" for phase in PHASES]
        start_campaign(there, people, *(address_of(phase) for phase in PHASES))
        yield Fleet(servers, program)


@pytest.fixture
def program(fleet: Fleet, tmp_path: Path) -> Iterator[Program]:
    program = fleet.program.moved(tmp_path)
    yield program
    assert said_with(CANARY, program.said) == [], "I1: a command has told the password"
    assert files_with(CANARY, tmp_path) == [], "I1: the password lies in a file"


def outcomes(program: Program) -> dict[str, Outcome]:
    # Some holds last half a minute: we look at what a person saw just after the trouble.
    there = program.at(MONDAY)

    def told(*command: str) -> Any:
        return there.run(*command, "--json").json()

    boxes = {box["address"]: box for box in told("mailbox", "list")}
    # A failed mailbox is also announced, by a message from another one.
    listed = told("outbox", "list")
    messages = {message["from"]: message for message in listed if message["kind"] == "campaign"}
    people = {person["sender"]: person for person in told("recipient", "list", "autumn")}
    logged = {line["mailbox"]: line["data"]["error_class"] for line in told("log") if _is_trouble(line)}
    return {
        phase: Outcome(*(known.get(address_of(phase)) for known in (boxes, messages, people, logged)))
        for phase in PHASES
    }


def _is_trouble(line: Any) -> bool:
    return "error_class" in line["data"]


def assert_it_ended_as(expected: str, found: Outcome) -> None:
    """Whom each class concerns, and that it concerns nobody else."""
    error = found.message["error"] and found.message["error"]["class"]
    held, state = found.mailbox["hold_reason"] is not None, found.mailbox["state"]
    assert found.logged == expected
    if expected == "hard":
        assert (found.message["state"], error) == ("error", "hard")
        assert (found.person["state"], found.person["reason"]) == ("bounced", "hard_bounce")
    else:
        assert found.person["state"] in ("queued", "active"), "a recipient was harmed"
    if expected in ("retry", "soft") and not held:
        assert (found.message["state"], error, found.message["attempts"]) == ("scheduled", expected, 1)
    if expected == "message":
        assert (found.message["state"], error) == ("error", "message")
    if expected in ("hard", "soft", "message"):
        assert (held, state) == (False, "connected"), "a mailbox was blamed for one message"
    if expected in ("net", "auth", "sender", "limit") or held:
        waits = ("error", "connection") if expected == "auth" else ("scheduled", None)
        assert (found.message["state"], error) == waits, "goes back as if never claimed, and waits (C15)"
        assert found.message["attempts"] == 0
        assert state == ("failed" if expected == "auth" else "connected")
        assert held == (expected != "auth")
    if expected == "unknown":
        assert (found.message["state"], error) == ("held", "unknown")


@pytest.mark.parametrize("answer", CLASSES)
def test_f4_an_answer_concerns_whom_its_phase_and_code_say(
    fleet: Fleet, program: Program, answer: str
) -> None:
    fleet.misbehave({phase: answers(answer) for phase in PHASES})
    report = program.at(MONDAY).run("run", "--once", "--json", check_status=NOBODY_CAN_SEND).json()
    assert report["sent"] == report["held"] == 0
    found = outcomes(program)
    assert {phase: one.logged for phase, one in found.items()} == dict(
        zip(PHASES, CLASSES[answer], strict=True)
    )
    for phase in PHASES:
        assert_it_ended_as(found[phase].logged or "", found[phase])
    bounced = [one.person["email"] for one in found.values() if one.logged == "hard"]
    if bounced:
        suppressed = program.at(MONDAY).run("suppression", "list", "--json").json()
        assert {row["value"] for row in suppressed} == set(bounced), "D6: hard refusals alone suppress"
    if all(one.logged in ("net", "retry") for one in found.values()):
        fleet.misbehave({})
        later = program.at(MONDAY + timedelta(hours=3)).run("run", "--once", "--json").json()
        assert later["sent"] == len(PHASES), "what was temporary goes out when the server takes it"


def test_f3_f4_silence_is_the_paths_trouble_before_the_dot_and_an_open_question_after_it(
    fleet: Fleet, program: Program
) -> None:
    program.env |= {f"MAILROTATE_TIMEOUT_{name}": seconds for name, seconds in SHORT.items()}
    fleet.misbehave({phase: hangs() for phase in PHASES})
    report = program.at(MONDAY).run("run", "--once", "--json", check_status=NOBODY_CAN_SEND).json()
    assert (report["sent"], report["held"]) == (0, 1)
    found = outcomes(program)
    for phase in PHASES[:-1]:
        assert_it_ended_as("net", found[phase])
    assert (found["dot"].message["state"], found["dot"].message["error"]["class"]) == ("held", "unknown")
    assert found["dot"].person["state"] in ("queued", "active")

    first, second = found["dot"], found["data"]
    fleet.misbehave({})
    fleet.servers["data"].follow({"dot": hangs()})
    dots = {phase: len(server.dots) for phase, server in fleet.servers.items()}
    later = program.at(MONDAY + timedelta(hours=1)).run("run", "--once", "--json").json()
    assert (later["sent"], later["held"]) == (len(PHASES) - 2, 1), "all but those of unknown fate"
    assert len(fleet.servers["dot"].dots) == dots["dot"], "F3: never guessed, never sent twice"

    fleet.misbehave({})
    there = program.at(MONDAY + timedelta(hours=2))
    there.run("outbox", "resolve", first.message["id"], "--not-sent")
    there.run("outbox", "resolve", second.message["id"], "--sent")
    assert there.run("run", "--once", "--json").json()["sent"] == 1, "F3: what was not sent goes out"
    assert len(fleet.servers["dot"].dots) == dots["dot"] + 1
    assert len(fleet.servers["data"].dots) == dots["data"] + 1, "F3: what was sent does not"
    messages = there.run("outbox", "list", "--json").json()
    assert {message["state"] for message in messages if message["step"] == 1} == {"sent"}


def test_f4_certificates_resets_and_the_servers_own_words(
    fleet: Fleet, program: Program, authority: TlsAuthority
) -> None:
    fleet.misbehave(
        {
            "connect": resets(),
            "auth": answers("535 5.7.8 Username and password not accepted"),
            "rcpt": answers("452 4.2.2 mailbox full"),
            "data": closes(),
            "dot": answers("550 5.1.1 No such user"),
        }
    )
    right = authority.server_context()
    fleet.servers["ehlo"].follow({}, tls=authority.expired_context())
    fleet.servers["mail"].follow({}, tls=authority.server_context("elsewhere.example.org"))
    try:
        command = ("--debug", "run", "--once", "--json")
        ran = program.at(MONDAY).run(*command, check_status=NOBODY_CAN_SEND)
    finally:
        for phase in ("ehlo", "mail"):
            fleet.servers[phase].follow({}, tls=right)
    assert ran.json()["sent"] == 0
    found = outcomes(program)
    for phase, expected in zip(PHASES, ("net", "net", "auth", "net", "soft", "net", "hard"), strict=True):
        assert_it_ended_as(expected, found[phase])
    assert "expired" in found["ehlo"].mailbox["last_error"], "C1: in words that name it"
    assert "Username and password not accepted" in found["auth"].mailbox["last_error"]
    # Looked into, like everything that lies here, when the test ends.
    program.at(MONDAY).run("db", "backup", "backup.db")


@pytest.mark.parametrize(
    ("trouble", "step"),
    [("password", "auth"), ("expired", "tls"), ("name", "tls"), ("hang", "connect"), ("refused", "connect")],
)
def test_b2_a_connect_that_does_not_log_in_stores_nothing(
    trouble: str, step: str, post_office: PostOffice, authority: TlsAuthority, tmp_path: Path
) -> None:
    address = post_office.add("nobody@failures.example.org", CANARY)
    program = Console(tmp_path, {"SSL_CERT_FILE": str(authority.ca_file), "MAILROTATE_TIMEOUT_CONNECT": "2"})
    tls = {"expired": authority.expired_context, "name": lambda: authority.server_context("b.example.org")}
    context = tls.get(trouble, authority.server_context)()
    moves = {"connect": hangs()} if trouble == "hang" else {}
    if trouble == "password":
        moves = {"auth": answers("535 5.7.8 no")}
    with ScriptedSmtp(moves, security=Security.TLS, tls=context) as server:
        port = server.port
        if trouble == "refused":
            server.stop()
        where = ("--smtp", f"localhost:{port}", "--imap", post_office.imap_server, "--security", "tls")
        command = ("--debug", "mailbox", "connect", address, "--password-stdin", "--json")
        ran = program.run(*command, *where, input=CANARY, check_status=5)
    assert ran.error()["code"] == f"connect.{step}", ran.stderr
    assert said_with(CANARY, program.said) == []
    assert list(tmp_path.iterdir()) == [], "B2: nothing is stored"
