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


def test_commands_that_list_import_nothing_that_sends_renders_or_migrates(home: Path) -> None:
    """SQLModel, which declares the tables, takes longer to import than the rest of such a command."""
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
    listing = ["mailbox list", "slot list", "campaign list", "contact list", "outbox list", "log", "status"]
    asked = subprocess.run(
        [sys.executable, "-c", script, *listing], capture_output=True, text=True, check=True, env=program.env
    )
    unwanted = {*HEAVY, "markdown_it", "holidays", "smtplib"} - {"sqlalchemy"}
    imported = {name.partition(".")[0] for name in asked.stderr.splitlines()[-1].split()}
    assert "sqlalchemy" in imported
    assert imported & unwanted == set()
