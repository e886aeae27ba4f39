"""`mailbox remove` and `recipient assign` as people and scripts run them, against a real server."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrotate.sandbox.person import answer
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support.console import Console
from tests.support.program import Program

PASSWORD = "not to be guessed"
CAMPAIGN = """
name = "autumn"
window = { days = "mon-sun", hours = "00:00-24:00" }
[[steps]]
subject = "A question"
text = "Hello."
[[steps]]
delay = "3d"
text = "Again."
"""
KIM, PIA, LEO = "kim@removal.example.com", "pia@removal.example.com", "leo@removal.example.com"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


@pytest.fixture
def program(server: SandboxInfo, home: Path) -> Program:
    """Anna, the default, and Ben are connected, without a gap between two messages."""
    program = Console(home, {"MAILROTATE_PASSWORD": PASSWORD})
    smtp, imap = (f"{end.host}:{end.port}" for end in (server.smtp, server.imap))
    for address in server.senders[:2]:
        program.run(
            "mailbox", "connect", address, "--smtp", smtp, "--imap", imap, "--security", "none", "--gap", "0s"
        )
    (home / "plan.toml").write_text(CAMPAIGN)
    return program


def start(program: Program, *senders: str) -> None:
    froms = [word for sender in senders for word in ("--from", sender)]
    program.run("campaign", "create", "plan.toml", *froms)
    program.run("recipient", "import", "autumn", "-", input="\n".join(["email", KIM, PIA]))
    program.run("campaign", "start", "autumn")


def people(program: Program) -> dict[str, tuple[str, str | None, str | None]]:
    listed = program.run("recipient", "list", "autumn", "--json").json()
    return {row["email"]: (row["state"], row["reason"], row["sender"]) for row in listed}


def test_b8_b5_a_mailbox_is_removed_with_a_tag_and_a_list_and_its_people_are_taken_on(
    program: Program, server: SandboxInfo
) -> None:
    anna, ben, _ = server.senders
    start(program, anna)
    assert program.run("run", "--once", "--json").json()["sent"] == 2
    program.run("recipient", "add", "autumn", LEO)

    asked = program.run("mailbox", "remove", anna, "--json", check_status=7)
    assert asked.error()["code"] == "confirmation.needed"
    shown = program.run("mailbox", "remove", anna, "--dry-run", "--export", "annas", "--json")
    document = shown.json()
    assert (document["removed"], document["default"], document["next_default"]) == (False, True, ben)
    (campaign,) = document["campaigns"]
    assert {name: campaign[name] for name in ("campaign", "failed", "moved", "waiting", "pauses")} == {
        "campaign": "autumn", "failed": 2, "moved": 0, "waiting": 1, "pauses": True,
    }  # fmt: skip
    assert "replies to it are no longer recognised" in shown.stderr, "G2"
    assert f"{ben} becomes the default sender" in shown.stderr, "B5"
    assert not (program.home / "annas").exists()

    told = program.run(
        "mailbox", "remove", anna, "--tag", "Annas", "--export", "annas", "--yes", "--json"
    ).json()
    assert (told["removed"], told["tagged"], told["exported"]["people"]) == (True, 3, 3)
    with (program.home / "annas" / "people.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["campaign"], row["email"], row["state"], row["step"]) for row in rows] == [
        ("autumn", KIM, "active", "2"),
        ("autumn", PIA, "active", "2"),
        ("autumn", LEO, "queued", "1"),
    ]
    assert [row["address"] for row in program.run("mailbox", "list", "--json").json()] == [ben]
    (gone,) = program.run("mailbox", "list", "--removed", "--json").json()
    assert (gone["address"], gone["sent_today"]) == (anna, 2)
    assert "removed" in program.run("mailbox", "show", anna).stdout
    history = program.run("outbox", "list", "--mailbox", anna, "--json").json()
    assert [row["state"] for row in history if row["state"] == "sent"] == ["sent", "sent"]
    assert "mailbox.removed" in program.run("log", "--mailbox", anna).stdout
    assert program.run("mailbox", "show", ben, "--json").json()["default"]
    assert people(program)[KIM] == ("failed", "mailbox_removed", None)

    words = program.run("recipient", "show", "autumn", KIM).stdout
    assert f"mailrotate recipient assign autumn {KIM} --to-sender ADDRESS" in words
    resumed = program.run("campaign", "resume", "autumn", "--json", check_status=4).error()
    hint = f"mailrotate recipient assign autumn --from-sender {anna} --to-sender ADDRESS"
    assert resumed["hint"] == hint
    assert hint in program.run("why", "autumn").stdout
    part = program.run(
        "recipient", "assign", "autumn", "--tag", "annas", "--to-sender", ben, "--json", check_status=8
    ).json()
    assert (part["assigned"], part["became_sender"], part["not_assigned"]) == (2, True, 1)
    assert [problem["email"] for problem in part["problems"]] == [LEO]
    program.run("campaign", "resume", "autumn")
    assert people(program)[KIM] == ("active", None, ben)
    assert program.run("run", "--once", "--json").json()["sent"] == 1, "Leo had waited for the next sender"


def test_g2_b8_after_a_removal_replies_to_it_are_not_recognised_and_its_people_go_on(
    program: Program, server: SandboxInfo
) -> None:
    anna, ben, _ = server.senders
    start(program, anna, ben)
    program.run("run", "--once")
    annas = next(email for email, (_, _, sender) in people(program).items() if sender == anna)
    there = program.home / "people.csv"
    there.write_text("mine")
    refused = program.run("mailbox", "remove", anna, "--export", ".", "--yes", "--json", check_status=2)
    assert refused.error()["code"] == "export.exists"
    assert there.read_text() == "mine"
    same = program.run("mailbox", "remove", anna, "--move-to", anna, "--yes", "--json", check_status=4)
    assert same.error()["code"] == "mailbox.same"
    moved = program.run("mailbox", "remove", anna, "--move-to", ben, "--yes", "--json").json()
    assert [(c["moved"], c["failed"], c["pauses"]) for c in moved["campaigns"]] == [(1, 0, False)]
    assert people(program)[annas] == ("active", None, ben)
    taking = ("recipient", "assign", "autumn", "--to-sender", ben, "--json")
    nobody = program.run(*taking, "--from-sender", anna, check_status=3).error()
    assert (nobody["code"], "--tag" in nobody["hint"]) == ("recipient.nobody", True)
    answer(server, annas, "Yes, gladly.")
    assert program.run("run", "--once", "--json").json()["replies"] == 0
    assert people(program)[annas][0] == "active"
