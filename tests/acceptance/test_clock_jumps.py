"""F6: a clock that jumps between two commands on one machine, while a disconnected mailbox's hour runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.old_workspace import Old
from tests.support.console import Console

pytestmark = pytest.mark.proof

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class Machine:
    """A machine that has been up for a day; times count from the first pass."""

    def __init__(self, old: Old, folder: Path) -> None:
        self.old = old
        self.boot_id = folder / "boot_id"
        self.boot_id.write_text("first\n")
        self._began = datetime.now(UTC)

    def after(self, true: timedelta, *, ahead: timedelta = timedelta()) -> Console:
        """So much later by the time since boot, with a wall clock that is ahead by so much."""
        console = self.old.console.at(self._began + true + ahead)
        return console.booted(self.boot_id, timedelta(days=1) + true)

    def stopped(self, console: Console) -> int:
        """In the database, whatever deadlines a reader would show as passed."""
        report = console.run("run", "--once", "--only", "deadlines", "--json").json()
        return int(report["stopped"])


@pytest.fixture
def machine(old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Anna has written to two people, and is disconnected ten minutes after that; a pass followed."""
    monkeypatch.setattr("mailrotate.app.is_synchronised", lambda: False)
    machine = Machine(old, tmp_path)
    machine.after(timedelta()).run("campaign", "start", "autumn")
    machine.after(timedelta()).run("run", "--once")
    machine.after(10 * MINUTE).run("mailbox", "disconnect", old.anna, "--yes")
    machine.after(15 * MINUTE).run("run", "--once", "--only", "deadlines")
    return machine


def test_f6_a_clock_set_ahead_within_one_boot_decides_nothing_and_is_named(machine: Machine) -> None:
    ahead = machine.after(20 * MINUTE, ahead=2 * HOUR)
    for command in (
        ("run", "--once"),
        ("grace", "extend", machine.old.anna, "--by", "2h"),
        ("campaign", "resume", "autumn", "--without", machine.old.anna),
    ):
        refused = ahead.run(*command, "--json", check_status=1).error()
        assert (refused["code"], "runner clock --accept" in refused["hint"]) == ("clock.jumped", True), (
            command
        )
        assert "jumped 2h forward" in refused["message"] or "jumped 1h59m59s forward" in refused["message"]
    seen = ahead.run("status", "--json").json()
    assert (seen["sending"], seen["obstacle"]["code"]) == (False, "clock")
    assert ahead.run("runner", "clock", "--json").json()["trusted"] is False
    # Once it is set right nothing more is needed, and nothing was lost.
    assert machine.stopped(machine.after(25 * MINUTE)) == 0


def test_f6_a_jump_that_a_user_accepts_lets_the_deadline_pass(machine: Machine) -> None:
    ahead = machine.after(20 * MINUTE, ahead=2 * HOUR)
    told = ahead.run("runner", "clock", "--accept", check_status=7).stderr
    assert "1 deadline of 2 recipients passed by this clock; accepting it settles them permanently" in told
    ahead.run("run", "--once", check_status=1)
    ahead.run("runner", "clock", "--accept", "--yes")
    assert ahead.run("runner", "clock", "--json").json()["trusted"] is True
    assert machine.stopped(machine.after(21 * MINUTE, ahead=2 * HOUR)) == 2
    later = machine.after(22 * MINUTE, ahead=2 * HOUR)
    assert "nothing to accept" in later.run("runner", "clock", "--accept", "--yes").stdout


def test_f6_a_jump_that_a_time_server_confirms_is_taken_and_logged(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailrotate.app.is_synchronised", lambda: True)
    ahead = machine.after(20 * MINUTE, ahead=2 * HOUR)
    assert machine.stopped(ahead) == 2
    (jump,) = ahead.run("log", "--action", "clock.jumped", "--json").json()
    assert "forward" in str(jump)
    assert machine.stopped(machine.after(21 * MINUTE, ahead=2 * HOUR)) == 0
    assert len(ahead.run("log", "--action", "clock.jumped", "--json").json()) == 1, "once"


def test_f6_after_a_restart_a_clock_that_is_ahead_cannot_be_told(machine: Machine) -> None:
    machine.boot_id.write_text("second\n")
    assert machine.stopped(machine.after(20 * MINUTE, ahead=2 * HOUR)) == 2


def test_f6_where_the_system_does_not_name_its_boot_a_clock_that_is_ahead_cannot_be_told(
    machine: Machine,
) -> None:
    machine.boot_id.unlink()
    assert machine.stopped(machine.after(20 * MINUTE, ahead=2 * HOUR)) == 2


@pytest.mark.parametrize("ahead", [timedelta(), 4 * SECOND, -4 * SECOND])
def test_f6_a_machine_that_slept_or_was_corrected_by_some_seconds_goes_on(
    machine: Machine, ahead: timedelta
) -> None:
    """The time since boot includes sleep, so a night asleep does not look like a jump."""
    assert machine.stopped(machine.after(8 * HOUR, ahead=ahead)) == 2


def test_f6_clock_jump_off_believes_every_clock_that_is_ahead(machine: Machine) -> None:
    machine.after(15 * MINUTE).run("settings", "set", "clock_jump=off")
    assert machine.stopped(machine.after(20 * MINUTE, ahead=2 * HOUR)) == 2


def test_f6_story_60_a_clock_61_s_behind_applies_nothing_and_says_so(machine: Machine) -> None:
    """After a restart, too: the latest instant that was acted on is known whatever the machine."""
    machine.after(69 * MINUTE).run("run", "--once")
    machine.boot_id.write_text("second\n")
    behind = machine.after(69 * MINUTE, ahead=-61 * SECOND)
    refused = behind.run("run", "--once", "--json", check_status=1).error()
    assert (refused["code"], "s behind the latest instant" in refused["message"]) == ("clock.behind", True)
    assert behind.run("status", "--json").json()["obstacle"]["code"] == "clock"
    assert len(behind.run("grace", "list", "--json").json()) == 1
    assert machine.stopped(machine.after(71 * MINUTE)) == 2
