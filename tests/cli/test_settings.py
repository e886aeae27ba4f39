"""What a mailbox can be set to, through the command line against a real server (B3, B4, B5, B7, B10)."""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.sandbox.clients import opened
from tests.support.console import Console
from tests.support.program import Program

PASSWORD = "of-the-sandbox"
SPRING = """
name = "spring"
window = { days = "mon-sun", hours = "00:00-24:00" }

[[steps]]
subject = "Hello"
text = "Hello {{ name }}."
"""


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


@pytest.fixture
def program(home: Path) -> Program:
    (home / "spring.toml").write_text(SPRING)
    return Console(home)


def servers(server: SandboxInfo) -> list[str]:
    smtp, imap = (f"{end.host}:{end.port}" for end in (server.smtp, server.imap))
    return ["--smtp", smtp, "--imap", imap, "--security", "none", "--password-stdin"]


def connect(program: Program, server: SandboxInfo, address: str, *more: str) -> None:
    program.run("mailbox", "connect", address, *servers(server), "--gap", "0s", *more, input=PASSWORD)


def settings(program: Program, address: str) -> dict[str, tuple[object, str]]:
    shown = program.run("mailbox", "show", address, "--json").json()["settings"]
    return {name: (each["value"], each["from"]) for name, each in shown.items()}


def test_b3_what_is_changed_reaches_the_next_message_and_each_value_says_where_it_is_from(
    program: Program, server: SandboxInfo
) -> None:
    anna = server.senders[0]
    connect(program, server, anna)
    program.run("campaign", "create", "spring.toml")
    program.run("recipient", "import", "spring", "-", input="email,name\nkim@example.com,Kim\n")

    def preview() -> dict[str, str]:
        found: dict[str, str] = program.run("campaign", "preview", "spring", "--json").json()
        return found

    assert settings(program, anna)["sender_name"] == ("anna", "user")
    program.run("user", "set", anna, "--name", "Anna Example")
    assert "Anna Example" in preview()["from_name"]
    program.run("mailbox", "set", anna, "--sender-name", "Anna of Example")
    assert settings(program, anna)["sender_name"] == ("Anna of Example", "own")
    (program.home / "work.md").write_text("*Anna*, Example Works")
    program.run("mailbox", "signature", "add", anna, "work", "--body", "work.md", "--main")
    program.run("mailbox", "signature", "add", anna, "short", "--body", "-", input="A.")
    shown = preview()
    assert (shown["from_name"], "-- \nAnna, Example Works" in shown["text"]) == ("Anna of Example", True)
    listed = program.run("mailbox", "signature", "list", anna, "--json").json()
    assert [(row["name"], row["main"]) for row in listed] == [("work", True), ("short", False)]
    assert program.run("mailbox", "signature", "show", anna, "work").stdout == "*Anna*, Example Works\n"
    program.run("mailbox", "signature", "unmain", anna)
    assert "-- " not in preview()["text"]
    (program.home / "latin.md").write_bytes(b"Andr\xe9")
    bad = program.run("mailbox", "signature", "edit", anna, "work", "--body", "latin.md", check_status=2)
    assert "latin.md is not UTF-8: byte 5" in bad.stderr
    changed = [row["data"] for row in program.run("log", "--action", "mailbox.set", "--json").json()]
    assert changed == [{"key": "sender_name", "before": "Anna Example", "after": "Anna of Example"}]


def test_b4_a_limit_is_at_most_the_plans_cap_and_a_ramp_up_lowers_it(
    program: Program, server: SandboxInfo
) -> None:
    anna = server.senders[0]
    connect(program, server, anna)
    above = program.run("mailbox", "set", anna, "--daily-limit", "501", "--json", check_status=4).error()
    assert above["code"] == "limit.above_cap"
    program.run("mailbox", "set", anna, "--daily-limit", "300", "--ramp", "2,3,100")
    assert settings(program, anna)["ramp"] == ("2,3,100", "own")
    assert program.run("mailbox", "list", "--json").json()[0]["daily_limit"] == 2
    program.run("campaign", "create", "spring.toml")
    people = "".join(f"p{n}@example.com,P{n}\n" for n in range(4))
    program.run("recipient", "import", "spring", "-", input=f"email,name\n{people}")
    program.run("campaign", "start", "spring")
    assert program.run("run", "--once", "--json").json()["sent"] == 2
    assert "2 of 2 sent today, day 1 of the ramp-up" in program.run("why", anna).stdout
    wrong = program.run("mailbox", "set", anna, "--ramp", "20", "--json", check_status=2).error()
    assert wrong["code"] == "mailbox.ramp"
    program.run("mailbox", "set", anna, "--ramp", "off")
    assert program.run("mailbox", "list", "--json").json()[0]["daily_limit"] == 300
    assert program.run("run", "--once", "--json").json()["sent"] == 2


def test_b5_a_campaign_takes_the_default_at_its_creation_and_keeps_it(
    program: Program, server: SandboxInfo
) -> None:
    anna, ben, _ = server.senders
    connect(program, server, anna)
    connect(program, server, ben, "--for", anna)

    def created(name: str) -> list[str]:
        program.run("campaign", "create", "spring.toml", "--name", name)
        return [row["address"] for row in program.run("campaign", "show", name, "--json").json()["senders"]]

    assert created("first") == [anna]
    program.run("mailbox", "default", ben)
    assert created("second") == [ben]
    shown = program.run("campaign", "show", "first", "--json").json()
    assert [row["address"] for row in shown["senders"]] == [anna]
    program.run("mailbox", "disconnect", ben, "--yes")
    rows = program.run("mailbox", "list", "--json").json()
    assert {row["address"]: row["default"] for row in rows} == {anna: False, ben: True}
    refused = program.run("campaign", "create", "spring.toml", "--name", "third", "--json", check_status=4)
    assert refused.error()["hint"] == f"mailrotate mailbox connect {ben}"
    program.run("campaign", "create", "spring.toml", "--name", "third", "--from", anna)


def test_b6_a_mailbox_is_shared_where_the_plan_permits_it(program: Program, server: SandboxInfo) -> None:
    anna = server.senders[0]
    connect(program, server, anna)
    program.run("user", "add", "mia@example.org")
    refused = program.run("mailbox", "set", anna, "--access", "shared", "--json", check_status=4).error()
    assert refused["hint"] == "mailrotate plan set --shared on"
    program.run("plan", "set", "--shared", "on")
    program.run("mailbox", "set", anna, "--access", "shared")
    program.run("mailbox", "share", "add", anna, "mia@example.org")
    assert program.run("mailbox", "list", "--json").json()[0]["access"] == "shared"
    create = ("--as", "mia@example.org", "campaign", "create", "spring.toml", "--from", anna)
    program.run(*create)
    asked = program.run("mailbox", "set", anna, "--access", "personal", check_status=7)
    assert "campaign spring sends from it and goes on" in asked.stderr
    program.run("mailbox", "set", anna, "--access", "personal", "--yes")
    again = program.run(*create, "--name", "other", "--json", check_status=4).error()
    assert again["code"] == "mailbox.personal"


def test_b7_servers_and_password_are_tested_before_they_replace_the_old(
    program: Program, server: SandboxInfo
) -> None:
    anna = server.senders[0]
    connect(program, server, anna)
    before = program.run("mailbox", "show", anna, "--json").json()
    wrong = ("mailbox", "set", anna, "--password-stdin", "--json")
    assert program.run(*wrong, input="wrong", check_status=5).error()["code"] == "connect.auth"
    closed = program.run("mailbox", "set", anna, "--imap", "127.0.0.1:9", "--json", check_status=5).error()
    assert closed["code"] == "connect.connect"
    after = program.run("mailbox", "show", anna, "--json").json()
    assert [after[key] for key in ("smtp", "imap", "username")] == [
        before[key] for key in ("smtp", "imap", "username")
    ]
    assert program.run("mailbox", "test", anna, "--json").json()[0]["passed"]
    host = f"localhost:{server.smtp.port}"
    moved = ("--smtp", host, "--security", "none", "--password-stdin")
    program.run("mailbox", "set", anna, *moved, input=PASSWORD)
    assert program.run("mailbox", "show", anna, "--json").json()["smtp"] == host
    assert program.run("mailbox", "test", anna, "--json").json()[0]["passed"]


def test_b3_b7_a_good_login_with_a_folder_that_is_not_there_changes_nothing(
    program: Program, server: SandboxInfo
) -> None:
    anna = server.senders[0]
    connect(program, server, anna)

    def everything() -> tuple[object, object]:
        shown = program.run("mailbox", "show", anna, "--json").json()
        return shown, program.run("log", "--json").json()

    before = everything()
    moved = ("--smtp", f"localhost:{server.smtp.port}", "--imap", f"localhost:{server.imap.port}")
    login = (*moved, "--security", "none", "--password-stdin", "--gap", "5m", "--daily-limit", "7")
    command = ("mailbox", "set", anna, *login, "--folders", "Nowhere", "--json")
    refused = program.run(*command, input=PASSWORD, check_status=3)
    assert refused.error()["code"] == "folder.none"
    assert "imap  auth       ok" in refused.stderr
    assert everything() == before
    assert program.run("mailbox", "test", anna, "--json").json()[0]["passed"]


def test_b10_how_often_a_mailbox_is_read_is_the_plans(program: Program, server: SandboxInfo) -> None:
    anna = server.senders[0]
    connect(program, server, anna)
    assert settings(program, anna)["sync_every"] == (300, "plan")
    program.run("plan", "set", "--sync-every", "10m")
    assert settings(program, anna)["sync_every"] == (600, "plan")
    refused = program.run("mailbox", "set", anna, "--sync-every", "1m", check_status=2)
    assert "No such option" in refused.stderr


def test_b3_g3_chosen_folders_are_read_for_replies(program: Program, server: SandboxInfo) -> None:
    anna = server.senders[0]
    with opened(server, anna) as mailbox:
        mailbox.folder.create("Our replies")
    connect(program, server, anna)
    program.run("campaign", "create", "spring.toml")
    program.run("recipient", "import", "spring", "-", input="email,name\nkim@example.com,Kim\n")
    program.run("campaign", "start", "spring")
    assert program.run("run", "--once", "--json").json()["sent"] == 1

    folders = ("mailbox", "set", anna, "--json", "--folders")
    unknown = program.run(*folders, "Our replys", check_status=3).error()
    assert unknown["code"] == "folder.none"
    program.run(*shlex.split(unknown["hint"].removeprefix("mailrotate ")))
    assert settings(program, anna)["folders"] == ("INBOX, Our replies", "own")
    (sent,) = program.run("outbox", "list", "--json").json()
    reply = f"From: kim@example.com\r\nIn-Reply-To: {sent['message_id']}\r\n\r\nYes\r\n"
    with opened(server, anna) as mailbox:
        mailbox.append(reply.encode(), "Our replies")
    later = program.at(datetime.now(UTC) + timedelta(minutes=6))
    assert later.run("run", "--once", "--only", "sync", "--json").json()["replies"] == 1

    with opened(server, anna) as mailbox:
        mailbox.folder.delete("Our replies")
    later = program.at(datetime.now(UTC) + timedelta(minutes=12))
    later.run("run", "--once", "--only", "sync")
    shown = later.run("mailbox", "show", anna)
    assert "folder Our replies" in shown.stdout
    assert later.run("mailbox", "list", "--json").json()[0]["state"] == "connected"
    later.run(*folders, "default")
    assert settings(later, anna)["folders"] == ("INBOX", "default")
