"""What Tab offers for the values of arguments: the addresses, campaigns and messages that are there."""

from pathlib import Path

import pytest

from tests.support.program import Program
from tests.support.rows import Workspace


def complete(program: Program, line: str) -> list[str]:
    """What the shell is offered for the last word of `line`; nothing may be said beside it."""
    words = line.split(" ")
    program.env |= {
        "_MAILROTATE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    ran = program.run()
    assert ran.stderr == ""
    return ran.stdout.strip("\n").splitlines()


def program_of(workspace: Workspace, home: Path) -> Program:
    url = workspace.store.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    return Program(home, {"MAILROTATE_DB": str(workspace.store.path or url)})


def test_tab_completes_addresses_campaigns_and_messages(workspace: Workspace, tmp_path: Path) -> None:
    program = program_of(workspace, tmp_path)
    anna = workspace.add_mailbox("anna@example.org")
    workspace.add_mailbox("ben@example.org")
    autumn = workspace.add_campaign("autumn intro", [anna])
    workspace.add_campaign("winter", [anna])
    failed = workspace.add_message(anna, autumn, state="error", to="kim@example.com")
    held = workspace.add_message(anna, autumn, state="held", to="lee@example.com")
    workspace.add_message(anna, to="max@example.com")
    assert complete(program, "mailrotate mailbox show ") == ["anna@example.org", "ben@example.org"]
    assert complete(program, "mailrotate mailbox test anna@example.org b") == ["ben@example.org"]
    assert complete(program, "mailrotate campaign start aut") == ["autumn intro"]
    assert complete(program, "mailrotate user show ") == ["admin@example.org"]
    assert complete(program, "mailrotate --as a") == ["admin@example.org"]
    assert complete(program, "mailrotate outbox retry m") == [f"m_{held}", f"m_{failed}"]
    assert complete(program, "mailrotate log --campaign w") == ["winter"]
    assert complete(program, "mailrotate why ") == [
        "anna@example.org", "ben@example.org", "autumn intro", "winter", f"m_{held}", f"m_{failed}",
    ]  # fmt: skip


def test_tab_makes_no_database_and_says_nothing_of_one_that_cannot_be_read(tmp_path: Path) -> None:
    program = Program(tmp_path)
    database = tmp_path / "workspace.db"
    assert complete(program, "mailrotate mailbox show ") == []
    assert not database.exists()
    database.write_text("This is no database.\n" * 100)
    assert complete(program, "mailrotate recipient list ") == []
    program.env["MAILROTATE_DB"] = "postgresql://localhost:9/nothing"
    assert complete(program, "mailrotate outbox list --mailbox ") == []


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("line", ["mailrotate mailbox sho", "mailrotate mailbox show an"])
def test_tab_reads_a_file_without_the_slow_imports(workspace: Workspace, tmp_path: Path, line: str) -> None:
    workspace.add_mailbox("anna@example.org")
    program = program_of(workspace, tmp_path)
    program.env |= {
        "_MAILROTATE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": "2" if line.endswith("sho") else "3",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    ran = program.run()
    assert ran.stdout.splitlines() == ["show" if line.endswith("sho") else "anna@example.org"]
    assert not {"sqlmodel", "sqlalchemy", "alembic"} & set(ran.stderr.split())
