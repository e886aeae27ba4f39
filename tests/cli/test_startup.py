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
