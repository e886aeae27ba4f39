"""`mailrotate init`: once, and again where the first one was killed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.console import Console

COMMAND = ("init", "--email", "ada@example.org", "--name", "Ada Admin")


def test_a6_a_second_init_ends_what_a_killed_one_began(tmp_path: Path) -> None:
    """The key comes after the workspace; from then on there is nothing left to do."""
    program = Console(tmp_path)
    program.run(*COMMAND)
    key = tmp_path / "workspace.key"
    key.unlink()
    with closing(sqlite3.connect(tmp_path / "workspace.db")) as database, database:
        database.execute("UPDATE workspace SET key_check = NULL")
    again = program.run("init", "--email", "bea@example.org", "--json").json()
    assert again["admin"] == "ada@example.org"
    assert key.exists()
    assert program.run(*COMMAND, "--json", check_status=4).error()["code"] == "workspace.exists"


@pytest.mark.parametrize(
    "name", ["", "   ", "a" * 201, "Ada\x1b[31m", "Ada\nBcc: eve@example.org", "ada@example.org"]
)
def test_a6_a_name_that_is_none_is_refused_before_a_workspace_exists(tmp_path: Path, name: str) -> None:
    program = Console(tmp_path)
    refused = program.run("init", "--email", "ada@example.org", "--name", name, "--json", check_status=2)
    assert refused.error()["code"] == "user.name"
    assert program.run(*COMMAND).status == 0
    assert program.run("user", "show", "ada@example.org", "--json").json()["name"] == "Ada Admin"
