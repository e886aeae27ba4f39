"""F3: an older or copied database sends nothing that was sent, however it came there."""

import re
import signal
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from mailrotate.adapters import mark_file
from tests.acceptance.old_workspace import PEOPLE, Old
from tests.support.post_office import PostOffice

pytestmark = pytest.mark.proof


def test_f3_db_restore_then_mailbox_release_sends_nothing_twice(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    old.console.run("db", "backup", "backup.db")
    old.send()
    old.console.run("db", "restore", "backup.db", "--yes")
    old.is_refused("workspace.restored")
    for address in (old.anna, old.ben):
        old.console.run("mailbox", "release", address, check_status=None)
    old.is_refused("workspace.restored")
    done = old.console.run("db", "adopt", "--yes", "--json").json()
    assert (done["released"], done["settled"], done["missing"], done["unread"]) == (True, 4, 0, [])
    assert old.console.run("run", "--once", "--json").json()["sent"] == 0
    assert old.taken() == Counter(PEOPLE), "each once"
    people = old.console.run("recipient", "list", "autumn", "--json").json()
    assert {(person["state"], person["step"], person["sent"]) for person in people} == {("active", 2, 1)}


def test_f3_after_a_quick_restore_the_replaced_database_tells_what_no_sent_mail_shows_yet(old: Old) -> None:
    """Copies that we file reach the sent mail only after a minute."""
    old.console.run("campaign", "start", "autumn")
    old.console.run("db", "backup", "backup.db")
    old.send(file_copies=False)
    old.console.run("db", "restore", "backup.db", "--yes")
    adopted = old.console.run("db", "adopt", "--yes")
    assert re.search(r"what was sent since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ is to be", adopted.stderr)
    told = adopted.stdout.splitlines()
    assert told[0].startswith("4 messages left since ")
    assert told[1:] == ["the workspace sends again"]
    old.console.run("run", "--once")
    assert old.taken() == Counter(PEOPLE), "each once"
    old.at(timedelta(days=3, minutes=5)).run("run", "--once")
    assert old.taken() == Counter(PEOPLE * 2), "and the next step follows"


def test_f3_a_follow_up_that_left_just_before_a_restore_is_not_sent_again(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    old.send()
    old.console.run("db", "backup", "backup.db")
    old.console = old.at(timedelta(days=3, minutes=5))
    old.send(file_copies=False)
    old.console.run("db", "restore", "backup.db", "--yes")
    done = old.console.run("db", "adopt", "--yes", "--json").json()
    assert (done["released"], done["settled"], done["missing"]) == (True, 4, 0)
    old.console.run("run", "--once")
    assert old.taken() == Counter(PEOPLE * 2), "each step once"


def test_f3_what_both_the_replaced_database_and_sent_mail_show_is_counted_once(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    old.console.run("db", "backup", "backup.db")
    old.send()
    old.console.run("db", "restore", "backup.db", "--yes")
    done = old.console.run("db", "adopt", "--yes", "--json").json()
    assert (done["released"], done["settled"], done["missing"]) == (True, 4, 0)


@pytest.mark.parametrize("damage", ["gone", "spoilt"])
def test_f3_without_the_replaced_database_what_no_sent_mail_shows_waits_for_a_persons_word(
    old: Old, damage: str
) -> None:
    old.console.run("campaign", "start", "autumn")
    old.console.run("db", "backup", "backup.db")
    old.send(file_copies=False)
    kept = old.console.run("db", "restore", "backup.db", "--yes", "--json").json()["kept"]
    for path in old.console.home.glob(f"{Path(kept).name}*"):
        path.unlink() if damage == "gone" else path.write_bytes(b"no database" * 1000)
    done = old.console.run("db", "adopt", "--yes", "--json", check_status=8).json()
    assert (done["released"], done["settled"], done["missing"]) == (False, 0, 4)


def test_f3_a_mailbox_connected_after_a_restore_is_held_and_a_draft_goes_to_nobody_again(
    old: Old, post_office: PostOffice
) -> None:
    old.console.run("db", "backup", "backup.db")
    old.console.run("campaign", "start", "autumn")
    old.send()
    old.console.run("db", "restore", "backup.db", "--yes")
    old.console.run("slot", "buy")
    old.console.run("slot", "assign", "--user", old.anna)
    post_office.connect(old.console, old.late, "of the late", "--gap", "0s")
    old.console.run("campaign", "start", "autumn")
    old.is_refused("workspace.restored")
    assert old.console.run("why", old.late, "--json").json()["binding"] == "workspace"
    assert old.console.run("db", "adopt", "--yes", "--json").json()["settled"] == 4
    old.console.run("run", "--once")
    assert old.taken() == Counter(PEOPLE), "each once"


def test_f3_a_draft_in_the_backup_is_compared_before_it_is_started(old: Old) -> None:
    old.console.run("db", "backup", "backup.db")
    old.console.run("campaign", "start", "autumn")
    old.send()
    old.console.run("db", "restore", "backup.db", "--yes")
    assert old.console.run("db", "adopt", "--yes", "--json").json()["settled"] == 4
    old.console.run("campaign", "start", "autumn")
    old.console.run("run", "--once")
    assert old.taken() == Counter(PEOPLE), "each once"
    later = old.at(timedelta(days=3, minutes=5))
    assert later.run("run", "--once", "--json").json()["sent"] == 4, "and the next step follows"


def test_f3_an_older_database_put_back_by_cp_sends_nothing(old: Old, tmp_path: Path) -> None:
    old.console.run("campaign", "start", "autumn")
    copy = old.keep(tmp_path / "copy")
    old.send()
    old.put_back(copy)
    old.is_refused("workspace.behind")
    assert old.console.run("db", "adopt", "--yes", "--json").json()["settled"] == 4
    assert old.console.run("run", "--once", "--json").json()["sent"] == 0
    assert old.taken() == Counter(PEOPLE), "each once"


def test_f3_what_no_sent_mail_shows_waits_for_a_persons_word(old: Old, tmp_path: Path) -> None:
    old.console.run("campaign", "start", "autumn")
    copy = old.keep(tmp_path / "copy")
    old.send(file_copies=False)
    old.put_back(copy)
    done = old.console.run("db", "adopt", "--yes", "--json", check_status=8).json()
    assert (done["released"], done["settled"], done["missing"]) == (False, 0, 4)
    old.is_refused("workspace.restored")
    assert old.console.run("db", "adopt", "--accept", "--yes", "--json").json()["released"]


def test_f3_a_copy_on_a_second_machine_sends_nothing_until_it_is_adopted(
    old: Old, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.console.run("campaign", "start", "autumn")
    old.send()
    old.console = old.console.moved(tmp_path_factory.mktemp("second") / "home")
    machine_id = old.console.home / "machine-id"
    machine_id.write_text("5ec0d5ec0d5ec0d5ec0d5ec0d5ec0d00\n")
    monkeypatch.setattr(mark_file, "_MACHINE_ID", machine_id)
    old.is_refused("workspace.elsewhere")
    told = old.console.run("db", "adopt", "--dry-run").stderr
    assert "another machine" in told
    assert old.console.run("db", "adopt", "--yes", "--json").json()["released"], (
        "an honest move is one command"
    )
    old.console.run("run", "--once")
    assert old.taken() == Counter(PEOPLE), "each once"


@pytest.fixture
def starts(old: Old, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Start the container again: it has a new machine id, and the same volume."""
    ids = count(1)

    def start() -> None:
        machine_id = old.console.home.parent / f"{old.console.home.name}-machine-id"
        machine_id.write_text(f"{next(ids):032x}\n")
        monkeypatch.setattr(mark_file, "_MACHINE_ID", machine_id)

    start()
    return start


def test_f3_a_container_that_is_named_needs_no_adoption_after_each_start(
    old: Old, starts: Callable[[], None]
) -> None:
    old.console.env["MAILROTATE_HOME_ID"] = "mailer-0"
    old.console.run("campaign", "start", "autumn")
    old.send()
    for _ in range(3):
        starts()
        assert old.console.run("run", "--once", "--json").json()["sent"] == 0
        assert old.console.run("status", "--json").json()["obstacle"] is None
    assert old.taken() == Counter(PEOPLE), "each once"


def test_f3_a_container_without_a_name_is_another_machine_after_each_start(
    old: Old, starts: Callable[[], None]
) -> None:
    old.console.run("campaign", "start", "autumn")
    old.send()
    starts()
    old.is_refused("workspace.elsewhere")
    old.console.env["MAILROTATE_HOME_ID"] = "mailer-0"
    old.is_refused("workspace.elsewhere")
    assert old.console.run("db", "adopt", "--yes", "--json").json()["released"], "once, when it gets its name"
    starts()
    assert old.console.run("run", "--once", "--json").json()["sent"] == 0


def test_f3_a_copied_volume_under_another_name_sends_nothing(
    old: Old, starts: Callable[[], None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    old.console.env["MAILROTATE_HOME_ID"] = "mailer-0"
    old.console.run("campaign", "start", "autumn")
    old.send()
    old.console = old.console.moved(tmp_path_factory.mktemp("second") / "home")
    for other in ("mailer-1", "", "MAILER-0"):
        old.console.env["MAILROTATE_HOME_ID"] = other
        old.is_refused("workspace.elsewhere")


def test_f3_an_older_volume_under_the_same_name_sends_nothing(
    old: Old, starts: Callable[[], None], tmp_path: Path
) -> None:
    old.console.env["MAILROTATE_HOME_ID"] = "mailer-0"
    old.console.run("campaign", "start", "autumn")
    copy = old.keep(tmp_path / "copy")
    old.send()
    old.put_back(copy)
    starts()
    old.is_refused("workspace.behind")


def test_f3_a_mark_that_is_gone_counts_as_another_machine(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    old.send()
    (mark,) = old.console.home.glob("*.mark")
    mark.unlink()
    old.is_refused("workspace.elsewhere")


def test_f3_a_wal_lost_after_a_kill_makes_the_database_older(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    process = old.console.process.start("run", "--every", "1s", "--json")
    try:
        seen = 0
        assert process.stdout is not None
        for line in process.stdout:
            seen += '"message.sent"' in line
            if seen == len(PEOPLE):
                break
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    wal = old.console.home / "workspace.db-wal"
    assert wal.stat().st_size, "what the kill left"
    wal.unlink()
    old.console.home.joinpath("workspace.db-shm").unlink(missing_ok=True)
    old.is_refused("workspace.behind")
    old.console.run("db", "adopt", "--accept", "--yes")


def test_f3_a_mark_that_cannot_be_written_sends_nothing_and_says_so(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    nowhere = old.console.home / "autumn.toml"
    old.console.env["MAILROTATE_MARK_FOLDER"] = str(nowhere)
    told = old.console.run("run", "--once", "--json", check_status=1)
    assert "mark of sending" in told.stderr
    assert old.taken() == Counter()
    del old.console.env["MAILROTATE_MARK_FOLDER"]
    assert old.console.run("run", "--once", "--json").json()["sent"] == 4, "nothing was lost"
