"""What a command imports: help is asked for often, and must not wait for a database's libraries."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import Program

HEAVY = (
    "sqlmodel",
    "sqlalchemy",
    "msal",
    "google",
    "keyring",
    "alembic",
    "apscheduler",
    "imap_tools",
    "jinja2",
    "pydantic",
)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("mailbox", "--help"), ("campaign", "start", "--help"), ("run", "--help"), ("--version",)],
    ids=" ".join,
)
def test_help_imports_no_database_and_no_provider(arguments: tuple[str, ...]) -> None:
    """Judged by the names in `-X importtime`, never by milliseconds."""
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mailrotate", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=True,
    )
    imported = re.findall(r"^import time:[^|]+\|[^|]+\|\s*(\S+)", asked.stderr, re.MULTILINE)
    assert "mailrotate.cli.main" in imported
    heavy = {name for name in imported if name.partition(".")[0] in HEAVY}
    ours = {name for name in imported if name.startswith(("mailrotate.core.store", "mailrotate.providers"))}
    assert heavy | ours == set()


def test_a_verb_imports_no_other_verb_and_no_other_noun() -> None:
    program = (
        "import sys\n"
        "from mailrotate.cli.main import main\n"
        "try:\n"
        "    main(['mailbox', 'show', '--help'])\n"
        "finally:\n"
        "    print(*(name for name in sys.modules if name.startswith('mailrotate.cli.')), file=sys.stderr)\n"
    )
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours = [name.split(".")[2:] for name in asked.stderr.split()]
    shared = {
        "call",
        "completion",
        "credentials",
        "grammar",
        "hints",
        "lazy",
        "main",
        "output",
        "params",
        "placeholders",
        "standard_output",
        "table",
    }
    assert {room for room, *_ in ours} == {*shared, "mailbox"}
    assert {room[1] for room in ours if len(room) > 1} == {"show", "document"}


def imported_by(home: Path, *commands: str) -> set[str]:
    """The modules that a process has imported when these commands have succeeded in it."""
    program = Program(home)
    program.run("init", "--email", "ada@example.org", "--name", "Ada")
    script = (
        "import sys\n"
        "from mailrotate.cli.main import main\n"
        "for command in sys.argv[1:]:\n"
        "    try:\n"
        "        main(command.split())\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 0, command\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    asked = subprocess.run(
        [sys.executable, "-c", script, *commands], capture_output=True, text=True, check=True, env=program.env
    )
    return set(asked.stderr.splitlines()[-1].split())


def test_commands_that_list_import_nothing_that_sends_renders_or_migrates(home: Path) -> None:
    """SQLModel, which declares the tables, takes longer to import than the rest of such a command."""
    listing = (
        "mailbox list", "slot list", "campaign list", "contact list --limit 5", "outbox list",
        "log --limit 5", "suppression list", "status",
    )  # fmt: skip
    unwanted = {*HEAVY, "markdown_it", "holidays", "smtplib"} - {"sqlalchemy"}
    imported = {name.partition(".")[0] for name in imported_by(home, *listing)}
    assert "sqlalchemy" in imported
    assert imported & unwanted == set()


def test_a_list_of_mailboxes_imports_neither_what_decides_nor_what_changes_them(home: Path) -> None:
    unwanted = (
        "services.deciding.facts", "services.deciding.next_send", "services.effects.grace_periods",
        "services.mailboxes.mailbox_settings", "services.sending.", "services.team.", "store.people.",
        "store.sending.outbox",
    )  # fmt: skip
    beginnings = tuple(f"mailrotate.core.{name}" for name in unwanted)
    imported = imported_by(home, "mailbox list")
    assert "mailrotate.core.services.mailboxes.mailbox_views" in imported
    assert {name for name in imported if name.startswith(beginnings)} == set()


def test_status_imports_what_follows_from_a_resumption_only_for_a_paused_campaign(home: Path) -> None:
    imported = imported_by(home, "status")
    assert "mailrotate.core.services.views.overview" in imported
    assert "mailrotate.core.services.effects.resuming" not in imported
