"""What mailrotate writes about people is for the owner alone, whatever the umask."""

from pathlib import Path

import pytest

from tests.acceptance.old_workspace import PEOPLE, Old

pytestmark = pytest.mark.proof


def _open_to_others(folder: Path) -> dict[str, str]:
    """The modes of the files below a folder that name a recipient and that other users may read or change."""
    files = [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
    named = [path for path, content in files if PEOPLE[0].encode() in content or b"Kim 0" in content]
    return {path.name: f"{path.stat().st_mode & 0o777:o}" for path in named if path.stat().st_mode & 0o077}


def test_exports_of_people_and_all_other_files_with_people_are_private_whatever_the_umask(old: Old) -> None:
    home = old.console.home
    careless = old.console.process.started_by("sh", "-c", 'umask 000; exec "$@"', "sh")
    careless.run("campaign", "start", "autumn")
    careless.run("campaign", "preview", "autumn", "--to", PEOPLE[0], "--html", "letter.html")
    careless.run("run", "--once")
    careless.run("db", "backup", "backup.db")
    careless.run("suppression", "add", PEOPLE[0], "--yes")
    careless.run("mailbox", "remove", old.anna, "--export", "annas/people", "--yes")
    careless.run("db", "restore", "backup.db", "--yes")
    written = {path.name for path in home.rglob("*") if path.is_file()}
    assert {"letter.html", "backup.db", "people.csv", "workspace.db"} <= written
    assert any(name.startswith("workspace.db.before-restore-") for name in written)
    assert "Kim 0" in (home / "letter.html").read_text(), "a letter names its recipient"
    assert _open_to_others(home) == {}
    assert (home / "annas" / "people").stat().st_mode & 0o077 == 0
