"""What people read: tables on narrow terminals, what was changed, and whom to ask."""

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from mailrotate.core.store import mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.values.states import Role
from tests.support.console import Console
from tests.support.inside import inside
from tests.support.program import Program
from tests.support.rows import NOW, Workspace

ADA, BEN, MIA = "ada@example.org", "ben@example.org", "mia@example.org"
ANNA, BOX = "anna.of-the-long-name@example.org", "ben@example.com"
TROUBLE = "535 5.7.8 the user name or the password is wrong, says the server at great length"


@pytest.fixture
def program(home: Path) -> Console:
    program = Console(home)
    program.run("init", "--email", ADA)
    return program


@pytest.fixture
def workspace(program: Program) -> Iterator[Workspace]:
    with inside(program, ADA) as workspace:
        yield workspace


def coloured_on_terminal(program: Program, *args: str, **env: str) -> str:
    ours, theirs = pty.openpty()
    env = {**program.env, "TERM": "xterm", **env}
    with subprocess.Popen(program._command(args), env=env, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        said = b""
        while chunk := read(ours):
            said += chunk
    os.close(ours)
    assert running.returncode == 0, said
    return said.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux's word for the end, once nobody has the other side open
        return b""


def test_a3_the_list_tells_whose_a_mailbox_is_once_there_is_more_than_one_user(
    program: Program, workspace: Workspace
) -> None:
    workspace.add_mailbox(ANNA)
    alone = program.run("mailbox", "list").stdout.splitlines()
    assert alone[0].split()[:3] == ["ADDRESS", "STATE", "TODAY"]
    workspace.add_mailbox(BOX, workspace.add_user(BEN))
    workspace.add_user(MIA, Role.MANAGER)
    for who in (ADA, MIA):
        head, *rows = program.run("--as", who, "mailbox", "list").stdout.splitlines()
        assert head.split()[:3] == ["ADDRESS", "USER", "STATE"]
        assert [row.split()[:2] for row in rows] == [[ANNA, ADA], [BOX, BEN]]
    own = program.run("--as", BEN, "mailbox", "list").stdout
    assert own.split()[:3] == ["ADDRESS", "STATE", "TODAY"]


@pytest.mark.parametrize(
    ("columns", "whole"), [(120, {ADA, BEN, "s_1", "s_3"}), (100, {"s_1", "s_3"}), (80, set()), (64, set())]
)
def test_a3_on_a_narrow_terminal_no_address_and_no_id_is_broken(
    program: Console, workspace: Workspace, columns: int, whole: set[str]
) -> None:
    workspace.add_mailbox(ANNA, state="failed", last_error=TROUBLE)
    workspace.add_mailbox(BOX, workspace.add_user(BEN))
    head, _, *rows, _names_left_out = program.on_terminal(columns, "mailbox", "list")
    assert {ANNA, BOX} | whole <= {word for row in rows for word in row.split()}
    assert len(rows) == 2, "one line a row"
    assert max(map(len, rows)) <= columns
    assert ("slot" in head) == ("s_1" in whole), "a column is whole or not there"
    assert ("user" in head) == (ADA in whole)
    piped = program.run("mailbox", "list").stdout.splitlines()
    assert len(piped) == 3, "in a pipe nothing wraps"
    assert TROUBLE in piped[1]


def test_a3_prose_is_cut_before_an_address_is_and_shown_whole_elsewhere(
    program: Console, workspace: Workspace
) -> None:
    workspace.add_mailbox(ANNA, state="failed", last_error=TROUBLE)
    lines = program.on_terminal(120, "mailbox", "list")
    assert max(map(len, lines)) <= 120
    assert lines[2].split()[0] == ANNA
    assert lines[2].rstrip().endswith("…")
    assert len(lines) == 3
    assert TROUBLE in program.run("mailbox", "show", ANNA).stdout


def test_b8_a_removed_mailbox_is_called_so_everywhere(program: Program, workspace: Workspace) -> None:
    anna, ben = workspace.add_mailbox(ANNA), workspace.add_mailbox(BOX)
    campaign = workspace.add_campaign("autumn", [anna, ben])
    person = workspace.add_recipient(
        campaign, "kim@example.com", sender_id=workspace.senders(campaign)[0], state="failed"
    )
    with workspace.store.writing() as connection:
        mailboxes.change(connection, anna.id, removed_at=NOW)
        mailboxes.change_connection(connection, anna.connection_id, state="disconnected")
        reason = update(t.recipient).where(t.recipient.c.id == person).values(reason="mailbox_removed")
        connection.execute(reason)
    (listed,) = program.run("mailbox", "list", "--removed", "--json").json()
    assert (listed["address"], listed["state"]) == (ANNA, "removed")
    assert program.run("mailbox", "show", ANNA, "--json").json()["state"] == "removed"
    shown = program.run("campaign", "show", "autumn", "--json").json()
    assert [(sender["address"], sender["state"]) for sender in shown["senders"]] == [
        (ANNA, "removed"),
        (BOX, "connected"),
    ]
    assert (shown["mailbox_removed"], shown["removed_senders"]) == (1, [ANNA])
    # The command names the mailbox, so that nobody has to look for it.
    way = f"mailrotate recipient assign autumn --from-sender {ANNA} --to-sender ADDRESS"
    assert way in program.run("campaign", "show", "autumn").stdout


def test_b3_a_change_of_settings_says_what_is_another_now_and_where_it_comes_from(
    program: Console, workspace: Workspace
) -> None:
    workspace.add_mailbox(ANNA)
    said = program.run("mailbox", "set", ANNA, "--daily-limit", "20", "--timezone", "Asia/Tokyo").stdout
    assert said.splitlines() == [
        f"changed {ANNA}:",
        "  daily limit: 500 → 20",
        "  timezone: UTC → Asia/Tokyo",
    ]
    document = program.run("mailbox", "set", ANNA, "--daily-limit", "plan", "--json").json()
    assert document["settings"]["daily_limit"] == {"value": 500, "from": "plan"}
    assert document["changes"] == [{"key": "daily_limit", "before": 20, "after": 500, "from": "plan"}]
    program.run("mailbox", "crm", ANNA, "--on", "--never", "example.com")
    (told,) = program.run("log", "--action", "mailbox.contact_book").stdout.splitlines()
    assert "never - → example.com  on no → yes" in told, "what stays the same is not told"
    again = program.run("mailbox", "set", ANNA, "--daily-limit", "plan").stdout
    assert again == f"nothing to change: {ANNA} already has these settings\n"
    command = ("mailbox", "set", ANNA, "--name", "Mine")
    said = coloured_on_terminal(program, *command, COLUMNS="80", NO_COLOR="1")
    assert f"next: mailrotate mailbox show {ANNA}" in said


def test_a10_of_a_locked_user_s_mailbox_it_is_said_who_can_unlock_them(
    program: Program, workspace: Workspace
) -> None:
    box = workspace.add_mailbox(BOX, workspace.add_user(BEN))
    workspace.add_campaign("autumn", [box], rotates=False)
    workspace.add_user(MIA, Role.MANAGER)
    program.run("user", "lock", BEN, "--yes")
    unlock = f"mailrotate user unlock {BEN}"
    by_ada = f"ask {ADA} (admin) to run: mailrotate user unlock {BEN}"
    assert f"next: {unlock}\n" in program.run("why", BOX).stdout
    assert program.run("--as", MIA, "why", BOX, "--json").json()["remedy"] == by_ada
    resume = ("campaign", "resume", "autumn", "--json")
    assert program.run(*resume, check_status=4).error()["hint"] == unlock
    assert program.run("--as", MIA, *resume, check_status=4).error()["hint"] == by_ada
    refused = program.run("--as", BEN, "mailbox", "list", "--json", check_status=4).error()
    assert (refused["code"], refused["hint"]) == ("user.locked", by_ada)


@pytest.mark.parametrize(
    ("setting", "change"),
    [("--access shared", "--shared on"), ("--daily-limit 501", "--daily-cap 501")],
)
def test_b4_b6_whom_the_plan_refuses_is_told_who_can_change_it(
    program: Program, workspace: Workspace, setting: str, change: str
) -> None:
    workspace.add_mailbox(BOX, workspace.add_user(BEN))
    program.run("plan", "set", "--shared", "off")
    line = ("mailbox", "set", BOX, *setting.split(), "--json")
    own = program.run("--as", BEN, *line, check_status=4).error()["hint"]
    assert own.endswith(f"ask {ADA} (admin) to run: mailrotate plan set {change}")
    admins = program.run(*line, check_status=4).error()["hint"]
    assert admins.endswith(f"mailrotate plan set {change}")
    assert ADA not in admins


def test_a8_whom_the_plan_refuses_a_role_s_address_is_told_who_can_permit_it(
    program: Program, workspace: Workspace
) -> None:
    workspace.add_user(BEN)
    line = ("--as", BEN, "mailbox", "request", "info@example.org", "--json")
    refused = program.run(*line, check_status=4).error()
    assert refused["hint"] == f"ask {ADA} (admin) to run: mailrotate plan set --role-addresses on"


def test_help_tells_of_everything_of_a_command_and_of_the_exit_statuses(program: Program) -> None:
    assert program.run("help").stdout == program.run("--help").stdout
    named = program.run("help", "mailbox", "connect").stdout
    assert named == program.run("mailbox", "connect", "--help").stdout
    assert "did you mean mailbox?" in program.run("help", "mailbx", check_status=2).stderr
    statuses = program.run("help", "exit-status", "--json").json()
    assert [row["status"] for row in statuses] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]
    assert len(program.run("help", "exit-status").stdout.splitlines()) == len(statuses)
    assert program.run("help", "mailbox", "--json", check_status=2).error()["code"] == "help.topic"


@pytest.mark.parametrize("line", ["mailbox list --help --no-color", "--no-color mailbox list --help"])
def test_no_color_takes_the_colours_from_help_wherever_it_stands(program: Program, line: str) -> None:
    # Bold is no colour; 30 to 37 and 90 to 97 are.
    colour = re.compile(r"\x1b\[(?:\d+;)*[39][0-7]m")
    assert colour.search(coloured_on_terminal(program, "mailbox", "list", "--help"))
    said = coloured_on_terminal(program, *line.split())
    assert "Usage: " in said
    assert not colour.search(said)
