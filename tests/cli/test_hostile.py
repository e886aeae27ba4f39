"""Faults of the machine and input with bad intentions: each is said as what it is, and nothing happens."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.console import Console
from tests.support.mail_fixtures import missing
from tests.support.program import Completed, Program

CAMPAIGN = 'name = "x"\n[[steps]]\nsubject = "s"\nbody = "intro.md"\n'


@pytest.mark.parametrize(
    "name",
    [
        "mysql://u:hunter2@db.example.org/x",
        "postgresql+psycopg://u:hunter2@db.example.org/x",
        "POSTGRESQL://u:hunter2@db.example.org/x",
        # Ours: a slash too few, a driver of another kind, SQLite's own form.
        "postgresql:/u:hunter2@db.example.org/x",
        "cockroachdb+asyncpg://u:hunter2@db.example.org/x",
        "sqlite:///hunter2.db",
        "postgresql:u:hunter2@db.example.org",
        " postgresql://u:hunter2@db.example.org/x",
        "u:hunter2@db.example.org/x",
        "host=db.example.org user=u password=hunter2",
        "redis://:hunter2@db.example.org",
    ],
)
def test_i1_an_unknown_database_scheme_is_refused_and_masked_also_in_db(tmp_path: Path, name: str) -> None:
    by_flag = Console(tmp_path).run("--db", name, "status", "--json", check_status=2)
    by_environment = Console(tmp_path, {"MAILROTATE_DB": name}).run("status", "--json", check_status=2)
    for told in (by_flag, by_environment):
        assert told.error()["code"] == "db.scheme"
        assert "hunter2" not in told.stdout + told.stderr
    assert list(tmp_path.iterdir()) == [], "no folder is made"


def test_i1_a_password_in_the_query_of_db_is_refused_too(tmp_path: Path) -> None:
    name = "postgresql://db.example.org/x?password=hunter2"
    told = Console(tmp_path).run("--db", name, "status", "--json", check_status=2)
    assert (told.error()["code"], "hunter2" in told.stderr) == ("db.password", False)


def outside(tmp_path: Path) -> tuple[Console, Path]:
    folder = tmp_path / "campaign"
    folder.mkdir()
    (tmp_path / "secret.md").write_text("the secret")
    return Console(tmp_path), folder


@pytest.mark.parametrize(
    "named", ["../secret.md", "ABSOLUTE", "link.md", "folder-link/secret.md", "./a/../../secret.md"]
)
def test_i3_a_file_outside_the_campaign_files_folder_needs_allow_outside_and_is_named(
    tmp_path: Path, named: str
) -> None:
    console, folder = outside(tmp_path)
    (folder / "a").mkdir()
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "folder-link").symlink_to(tmp_path)
    body = str(tmp_path / "secret.md") if named == "ABSOLUTE" else named
    file = folder / "c.toml"
    file.write_text(CAMPAIGN.replace("intro.md", body))
    told = console.run("campaign", "check", str(file), check_status=2).stderr
    assert str(tmp_path / "secret.md") in told, "links are resolved"
    assert "--allow-outside" in told
    allowed = console.run("campaign", "check", str(file), "--allow-outside")
    assert f"read from outside the campaign file's folder: {tmp_path / 'secret.md'}" in allowed.stderr


@pytest.mark.parametrize("named", ["/proc/self/environ", "/proc/kmsg", "/dev/zero", "pipe", "/proc/self/mem"])
def test_i3_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path, named: str) -> None:
    console, folder = outside(tmp_path)
    os.mkfifo(folder / "pipe")
    file = folder / "c.toml"
    file.write_text(CAMPAIGN.replace("intro.md", named))
    ran = console.run("campaign", "check", str(file), "--allow-outside", check_status=2)
    assert "unexpected" not in ran.stderr


@pytest.mark.parametrize(
    "value",
    ["9" * 5000, "0x" + "f" * 5000, "[" * 5000, "1979-13-45"],
    ids=["integer of 5,000 digits", "hexadecimal", "brackets", "date"],
)
def test_i3_a_toml_value_that_python_cannot_hold_is_a_clear_error(tmp_path: Path, value: str) -> None:
    console, folder = outside(tmp_path)
    file = folder / "c.toml"
    file.write_text(f"x = {value}\n" + CAMPAIGN)
    assert (
        console.run("campaign", "check", str(file), "--json", check_status=2).error()["code"]
        == "campaign.invalid"
    )
    config = Console(tmp_path, {"MAILROTATE_CONFIG": str(file)})
    told = config.run("status", "--json", check_status=2).error()
    assert told["code"] == "config.invalid"


@pytest.mark.proof
@pytest.mark.parametrize(
    "command", [("status",), ("db", "check"), ("run", "--once"), ("db", "backup", "copy.db")]
)
def test_a_database_in_another_users_folder_is_a_clear_error(command: tuple[str, ...]) -> None:
    with TemporaryDirectory() as made:
        # Not below pytest's folder, which no other user may enter.
        Path(made).chmod(0o755)
        told = by_another_user(Path(made), *command)
    assert told.error()["code"] == "store.cannot_open", told.stderr


def by_another_user(place: Path, *command: str) -> Completed:
    private = place / "private"
    private.mkdir(mode=0o700)
    home = place / "home"
    home.mkdir()
    home.chmod(0o777)
    program = Program(home, {"MAILROTATE_DB": str(private / "workspace.db"), "PYTHONDONTWRITEBYTECODE": "1"})
    if os.geteuid() == 0:
        program = program.started_by("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    else:
        private.chmod(0)
    told = program.run(*command, "--json", check_status=None)
    private.chmod(0o700)
    return told


@pytest.mark.proof
@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_a_folder_without_locks_is_said_with_cause_and_cure(home: Path, error: str) -> None:
    if shutil.which("strace") is None:
        missing("strace", "apt-get install strace")
    Console(home).run("init", "--email", "ada@example.org")
    # The filter lets all other system calls pass at full speed.
    inject = ("--seccomp-bpf", "-e", "trace=flock", "-e", f"inject=flock:error={error}", "-o", "/dev/null")
    traced = Program(home).started_by("strace", "-f", *inject)
    told = traced.run("run", "--once", "--json", check_status=1).error()
    assert told["code"] == "store.no_locks"
    assert "local disk" in told["hint"]


@pytest.mark.proof
@pytest.mark.parametrize(
    "command", [("status",), ("campaign", "list", "--json"), ("run", "--once"), ("help", "exit-status")]
)
def test_standard_output_on_a_full_disk_is_said_as_what_it_is(home: Path, command: tuple[str, ...]) -> None:
    Console(home).run("init", "--email", "ada@example.org")
    full = Program(home).started_by("sh", "-c", 'exec "$@" >/dev/full', "sh")
    ran = full.run(*command, check_status=1)
    assert "standard output cannot be written: No space left on device" in ran.stderr
    assert "unexpected" not in ran.stderr


def test_i1_no_keyring_and_no_key_file_is_said_before_a_password_is_asked(tmp_path: Path) -> None:
    program = Program(tmp_path, {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    del program.env["MAILROTATE_KEY_FILE"]
    for command in (
        ("mailbox", "connect", "anna@example.org", "--provider", "google"),
        ("init", "--email", "a@b.org"),
    ):
        told = program.run(*command, "--json", check_status=1)
        assert told.error()["code"] == "key.nowhere"
        assert not (tmp_path / "workspace.db").exists(), "and no workspace is made"


def test_i1_a_key_file_that_cannot_be_made_is_said_first_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    console = Console(tmp_path, {"MAILROTATE_KEY_FILE": str(tmp_path / "file" / "key")})
    told = console.run(
        "mailbox", "connect", "anna@example.org", "--provider", "google", "--json", check_status=1
    )
    assert told.error()["code"].startswith("key.")
    assert not (tmp_path / "workspace.db").exists()
