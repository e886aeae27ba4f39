"""Who may own an address, from the command line, against a real server (A7, A8, A9, B11)."""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.sandbox.clients import opened, send
from tests.support.console import Console
from tests.support.program import Completed, Program

ADA, BEN = "ada@example.org", "ben@example.org"
PASSWORD = "sandbox-password"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Console(tmp_path)


@pytest.fixture
def team(program: Program, home: Path) -> Program:
    """Ada, who is the admin, and Ben."""
    program.run("init", "--email", ADA, "--name", "Ada Admin")
    program.run("user", "add", BEN, "--name", "Ben Blum")
    return program


def connect(
    program: Program, server: SandboxInfo, address: str, *more: str, status: int | None = 0
) -> Completed:
    # A mailbox is there as soon as it has had mail.
    send(server, address, b"Subject: Welcome\r\n\r\nHello\r\n")
    smtp, imap = (f"{end.host}:{end.port}" for end in (server.smtp, server.imap))
    return program.run(
        "mailbox", "connect", address, "--smtp", smtp, "--imap", imap, "--security", "none",
        "--password-stdin", "--json", *more, input=f"{PASSWORD}\n", check_status=status,
    )  # fmt: skip


def follow(program: Program, hint: str) -> None:
    """Type what a hint says."""
    for line in hint.split(", then: "):
        program.run(*shlex.split(line.removeprefix("mailrotate ")))


def test_a8_the_first_address_of_a_workspace_is_a_persons_unless_one_says_so(
    program: Program, server: SandboxInfo
) -> None:
    refused = connect(program, server, "info@example.org", status=4).error()
    assert refused["code"] == "address.role"
    assert list(program.home.iterdir()) == []
    follow(program, refused["hint"])
    connected = connect(program, server, "info@example.org").json()
    assert (connected["user"], connected["default"]) == ("info@example.org", True)


def test_a8_role_addresses_and_others_own_are_refused_and_a_strange_one_is_warned_about(
    team: Program, server: SandboxInfo
) -> None:
    refused = connect(team, server, "Sales+EU@example.org", status=4).error()
    assert refused["hint"] == "mailrotate plan set --role-addresses on"
    follow(team, refused["hint"])
    assert connect(team, server, "Sales+EU@example.org").json()["address"] == "sales+eu@example.org"
    shown = team.run("plan", "show", "--json").json()
    assert (shown["shared"], shown["role_addresses"], shown["approval"]) == (False, True, "none")
    strict = team.run("plan", "set", "--role-addresses", "off", "--json", check_status=4).error()
    assert (strict["code"], "sales+eu@example.org" in strict["message"]) == ("plan.too_strict", True)
    forced = team.run("plan", "set", "--role-addresses", "off", "--force", "--json")
    assert forced.json()["over"]["role_addresses"] == ["sales+eu@example.org"]

    assert connect(team, server, BEN, status=4).error()["code"] == "address.another_user"
    odd = connect(team, server, "zoe@example.org")
    assert len(odd.json()["warnings"]) == 1
    assert "zoe@example.org does not look like an address of Ada Admin" in odd.stderr


def test_a7_a_mailbox_is_requested_checked_approved_and_then_connected(
    team: Program, server: SandboxInfo
) -> None:
    team.run("plan", "set", "--approval", "required")
    wanted = "blum@example.net"
    refused = connect(team, server, wanted, "--for", BEN, status=4).error()
    assert refused["hint"] == f"mailrotate mailbox request {wanted} --for {BEN}"
    requested = team.run("--as", BEN, "mailbox", "request", wanted, "--json").json()
    assert (requested["user"], requested["state"]) == (BEN, "requested")
    assert all(set(check) >= {"check", "passed", "message"} for check in requested["checks"])
    own = team.run("--as", BEN, "mailbox", "approve", requested["id"], "--json", check_status=4).error()
    assert own["code"] == "user.not_allowed"
    assert "1 requested mailbox: mailrotate mailbox requests" in team.run("status").stdout
    assert team.run("mailbox", "requests").stdout.split("\n")[1].split()[:4] == [
        requested["id"], wanted, BEN, "requested",
    ]  # fmt: skip
    approved = team.run("mailbox", "approve", requested["id"], "--json").json()
    assert (approved["state"], approved["decided_by"]) == ("approved", ADA)
    twice = team.run("mailbox", "deny", requested["id"], "--json", check_status=4).error()
    assert twice["code"] == "request.decided"
    assert connect(team, server, wanted, "--for", BEN).json()["user"] == BEN

    second = team.run("--as", BEN, "mailbox", "request", "zoe@example.net", "--json").json()
    assert [check["check"] for check in second["checks"] if not check["passed"]] == ["shows_user"]
    denied = team.run("mailbox", "deny", second["id"], "--reason", "not yours", "--json").json()
    assert (denied["state"], denied["reason"]) == ("denied", "not yours")
    assert team.run("mailbox", "requests", "--json").json() == []
    everything = team.run("mailbox", "requests", "--all", "--json").json()
    assert [row["checks_at_request"] for row in everything] == [requested["checks"], second["checks"]]
    page = team.run(
        "mailbox", "requests", "--all", "--after", requested["id"], "--limit", "1", "--json"
    ).json()
    assert page == everything[1:]
    third = team.run("mailbox", "request", "ben.blum@example.net", "--for", BEN, "--json").json()
    assert team.run("--as", BEN, "mailbox", "withdraw", third["id"], "--json").json()["ended_at"]


def test_a9_an_address_is_on_one_seat_locked_ones_and_other_spellings_included(
    team: Program, server: SandboxInfo
) -> None:
    connect(team, server, "ben.blum@gmail.com", "--for", BEN)
    team.run("user", "lock", BEN, "--yes")
    refused = connect(team, server, "BenBlum+Team@googlemail.com", status=4).error()
    assert refused["code"] == "mailbox.elsewhere"
    assert f"belongs to {BEN} (locked) as ben.blum@gmail.com" in refused["message"]
    assert refused["hint"] == "mailrotate mailbox remove ben.blum@gmail.com"


def test_b11_a_mailbox_sends_as_its_alias_and_knows_the_replies_to_it(
    team: Program, server: SandboxInfo
) -> None:
    own, alias, kim = "ada@example.net", "admin.ada@example.com", "kim@firm.example.com"
    connect(team, server, own)
    added = team.run(
        "mailbox", "alias", "add", own, alias, "--sender-name", "Ada of Sales", "--use", "--json"
    ).json()
    assert (added["sends_as"], added["aliases"][0]["in_use"]) == (alias, True)
    assert team.run("mailbox", "show", own, "--json").json()["aliases"][0]["address"] == alias
    assert connect(team, server, alias, status=4).error()["hint"] == (
        f"mailrotate mailbox alias remove {own} {alias}"
    )
    (team.home / "autumn.toml").write_text(
        'name = "autumn"\nwindow = { days = "mon-sun", hours = "00:00-24:00" }\n'
        '[[steps]]\nsubject = "Hello"\ntext = "Hello"\n[[steps]]\ndelay = "3d"\ntext = "Again"\n'
    )
    team.run("campaign", "create", "autumn.toml", "--from", own)
    team.run("recipient", "add", "autumn", kim)
    team.run("campaign", "start", "autumn")
    assert team.run("run", "--once", "--json").json()["sent"] == 1
    with opened(server, kim) as mailbox:
        mailbox.folder.set("INBOX")
        (mail,) = mailbox.fetch(mark_seen=False)
    assert mail.obj["From"] == f"Ada of Sales <{alias}>"
    reply = EmailMessage(SMTP)
    reply["From"], reply["To"], reply["In-Reply-To"] = kim, alias, mail.obj["Message-ID"]
    reply.set_content("Yes")
    # Where the alias leads: into the mailbox's own inbox.
    send(server, own, reply.as_bytes())
    # An inbox is read every five minutes.
    later = team.at(datetime.now(UTC) + timedelta(minutes=6))
    assert later.run("run", "--once", "--json").json()["replies"] == 1
    removed = team.run("mailbox", "alias", "remove", own, alias, "--json").json()
    assert (removed["sends_as"], removed["aliases"]) == (own, [])
