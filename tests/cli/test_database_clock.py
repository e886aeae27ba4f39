"""F6: a clock that is off PostgreSQL's is named where people look, not only by the runner."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailrotate.core.store import workspaces
from mailrotate.core.store.engine import Store
from mailrotate.core.store.sending import inboxes, liveness
from mailrotate.core.values.clock import system_clock
from mailrotate.core.values.mail import FolderCursor
from tests.support.console import Console
from tests.support.rows import make_workspace

ANNA = "anna@example.org"
SECOND = timedelta(seconds=1)


@pytest.fixture
def program(postgresql_store: Store, tmp_path: Path) -> Console:
    """A workspace on PostgreSQL in which a message is due, and whose tolerances are the defaults."""
    workspace = make_workspace(postgresql_store)
    box = workspace.add_mailbox(ANNA)
    campaign = workspace.add_campaign("autumn", [box])
    (sender_id,) = workspace.senders(campaign)
    workspace.add_recipient(campaign, "kim@example.com", sender_id=sender_id, next_at=system_clock())
    with postgresql_store.writing() as connection:
        workspaces.set_setting(connection, "database_clock_tolerance", "5s")
        workspaces.change(connection, default_user_id=workspace.admin.id)
        inboxes.note_read(connection, box.id, "INBOX", FolderCursor(1, 0), system_clock())
    return Console.on(postgresql_store, tmp_path)


def off_by(program: Console, shift: timedelta) -> Console:
    return program.at(system_clock() + shift)


@pytest.mark.parametrize("shift", [60 * SECOND, -30 * SECOND])
def test_f6_a_clock_more_than_5_s_off_postgresqls_is_named_by_status_and_why(
    program: Console, shift: timedelta
) -> None:
    wrong = off_by(program, shift)
    first, *_, last = wrong.run("status").stdout.splitlines()
    assert first.startswith("not sending: this machine's clock is ")
    assert first.endswith(" off the database server's")
    assert last == "next: mailrotate runner clock"
    seen = wrong.run("status", "--json").json()
    assert (seen["headline"]["code"], seen["sending"], seen["obstacle"]["code"]) == ("clock", False, "clock")
    why = wrong.run("why", ANNA, "--json").json()
    assert (why["binding"], why["next_at"]) == ("workspace", None)
    assert "off the database server's" in why["gates"][0]["reason"]
    assert "off the database server's" in wrong.run("why", "autumn").stdout
    assert "off the database server's" in wrong.run("runner", "clock").stdout
    assert wrong.run("run", "--once", "--json", check_status=1).error()["code"] == "clock.off"


def test_f6_a_clock_within_5_s_of_postgresqls_is_believed(program: Console) -> None:
    assert "clock" not in off_by(program, SECOND).run("status").stdout


@pytest.mark.parametrize("tolerance", ["1d", "off"])
def test_f6_how_far_a_clock_may_be_off_postgresqls_is_a_setting(program: Console, tolerance: str) -> None:
    wrong = off_by(program, timedelta(hours=1))
    wrong.run("settings", "set", f"database_clock_tolerance={tolerance}")
    shown = {row["key"]: row["value"] for row in wrong.run("settings", "show", "--json").json()}
    assert shown["database_clock_tolerance"] == tolerance
    assert wrong.run("status", "--json").json()["obstacle"] is None
    wrong.run("settings", "set", "database_clock_tolerance=59m")
    assert wrong.run("status", "--json").json()["obstacle"]["code"] == "clock"


def test_f6_a_clock_that_is_off_here_stops_no_runner_that_works_elsewhere(program: Console) -> None:
    wrong = off_by(program, 20 * SECOND)
    living = liveness.register(program.store, "loop", system_clock(), "elsewhere")
    with program.store.writing() as connection:
        workspaces.change(connection, last_pass_at=system_clock())
    assert wrong.run("status", "--json").json()["sending"] is True
    living.end(system_clock())
    assert wrong.run("status", "--json").json()["headline"]["code"] == "clock"
