"""What a command imports: help is asked for often, and must not wait for a database's libraries."""

import re
import subprocess
import sys

import pytest

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
