"""Slots from the command line, A1 to A5, with a real server for the logins."""

import shlex
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mailrotate.core.rules.renewal import next_renewal
from mailrotate.core.store import mailboxes
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support.console import Console
from tests.support.inside import inside
from tests.support.program import Completed, Program
from tests.support.rows import Sender, Workspace

ADA, BEN = "ada@example.org", "ben@example.org"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox() as sandbox:
        yield sandbox.info


@pytest.fixture
def program(home: Path) -> Program:
    program = Console(home)
    program.run("init", "--email", ADA)
    return program


@pytest.fixture
def workspace(program: Program) -> Iterator[Workspace]:
    with inside(program, ADA) as workspace:
        yield workspace


def connect(
    program: Program, server: SandboxInfo, address: str, *more: str, status: int = 0, who: str = ADA
) -> Completed:
    smtp, imap = (f"{end.host}:{end.port}" for end in (server.smtp, server.imap))
    servers = ("--smtp", smtp, "--imap", imap, "--security", "none", "--password-stdin")
    return program.run(
        "--as", who, "mailbox", "connect", address, *servers, *more,
        input=server.password, check_status=status,
    )  # fmt: skip


def sender_of(workspace: Workspace, address: str) -> Sender:
    with workspace.store.reading() as connection:
        box = mailboxes.by_address(connection, address)
    assert box is not None
    return Sender(box.id, address, box.slot_id, box.connection_id)


def take(hint: str) -> list[str]:
    """The arguments of a hint's command."""
    return shlex.split(hint.partition("mailrotate ")[2])


def renewal() -> str:
    today = datetime.now(UTC).date()
    return next_renewal(today, today).isoformat()


def test_a1_each_user_has_two_slots_and_with_the_promotion_plan_one(program: Program) -> None:
    assert program.run("user", "add", BEN, "--json").json()["total"] == 2
    program.run("plan", "set", "--slots", "1")
    assert program.run("user", "add", "cleo@example.org", "--json").json()["total"] == 1
    listed = program.run("slot", "list", "--json").json()
    assert [(user["user"], user["total"]) for user in listed["users"]] == [
        (ADA, 1), (BEN, 1), ("cleo@example.org", 1),
    ]  # fmt: skip
    assert [slot["kind"] for user in listed["users"] for slot in user["slots"]] == ["included"] * 3


def test_a2_slots_are_bought_assigned_given_back_and_end_with_their_subscription(program: Program) -> None:
    program.run("user", "add", BEN)
    (bought,) = program.run("slot", "buy", "--json").json()["bought"]
    assert bought == {"id": "s_5", "kind": "purchased", "renews_on": renewal(), "mailbox": None}
    short = program.run("slot", "assign", "--user", BEN, "--count", "2", "--json", check_status=4).error()
    assert short["code"] == "slot.pool"
    program.run(*take(short["hint"]))
    assigned = program.run("slot", "assign", "--user", BEN, "--count", "2", "--json").json()
    assert [slot["id"] for slot in assigned["slots"]] == ["s_3", "s_4", "s_5", "s_6"]
    assert program.run("slot", "add", "--user", BEN, "--json").json()["total"] == 5
    assert program.run("slot", "unassign", "s_6", "--json").json()["id"] == "s_6"
    listed = program.run("slot", "list", "--json").json()
    assert listed["team"] == {"connected": 0, "total": 6, "unassigned": 1}
    assert [slot["id"] for slot in listed["pool"]] == ["s_6"]
    assert f"s_6 renews {renewal()}" in program.run("slot", "list").stdout

    own = program.run("slot", "remove", "s_7", "--yes", "--json").json()
    assert own["subscription_ends"] == {"slot": "s_7", "renews_on": renewal(), "becomes_included": False}
    heir = program.run("slot", "remove", "s_3", "--yes", "--json").json()
    assert heir["subscription_ends"] == {"slot": "s_5", "renews_on": renewal(), "becomes_included": True}
    none = program.run("slot", "remove", "s_5", "--yes", "--json").json()
    assert none["subscription_ends"] is None
    assert "no subscription ends" in none["consequences"][-1]
    assert program.run("slot", "remove", "s_6", "--yes", "--json").json()["user"] is None
    refused = program.run("slot", "unassign", "s_4", "--json", check_status=4).error()
    assert refused["code"] == "slot.included"
    assert program.run(*take(refused["hint"]), "--yes", "--json").json()["removed"]


def test_a3_connected_of_total_is_shown_wherever_slots_are(program: Program, server: SandboxInfo) -> None:
    anna, ben = server.senders[:2]
    alone = program.run("status").stdout
    program.run("user", "add", BEN)
    program.run("slot", "buy")
    assert "slots: 0/2 connected, default sender none\n" in alone
    assert f"slots 1/2, default sender {anna}" in connect(program, server, anna).stdout
    second = connect(program, server, ben, "--json").json()
    assert (second["slots"], second["default"], second["default_address"]) == ("2/2", False, anna)
    program.run("mailbox", "disconnect", ben, "--yes")

    listed = program.run("slot", "list", "--json").json()
    assert listed["team"] == {"connected": 1, "total": 4, "unassigned": 1}
    assert list(listed["users"][0]) == ["user", "connected", "total", "default", "slots"]
    assert [slot["mailbox"] for slot in listed["users"][0]["slots"]] == [anna, None]
    table = program.run("slot", "list").stdout
    assert table.splitlines()[1].split()[:3] == [ADA, "1/2", anna]
    assert "team: 1/4 connected, 1 unassigned" in table
    status = program.run("status", "--json").json()["slots"]
    assert status["team"] == listed["team"]
    assert status["users"][0] == {"user": ADA, "connected": 1, "total": 2, "default": anna}
    said = program.run("status").stdout
    assert "slots: team: 1/4 connected, 1 unassigned" in said
    assert f"  {ADA}: 1/2 connected, default sender {anna}\n  {BEN}: 0/2 connected" in said
    seats = {seat["email"]: seat for seat in program.run("user", "list", "--json").json()}
    assert (seats[ADA]["connected"], seats[ADA]["total"], seats[ADA]["default"]) == (1, 2, anna)
    assert "1/2" in program.run("user", "show", ADA).stdout
    own = program.run("--as", BEN, "slot", "list", "--json").json()
    assert ([user["user"] for user in own["users"]], own["pool"]) == ([BEN], [])


def test_a4_removing_a_slot_tells_what_follows_and_its_campaign_goes_on_from_another(
    program: Program, server: SandboxInfo, workspace: Workspace
) -> None:
    anna = server.senders[0]
    program.run("slot", "add", "--user", ADA)
    connect(program, server, anna, "--slot", "s_3")
    box = sender_of(workspace, anna)
    campaign = workspace.add_campaign("autumn", [box], rotates=False)
    sender_id = workspace.senders(campaign)[0]
    recipient_id = workspace.add_recipient(campaign, "kim@example.com", sender_id=sender_id)
    workspace.add_message(box, campaign, recipient_id)

    which = program.run("slot", "remove", "--json", check_status=2)
    assert (which.error()["code"], which.error()["hint"]) == (
        "slot.which", "mailrotate slot remove s_1 --dry-run",
    )  # fmt: skip
    assert [slot["mailbox"] for slot in which.json()] == [None, None, anna]
    assert which.json()[-1] == {
        "id": "s_3", "user": ADA, "kind": "purchased", "renews_on": renewal(), "mailbox": anna,
    }  # fmt: skip
    assert f"s_3   {ADA}" in program.run("slot", "remove", check_status=2).stdout
    asked = program.run("slot", "remove", "s_3", "--json", check_status=7)
    assert asked.error()["code"] == "confirmation.needed"
    for said in (
        f"{anna} stops sending; it stays a mailbox of {ADA}",
        "campaign autumn pauses; recipients who wait for it: 1",
        "1 planned message waits",
        "replies to it are no longer recognised",
        f"its subscription ends; it would have renewed on {renewal()}",
        "warning: the renewal is not near",
        "warning: not finished: autumn",
    ):
        assert said in asked.stderr
    shown = program.run("slot", "remove", "s_3", "--dry-run", "--json").json()
    assert (shown["removed"], shown["mailbox"], shown["waiting_messages"]) == (False, anna, 1)
    hit = {"campaign": "autumn", "state": "active", "people": 1, "contacted": 0, "comes_back_by": None}
    assert shown["campaigns"] == [hit]
    assert (shown["replies_recognised"], len(shown["warnings"])) == (False, 2)
    assert date.fromisoformat(shown["subscription_ends"]["renews_on"]) > datetime.now(UTC).date()
    assert program.run("mailbox", "list", "--json").json()[0]["slot"] == "s_3"

    assert program.run("slot", "remove", "s_3", "--yes", "--json").json()["removed"]
    (listed,) = program.run("mailbox", "list", "--json").json()
    assert (listed["state"], listed["slot"]) == ("disconnected", None)
    refused = program.run("campaign", "resume", "autumn", "--json", check_status=4).error()
    assert refused["hint"] == f"mailrotate mailbox connect {anna} --resume"
    back = connect(program, server, anna, "--json").json()
    assert (back["slot"], back["followed"]) == ("s_1", ["autumn"])
    program.run("campaign", "resume", "autumn")
    assert program.run("campaign", "show", "autumn", "--json").json()["state"] == "active"
    assert (
        program.run("slot", "remove", "s_3", "--yes", "--json", check_status=3).error()["code"] == "slot.none"
    )


def test_a5_without_a_free_slot_the_refusal_names_the_command_that_makes_one(
    program: Program, server: SandboxInfo
) -> None:
    """For a member it names who can; while the pool has a slot it is that one."""
    program.run("plan", "set", "--slots", "1")
    program.run("user", "add", BEN)
    anna, ben, clara = server.senders
    connect(program, server, anna, who=BEN)
    program.run("slot", "buy")
    refused = connect(program, server, ben, "--json", status=4, who=BEN).error()
    assert refused["code"] == "slot.none_free"
    assert refused["hint"] == f"ask {ADA} (admin) to run: mailrotate slot assign --for {BEN}"
    program.run(*take(refused["hint"]))
    connect(program, server, ben, who=BEN)
    again = connect(program, server, clara, "--for", BEN, "--json", status=4).error()
    assert take(again["hint"]) == ["slot", "add", "--for", BEN]
    program.run(*take(again["hint"]))
    assert connect(program, server, clara, "--for", BEN, "--json").json()["slots"] == "3/3"


def test_a5_a_slot_to_which_a_mailbox_may_return_is_taken_last_and_only_with_a_word(
    program: Program, server: SandboxInfo, workspace: Workspace
) -> None:
    anna, ben, clara = server.senders
    connect(program, server, anna)
    workspace.add_campaign("autumn", [sender_of(workspace, anna)])
    program.run("mailbox", "disconnect", anna, "--yes")
    # Another free slot is taken without a question.
    assert connect(program, server, ben, "--json").json()["slot"] == "s_2"
    asked = connect(program, server, clara, "--json", status=7)
    assert asked.error()["code"] == "confirmation.needed"
    assert f"{anna} was in this slot, and its grace in campaign autumn runs until" in asked.stderr
    assert len(program.run("mailbox", "list", "--json").json()) == 2
    assert connect(program, server, clara, "--yes", "--json").json()["slot"] == "s_1"
