"""Who acts, and what they may, from the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrotate.app import operating_system_user
from mailrotate.core.store import mailboxes, workspaces
from mailrotate.core.store.engine import open_store
from tests.cli.test_completion import complete
from tests.support.console import Console
from tests.support.program import Program
from tests.support.rows import NOW, Sender, Workspace

ADA, BEN, CLEO = "ada@example.org", "ben@example.org", "cleo@example.org"
BOX = "ben@example.com"
WINTER = """
name = "winter"

[[steps]]
subject = "Hello"
text = "Hello {{ name }}."
"""


@pytest.fixture
def program(home: Path) -> Program:
    program = Console(home)
    program.run("init", "--email", ADA)
    (home / "winter.toml").write_text(WINTER)
    return program


@pytest.fixture
def workspace(program: Program) -> Iterator[Workspace]:
    """The program's own database, from the inside."""
    store = open_store(program.env["MAILROTATE_DB"])
    with store.reading() as connection:
        admin = workspaces.user_by_email(connection, ADA)
    assert admin is not None
    yield Workspace(store, admin)
    store.close()


@pytest.fixture
def box(program: Program, workspace: Workspace) -> Sender:
    """The mailbox of Ben, a member."""
    return workspace.add_mailbox(BOX, workspace.add_user(BEN))


def refused(program: Program, line: str) -> str:
    """The code with which a rule refuses a command."""
    return str(program.run(*line.split(), "--json", check_status=4).error()["code"])


def test_a6_each_event_says_who_acted_by_flag_environment_or_default_and_as_which_account(
    program: Program, workspace: Workspace
) -> None:
    for email in (BEN, CLEO):
        workspace.add_user(email)
    program.run("suppression", "add", "one.example", "--yes")
    program.env["MAILROTATE_USER"] = CLEO
    program.run("suppression", "add", "two.example", "--yes")
    program.run("--as", BEN, "suppression", "add", "three.example", "--yes")
    unknown = program.run("--as", "nobody@example.org", "campaign", "list", "--json", check_status=3)
    assert unknown.error()["code"] == "user.none"
    del program.env["MAILROTATE_USER"]
    logged = [row for row in program.run("log", "--json").json() if row["action"] == "suppression.added"]
    assert [row["actor"] for row in logged] == [ADA, CLEO, BEN]
    assert {row["os_user"] for row in logged} == {operating_system_user()}
    # Whom nobody may write to, everybody sees; a role's table says so.
    seen = program.run("--as", BEN, "suppression", "list", "--json").json()
    assert [row["value"] for row in seen] == ["one.example", "two.example", "three.example"]
    assert "see and add to all suppressions" in program.run("user", "roles").stdout


def test_a6_members_see_and_run_their_own(program: Program, workspace: Workspace, box: Sender) -> None:
    own = workspace.add_mailbox("ada@example.com")
    workspace.add_campaign("autumn", [own])
    listed = program.run("--as", BEN, "mailbox", "list", "--json").json()
    assert [row["address"] for row in listed] == [BOX]
    assert program.run("--as", BEN, "campaign", "list", "--json").json() == []
    for line in (
        "campaign show autumn",
        "campaign pause autumn",
        "recipient list autumn",
        "why autumn",
        "settings set lateness=3d",
        "secret rekey",
    ):
        assert refused(program, f"--as {BEN} {line}") == "user.not_allowed"
    program.run("user", "set", BEN, "--role", "manager")
    program.run("--as", BEN, "campaign", "pause", "autumn")
    assert refused(program, f"--as {BEN} settings set lateness=3d") == "user.not_allowed"


def test_a6_only_an_admin_restores_a_backup(program: Program, workspace: Workspace) -> None:
    workspace.add_user(BEN)
    backup = str(program.home / "backup.db")
    program.run("db", "backup", backup)
    assert refused(program, f"--as {BEN} db restore {backup} --yes") == "user.not_allowed"
    # A name that nobody has is no way round.
    assert refused(program, f"--as nobody@example.org db restore {backup} --yes") == "user.unknown"
    program.run("db", "restore", backup, "--yes")


def test_a6_who_is_removed_is_in_no_list_and_comes_back_when_added_again(
    program: Program, workspace: Workspace, box: Sender
) -> None:
    program.run("--as", BEN, "suppression", "add", "one.example", "--yes")
    assert refused(program, f"user remove {BEN} --yes") == "user.has_mailbox"
    with workspace.store.writing() as connection:
        mailboxes.change(connection, box.id, removed_at=NOW)
    assert program.run("user", "remove", BEN, "--yes", "--json").json()["removed"]
    assert [row["email"] for row in program.run("user", "list", "--json").json()] == [ADA]
    assert program.run("--as", BEN, "user", "list", "--json", check_status=3).error()["code"] == "user.none"
    assert program.run("log", "--json").json()[-2]["actor"] == BEN
    assert program.run("user", "add", BEN, "--json").json()["total"] == 2
    assert complete(program, "mailrotate user show b") == [BEN]


def test_a10_a_locked_user_acts_on_nothing(program: Program, workspace: Workspace, box: Sender) -> None:
    program.run("user", "lock", BEN, "--yes")
    for line in (
        "campaign create winter.toml",
        "campaign list",
        "suppression add one.example --yes",
        "suppression list",
        f"mailbox set {BOX} --daily-limit 7",
        "outbox retry --all",
        f"why {BOX}",
    ):
        assert refused(program, f"--as {BEN} {line}") == "user.locked"


def test_b6_nobody_sends_from_a_mailbox_that_is_another_s_alone(
    program: Program, workspace: Workspace, box: Sender
) -> None:
    create = f"campaign create winter.toml --from {BOX}"
    error = program.run(*create.split(), "--json", check_status=4).error()
    assert (error["code"], BEN in error["message"]) == ("mailbox.personal", True)
    assert error["hint"] == "choose a mailbox of your own: mailrotate mailbox list"
    assert refused(program, f"mailbox share add {BOX} {ADA}") == "mailbox.personal"

    with workspace.store.writing() as connection:
        mailboxes.change_connection(connection, box.connection_id, is_shared=True)
    assert refused(program, create) == "mailbox.not_shared"
    shared = program.run("--as", BEN, "mailbox", "share", "add", BOX, ADA, "--json").json()
    assert shared == {"address": BOX, "user": ADA, "changed": True}
    program.run(*create.split())
    asked = program.run("--as", BEN, "mailbox", "share", "remove", BOX, ADA, check_status=7)
    assert "campaign winter of ada@example.org sends from" in asked.stderr
    ended = program.run("--as", BEN, "mailbox", "share", "remove", BOX, ADA, "--yes", "--json").json()
    assert (ended["changed"], ended["campaigns"]) == (True, ["winter"])
    assert refused(program, "campaign copy winter --name again") == "campaign.no_sender"


def test_a6_a_member_is_told_nothing_of_a_colleagues_campaign(
    program: Program, workspace: Workspace, box: Sender
) -> None:
    adas = workspace.add_mailbox("ada.admin@example.org")
    campaign = workspace.add_campaign("takeover of Acme", [adas])
    workspace.add_recipient(campaign, "kim@example.com")
    as_member = ("--as", BEN)
    for command in (
        ("contact", "show", "kim@example.com"),
        ("contact", "show", "kim@example.com", "--json"),
        ("campaign", "show", f"c_{campaign.id}"),
        ("campaign", "pause", f"c_{campaign.id}"),
        ("campaign", "preview", f"c_{campaign.id}"),
        ("recipient", "list", f"c_{campaign.id}"),
        ("why", f"c_{campaign.id}"),
    ):
        told = program.run(*as_member, *command, check_status=None)
        assert "Acme" not in told.stdout + told.stderr, command
    assert "Acme" in program.run("contact", "show", "kim@example.com").stdout, "an admin sees it"


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "plan show",
        "settings show",
        "db stats",
        "db backup copy.db",
        "db upgrade",
        "run --once",
        "runner list",
    ],
)
def test_a10_a_locked_user_does_not_even_look_or_copy(program: Program, box: Sender, command: str) -> None:
    program.run("user", "lock", BEN, "--yes")
    assert refused(program, f"--as {BEN} {command}") == "user.locked"
    assert not (program.home / "copy.db").exists()
