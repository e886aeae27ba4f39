"""A team and its plan from the command line."""

from pathlib import Path

import pytest

from mailrotate.core.store.engine import open_store
from mailrotate.core.store.workspaces import user_by_email
from tests.support.console import Console
from tests.support.program import Program
from tests.support.rows import Workspace

BEN = "ben@example.org"


@pytest.fixture
def program(home: Path) -> Program:
    program = Console(home)
    program.run("init", "--email", "ada@example.org")
    return program


def add_single_campaign(program: Program) -> None:
    """Ben's mailbox, and a running campaign that sends from it alone."""
    store = open_store(program.env["MAILROTATE_DB"])
    with store.reading() as connection:
        admin, ben = (user_by_email(connection, email) for email in ("ada@example.org", BEN))
    assert admin is not None
    assert ben is not None
    workspace = Workspace(store, admin)
    workspace.add_campaign("autumn", [workspace.add_mailbox("ben@example.com", ben)], rotates=False)
    store.close()


def test_a6_a10_a_member_is_added_locked_and_unlocked(program: Program) -> None:
    added = program.run("user", "add", BEN, "--name", "Ben Example", "--json").json()
    assert added == {
        "email": BEN,
        "name": "Ben Example",
        "role": "member",
        "state": "active",
        "default": None,
        "connected": 0,
        "total": 2,
        "mailboxes": [],
    }
    refused = program.run("--as", BEN, "user", "add", "dan@example.org", "--json", check_status=4)
    assert refused.error()["code"] == "user.not_allowed"
    add_single_campaign(program)

    program.run("user", "lock", BEN, check_status=7)
    shown = program.run("user", "lock", BEN, "--dry-run").stderr
    assert "campaign autumn pauses" in shown
    assert program.run("user", "lock", BEN, "--yes", "--json").json()["state"] == "locked"
    own = program.run("--as", BEN, "user", "list", "--json", check_status=4)
    assert own.error()["code"] == "user.locked"
    resumed = program.run("campaign", "resume", "autumn", "--json", check_status=4).error()
    assert resumed["hint"] == f"mailrotate user unlock {BEN}"
    unlocked = program.run("user", "unlock", BEN, "--json").json()
    assert (unlocked["state"], unlocked["still_paused"]) == ("active", ["autumn"])
    assert program.run("campaign", "resume", "autumn").status == 0
    held = program.run("user", "remove", BEN, "--yes", "--json", check_status=4).error()
    assert held["code"] == "user.has_mailbox"


def test_a6_roles_are_one_table_and_a_removed_user_is_in_no_list(program: Program) -> None:
    table = {row["deed"]: row for row in program.run("user", "roles", "--json").json()}
    assert [table["slots"][role] for role in ("admin", "manager", "member")] == [True, True, False]
    program.run("user", "add", BEN)
    program.run("user", "set", BEN, "--role", "manager")
    listed = program.run("user", "list").stdout.splitlines()
    assert [line.split()[2] for line in listed[1:]] == ["admin", "manager"]
    program.run("--as", BEN, "slot", "add", "--user", BEN)
    asked = program.run("user", "remove", BEN, check_status=7)
    assert "1 purchased slot goes back to the team's pool" in asked.stderr
    assert program.run("user", "remove", BEN, "--yes", "--json").json()["removed"]
    assert program.run("user", "show", BEN, "--json", check_status=None).error()["code"] == "user.none"
    assert program.run("slot", "list", "--json").json()["team"]["unassigned"] == 1


def test_a1_b4_b10_the_plan_is_shown_changed_and_refused_when_too_strict(program: Program) -> None:
    assert program.run("plan", "show", "--json").json() == {
        "slots": 2,
        "daily_cap": 500,
        "shared": False,
        "role_addresses": False,
        "approval": "none",
        "sync_every": 300,
    }
    changed = program.run("plan", "set", "--slots", "3", "--sync-every", "10m", "--json").json()
    assert (changed["slots"], changed["sync_every"], changed["slots_added"]) == (3, 600, 1)
    program.run("user", "add", BEN)
    add_single_campaign(program)
    refused = program.run("plan", "set", "--slots", "0", "--json", check_status=4).error()
    assert refused["code"] == "plan.too_strict"
    forced = program.run("plan", "set", "--slots", "0", "--force", "--json").json()
    assert forced["over"]["users"] == [{"user": BEN, "used": 1}]
    assert "inboxes are read every  10m" in program.run("plan", "show").stdout
