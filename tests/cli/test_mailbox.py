"""`mailrotate mailbox` and `secret` as people and cron run them, against a real server."""

import base64
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shlex import join, split
from urllib.parse import quote

import pytest

from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support.console import Console
from tests.support.program import Completed, Program

# With letters that each encoding treats differently.
CANARY = "canary/Xq7+ %9vT&2"
LISTED = [
    "address", "user", "slot", "provider", "state", "hold_reason", "default", "access", "sender_name",
    "daily_limit", "sent_today", "last_test_at", "last_error", "failed_at", "disconnected_at", "deadlines",
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=CANARY) as sandbox:
        yield sandbox.info


@pytest.fixture
def program(home: Path) -> Console:
    return Console(home)


def flags(server: SandboxInfo) -> tuple[str, ...]:
    smtp, imap = (f"{end.host}:{end.port}" for end in (server.smtp, server.imap))
    return ("--smtp", smtp, "--imap", imap, "--security", "none")


def connect(
    program: Program, server: SandboxInfo, address: str, *more: str, status: int | None = 0
) -> Completed:
    return program.run(
        "mailbox", "connect", address, *flags(server), "--password-stdin", *more,
        input=f"{CANARY}\n", check_status=status,
    )  # fmt: skip


def test_b2_the_hint_of_a_refused_login_repeats_the_flags_but_not_those_of_the_password(
    server: SandboxInfo, tmp_path: Path
) -> None:
    program = Console(tmp_path)
    anna = server.senders[0]
    typed = (*flags(server), "--sender-name", "Anna A.", "--gap", "5s", "--rejoin")
    given = ("--password-stdin", "--json")
    wrong = program.run("mailbox", "connect", anna, *typed, *given, input="wrong", check_status=5)
    again = join(["mailrotate", "mailbox", "connect", anna, *typed])
    assert wrong.error()["hint"] == f"sign in again: {again}"
    program.run(*split(again)[1:], "--password-stdin", input=CANARY)

    closed = program.run(
        "mailbox", "reconnect", anna, "--imap", "127.0.0.1:1", "--resume", *given,
        input=CANARY, check_status=5,
    )  # fmt: skip
    assert "--resume" in closed.error()["hint"]
    assert "--imap HOST:PORT" in closed.error()["hint"]
    closed = program.run("mailbox", "reconnect", anna, *given, input="wrong", check_status=5)
    assert closed.error()["hint"] == f"sign in again: mailrotate mailbox reconnect {anna}"


def test_a6_b2_the_first_connect_makes_the_workspace_and_a_refused_one_makes_nothing(
    server: SandboxInfo, tmp_path: Path
) -> None:
    program = Console(tmp_path)
    anna, ben, clara = server.senders
    servers = flags(server)
    wrong = program.run(
        "mailbox", "connect", anna, *servers, "--password-stdin", "--json", input="wrong", check_status=5
    )
    assert wrong.error()["code"] == "connect.auth"
    assert "535" in wrong.error()["message"]
    nobody = program.run("mailbox", "connect", anna, *servers, check_status=2)
    assert "--password-stdin" in nobody.stderr
    connect(program, server, anna, "--daily-limit", "501", status=4)
    assert list(program.home.iterdir()) == []

    first = connect(program, server, anna, "--sender-name", "Anna A.", "--gap", "5s", "--json").json()
    assert first["workspace_made"]
    assert (first["slots"], first["default"], first["servers"]["source"]) == ("1/2", True, "flags")
    assert (first["connected"], first["total"]) == (1, 2)
    second = connect(program, server, ben).stdout
    assert "slots 2/2" in second
    assert f"default sender {anna}" in second
    full = connect(program, server, clara, "--json", status=4)
    assert full.error()["code"] == "slot.none_free"

    listed = program.run("mailbox", "list", "--json").json()
    assert [row["address"] for row in listed] == [anna, ben]
    assert set(LISTED) <= set(listed[0])
    assert program.run("mailbox", "list").stdout.splitlines()[0].split()[:3] == ["ADDRESS", "STATE", "TODAY"]


def test_c4_a_disconnect_shows_what_follows_asks_and_names_the_reconnect(
    program: Program, server: SandboxInfo
) -> None:
    anna = server.senders[0]
    connect(program, server, anna, "--daily-limit", "20")
    unconfirmed = program.run("mailbox", "disconnect", anna, "--json", check_status=7)
    assert unconfirmed.error()["code"] == "confirmation.needed"
    assert f"mailrotate mailbox reconnect {anna}" in unconfirmed.stderr
    assert not program.run("mailbox", "disconnect", anna, "--dry-run", "--json").json()["disconnected"]
    assert program.run("mailbox", "list", "--json").json()[0]["state"] == "connected"
    program.run("mailbox", "disconnect", anna, "--yes")
    assert program.run("mailbox", "reconnect", anna, "--json", check_status=4).error()["code"] == (
        "mailbox.disconnected"
    )
    # Servers are no setting: the command that was printed needs a password alone.
    again = program.run("mailbox", "connect", anna, "--password-stdin", input=CANARY)
    assert "servers (from before)" in again.stderr
    assert f"mailrotate mailbox set {anna} --daily-limit 20" in again.stdout


def test_b7_c1_c3_settings_and_credentials_of_a_connected_mailbox(
    program: Program, server: SandboxInfo
) -> None:
    anna, ben, _ = server.senders
    for address in (anna, ben):
        connect(program, server, address)
    assert program.run("mailbox", "set", anna, check_status=2).stderr
    shown = program.run("mailbox", "set", anna, "--daily-limit", "20", "--gap", "90s", "--json").json()
    assert shown["settings"]["gap"] == {"value": 90, "from": "own"}
    refused = program.run("mailbox", "set", anna, "--smtp", "127.0.0.1:9", "--json", check_status=5)
    assert refused.error()["code"] == "connect.connect"
    assert f"mailrotate mailbox set {anna} --smtp HOST:PORT" in refused.error()["hint"]
    tested = program.run("mailbox", "test", "--all", "--json").json()
    assert [(row["address"], row["passed"]) for row in tested] == [(anna, True), (ben, True)]
    renewed = program.run("mailbox", "reconnect", anna, "--password-stdin", "--json", input=CANARY).json()
    assert renewed["people_going_on"] == 0
    program.run("mailbox", "pause", anna)
    assert "paused" in program.run("mailbox", "show", anna).stdout


@pytest.mark.parametrize(("verb", "flag"), [("set", "smtp"), ("set", "imap"), ("reconnect", "smtp")])
def test_b7_another_server_keeps_the_mailboxs_security_none_unless_its_port_says_another(
    program: Program, server: SandboxInfo, verb: str, flag: str
) -> None:
    anna = server.senders[0]
    connect(program, server, anna)
    end = server.smtp if flag == "smtp" else server.imap
    changing = ("mailbox", verb, anna, f"--{flag}")
    password = ("--password-stdin",) if verb == "reconnect" else ()
    program.run(*changing, f"localhost:{end.port}", *password, input=f"{CANARY}\n")
    shown = program.run("mailbox", "show", anna, "--json").json()[flag]
    assert shown == f"localhost:{end.port}"
    # TLS was asked for: this server has none.
    refused = program.run(
        *changing, f"127.0.0.1:{end.port}", "--security", "tls", *password, "--json",
        input=f"{CANARY}\n", check_status=5,
    )  # fmt: skip
    assert refused.error()["code"] == "connect.tls"


def test_i1_in_cron_the_key_file_is_enough_and_a_missing_or_wrong_key_fails_no_mailbox(
    home: Path, server: SandboxInfo
) -> None:
    """The environment of the commands holds no more than cron's and the names of database and key."""
    console = Console(home)
    anna = server.senders[0]
    connect(console, server, anna)
    key = console.home / "workspace.key"
    right = key.read_text()
    console.run("secret", "rekey")
    assert key.read_text() != right
    console.process.run("mailbox", "test", anna)
    changed = key.read_text()

    key.unlink()
    missing = console.run("mailbox", "test", anna, "--json", check_status=1)
    assert missing.error()["code"] == "key.missing"
    assert not key.exists()
    key.write_text(right)
    key.chmod(0o600)
    wrong = console.run("mailbox", "test", anna, "--json", check_status=1)
    assert wrong.error()["code"] == "key.wrong"
    assert console.run("secret", "rekey", "--json", check_status=1).error()["code"] == "key.wrong"
    assert key.read_text() == right

    key.write_text(changed)
    (row,) = console.run("mailbox", "list", "--json").json()
    assert (row["state"], row["last_error"]) == ("connected", None)
    console.run("mailbox", "test", anna)


def test_a_password_is_asked_for_unseen_on_a_terminal(program: Program, server: SandboxInfo) -> None:
    command = [*program._command(("mailbox", "connect", server.senders[0], *flags(server)))]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, env=program.env, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, start_new_session=True
    ) as running:
        os.close(theirs)
        shown = read_until(ours, b"password of")
        os.write(ours, f"{CANARY}\n".encode())
        shown += read_until(ours, b"Your name, as recipients see it")
        for wrong, why in (
            ("anna@example.org", b"looks like an address"),
            ("Anna\x1b[31m", b"is not a name"),
            ("a" * 300, b"is not a name"),
        ):
            os.write(ours, f"{wrong}\n".encode())
            again = read_until(ours, b"Your name, as recipients see it")
            assert why in again
        os.write(ours, b"Anna Example\n")
        assert running.stdout is not None
        assert b"connected" in running.stdout.read()
    os.close(ours)
    assert running.returncode == 0
    assert CANARY.encode() not in shown
    assert program.run("user", "show", server.senders[0], "--json").json()["name"] == "Anna Example"


def read_until(terminal: int, words: bytes) -> bytes:
    seen = b""
    while words not in seen:
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, seen
        seen += os.read(terminal, 4096)
    return seen


def encodings(secret: str, user: str) -> dict[str, bytes]:
    plain = secret.encode()
    login = b"\0" + user.encode() + b"\0" + plain
    return {
        "plain": plain,
        "base64": base64.b64encode(plain).rstrip(b"="),
        "base64 of the login": base64.b64encode(login).rstrip(b"="),
        "urlsafe base64": base64.urlsafe_b64encode(plain).rstrip(b"="),
        "hex": plain.hex().encode(),
        "upper hex": plain.hex().upper().encode(),
        "url": quote(secret, safe="").encode(),
        "reversed": plain[::-1],
    }


def test_i1_the_password_is_in_no_output_and_no_file_in_no_encoding(
    program: Program, server: SandboxInfo
) -> None:
    anna = server.senders[0]
    said = []
    for arguments in (
        ("mailbox", "connect", anna, *flags(server), "--password-stdin", "--json"),
        ("mailbox", "reconnect", anna, "--password-stdin"),
        ("--debug", "mailbox", "set", anna, "--password-stdin", "--smtp", "127.0.0.1:9"),
        ("--debug", "mailbox", "reconnect", anna, "--password-stdin", "--username", "not-anna"),
        ("mailbox", "test", anna, "--json"),
        ("mailbox", "show", anna, "--json"),
        ("secret", "rekey"),
    ):
        ran = program.run(*arguments, input=CANARY, check_status=None)
        said.append(f"{ran.stdout}\n{ran.stderr}".encode())
    texts = {f"output {number}": text for number, text in enumerate(said)}
    texts |= {str(path): path.read_bytes() for path in program.home.rglob("*") if path.is_file()}
    assert any(path.endswith("workspace.db") for path in texts)
    found = [
        (name, form)
        for name, text in texts.items()
        for form, secret in encodings(CANARY, anna).items()
        if secret in text
    ]
    assert found == []


def test_i1_without_any_place_for_a_key_nothing_hangs_or_asks(tmp_path: Path, server: SandboxInfo) -> None:
    program = Program(tmp_path)
    del program.env["MAILROTATE_KEY_FILE"]
    refused = connect(program, server, server.senders[0], "--json", status=1)
    assert refused.error()["code"] == "key.nowhere"
    assert "MAILROTATE_KEY_FILE" in refused.error()["hint"]
