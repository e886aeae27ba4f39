"""What people read and scripts parse of outbox, why, status, log, limits, settings and db."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailrotate.core.store import mailboxes
from mailrotate.core.store.sending import lanes
from mailrotate.core.values.clock import next_whole_second
from mailrotate.core.values.hint import Command, Hint
from tests.support.console import Console
from tests.support.inside import inside
from tests.support.program import Program
from tests.support.rows import Workspace

NOW = datetime.now(UTC)
OUTBOX_KEYS = [
    "id", "state", "kind", "campaign", "step", "to", "from", "subject", "message_id", "due_at",
    "expected_at", "ahead", "sent_at", "attempts", "error",
]  # fmt: skip
REFUSED = {
    "state": "error",
    "error_class": "message",
    "error_phase": "data",
    "error_code": 552,
    "error_enhanced": "5.3.4",
    "error_text": "5.3.4 too big",
    "error_hint": Hint("then:", Command("outbox", "retry", "MESSAGE")).to_json(),
}


@pytest.fixture
def program(home: Path) -> Program:
    program = Console(home)
    program.run("init", "--email", "ada@example.org")
    return program


@pytest.fixture
def workspace(program: Program) -> Iterator[Workspace]:
    with inside(program, "ada@example.org") as workspace:
        yield workspace


def message(workspace: Workspace, **values: object) -> str:
    anna = workspace.add_mailbox("anna@example.org")
    campaign = workspace.add_campaign("autumn", [anna])
    sender_id = workspace.senders(campaign)[0]
    recipient_id = workspace.add_recipient(campaign, "kim@example.com", sender_id=sender_id)
    number = workspace.add_message(anna, campaign, recipient_id, **{"ready_at": NOW, **values})  # type: ignore[arg-type]
    return f"m_{number}"


def test_f1_the_outbox_shows_each_message_under_the_keys_that_scripts_rely_on(
    program: Program, workspace: Workspace
) -> None:
    name = message(workspace, ready_at=NOW + timedelta(hours=1))
    (row,) = program.run("outbox", "list", "--json").json()
    assert list(row) == OUTBOX_KEYS
    assert (row["id"], row["campaign"], row["to"], row["error"]) == (name, "autumn", "kim@example.com", None)
    due_at = datetime.fromisoformat(row["due_at"])
    assert datetime.fromisoformat(row["expected_at"]) == next_whole_second(due_at)
    said = program.run("why", name, "--json").json()
    assert list(said)[:4] == ["subject", "next_at", "binding", "gates"]
    assert (said["subject"], said["next_at"], said["binding"]) == (name, row["expected_at"], "due")
    assert {tuple(gate) for gate in said["gates"]} == {("gate", "open", "reason", "until")}


def test_f2_an_error_is_told_retried_and_cancelled_only_with_a_word(
    program: Program, workspace: Workspace
) -> None:
    name = message(workspace, **REFUSED)
    (row,) = program.run("outbox", "list", "--state", "error", "--json").json()
    # Whatever else is closed: it is the message that is asked about, and this opens it.
    assert f"next: mailrotate outbox retry {name}\n" in program.run("why", name).stdout
    assert row["error"] == {
        "class": "message",
        "code": 552,
        "enhanced": "5.3.4",
        "message": "5.3.4 too big",
        "hint": f"then: mailrotate outbox retry {name}",
    }
    assert "5.3.4 too big" in program.run("outbox", "show", name).stdout
    assert program.run("outbox", "retry", name, "--json").json()["ids"] == [name]
    assert program.run("outbox", "retry", name, "--json", check_status=4).error()["code"] == "outbox.refused"
    assert (
        program.run("outbox", "cancel", name, "--json", check_status=7).error()["code"]
        == "confirmation.needed"
    )
    program.run("outbox", "cancel", name, "--dry-run")
    assert program.run("outbox", "show", name, "--json").json()["state"] == "scheduled"
    program.run("outbox", "cancel", name, "--yes")
    shown = program.run("outbox", "show", name, "--json").json()
    assert shown["state"] == "cancelled"
    assert [event["action"] for event in shown["history"]] == ["message.retried", "message.cancelled"]


def test_f2_a_bulk_that_is_done_in_part_exits_8_and_lists_the_rest(
    program: Program, workspace: Workspace
) -> None:
    held = message(workspace, state="held")
    ben = workspace.add_mailbox("ben@example.org")
    sent = f"m_{workspace.add_sent(ben, NOW)}"
    done = program.run("outbox", "resolve", held, sent, "--sent", "--json", check_status=8).json()
    assert done["ids"] == [held]
    assert done["refused"] == [{"id": sent, "reason": "it is sent, not held"}]
    assert program.run("outbox", "resolve", held, check_status=2).stdout == ""


def test_f2_a_reply_is_classified_without_a_database(tmp_path: Path) -> None:
    program = Console(tmp_path)
    said = program.run(
        "outbox", "classify-reply", "550 5.1.1 No such user", "--phase", "rcpt", "--json"
    ).json()
    assert (said["class"], said["who"], said["code"], said["enhanced"]) == ("hard", "recipient", 550, "5.1.1")
    assert list(said)[:5] == ["class", "who", "code", "enhanced", "hint"]
    assert program.run("outbox", "classify-reply", "550", "--phase", "moon", check_status=2).stdout == ""
    assert not Path(program.env["MAILROTATE_DB"]).exists()


def test_f5_status_says_what_to_do_next_from_the_very_first(tmp_path: Path) -> None:
    program = Console(tmp_path)
    nothing = program.run("status", "--json", check_status=3)
    assert nothing.error()["hint"] == "mailrotate mailbox connect ADDRESS"
    assert not Path(program.env["MAILROTATE_DB"]).exists()
    program.run("init", "--email", "ada@example.org")
    assert "mailrotate mailbox connect ADDRESS" in program.run("status").stdout


def test_f5_status_shows_lanes_campaigns_and_errors(program: Program, workspace: Workspace) -> None:
    message(workspace, **REFUSED)
    text = program.run("status").stdout
    assert text.startswith("not sending: 1 message in error\n")
    assert text.endswith("next: mailrotate outbox list --state error\n")
    found = program.run("status", "--json").json()
    assert found["mailboxes"][0]["address"] == "anna@example.org"
    assert found["campaigns"][0]["recipients"] == {"queued": 1}
    assert found["errors"] == 1


def test_f5_the_log_follows_until_it_is_interrupted_and_exits_130(
    program: Program, workspace: Workspace
) -> None:
    following = program.start("log", "--follow", "--json")
    assert following.stdout is not None
    assert '"workspace.created"' in following.stdout.readline()
    program.run("settings", "set", "lateness=3d")
    assert '"setting.changed"' in following.stdout.readline()
    os.kill(following.pid, signal.SIGINT)
    rest, errors = following.communicate()
    assert (following.returncode, rest, errors) == (130, "", "")
    assert program.run("log", "--since", "1h", "--json").json()[-1]["action"] == "setting.changed"
    program.run("log", "--since", "yesterday", check_status=2)


def test_b4_limits_and_settings_are_shown_with_their_defaults(program: Program) -> None:
    program.run("limits", "set", "google.day=1500")
    day = next(row for row in program.run("limits", "show", "--json").json() if row["name"] == "google.day")
    assert (day["limit"], day["default"], day["period"]) == (1500, 2000, 86_400)
    assert day["source"].startswith("https://")
    wrong = program.run("settings", "set", "lateness=90", "colour=blue", "--json", check_status=2)
    assert len(wrong.error()["problems"]) == 2
    shown = {row["key"]: row["value"] for row in program.run("settings", "show", "--json").json()}
    assert shown["lateness"] == "1w"


def test_f3_a_database_is_copied_restored_and_checked(program: Program, workspace: Workspace) -> None:
    message(workspace)
    copy = str(program.home / "copy.db")
    program.run("db", "backup", copy)
    program.run("settings", "set", "lateness=3d")
    program.run("db", "restore", copy, check_status=7)
    workspace.store.close()
    kept = program.run("db", "restore", copy, "--yes", "--json").json()["kept"]
    assert Path(kept).exists()
    values = {one["key"]: one["value"] for one in program.run("settings", "show", "--json").json()}
    assert values["lateness"] == "1w"
    assert program.run("why", "anna@example.org", "--json").json()["binding"] == "workspace"
    assert program.run("status", "--json").json()["obstacle"]["code"] == "restored"
    assert program.run("db", "check", "--json").json()["faults"] == []
    assert program.run("db", "stats", "--json").json()["rows"]["message"] == 1


def test_f3_what_is_no_database_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    program = Console(tmp_path)
    stranger = tmp_path / "notes.txt"
    stranger.write_text("nothing but words, " * 50)
    for command in ("check", "upgrade", "stats"):
        told = program.run("--db", str(stranger), "db", command, "--json", check_status=2)
        assert told.error()["code"] == "store.not_a_database"
    assert program.run("--db", str(tmp_path), "db", "check", "--json", check_status=1).error()["code"]
    assert stranger.read_text() == "nothing but words, " * 50
    assert program.run("db", "check", "--json", check_status=3).error()["code"] == "workspace.none"


def test_of_messages_that_wait_for_one_instant_the_first_alone_is_told_it(
    program: Program, workspace: Workspace
) -> None:
    anna, later = workspace.add_mailbox("anna@example.org"), NOW + timedelta(hours=1)
    for number in range(3):
        workspace.add_message(anna, ready_at=later - timedelta(seconds=number), to=f"p{number}@example.com")
    with workspace.store.writing() as connection:
        lanes.rest(connection, anna.id, later)
    first, second, third = program.run("outbox", "list").stdout.splitlines()[1:]
    assert "  after 2 others" in first
    assert "  after 1 other " in second
    assert f"  {next_whole_second(later):%Y-%m-%d %H:%M:%S}" in third, "it is due before the others"
    with workspace.store.writing() as connection:
        mailboxes.change(connection, anna.id, paused_at=NOW)
    assert program.run("outbox", "list").stdout.count("after an action") == 3


@pytest.mark.parametrize(
    ("command", "following"),
    [("outbox list --state error", "outbox list"), ("webhook list", "webhook add URL")],
)
def test_an_empty_list_says_what_to_run(program: Program, command: str, following: str) -> None:
    assert program.run(*command.split()).stderr.endswith(f": mailrotate {following}\n")
