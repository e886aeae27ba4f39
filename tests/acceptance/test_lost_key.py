"""I1: the way on when the workspace's key is lost, changed, or not the one of a backup."""

import base64
from pathlib import Path

import pytest

from tests.acceptance.old_workspace import Old

pytestmark = pytest.mark.proof

PASSWORD = "of the old"


def headline(old: Old) -> str:
    seen = old.console.run("status", "--json").json()
    return "" if seen["obstacle"] is None else str(seen["obstacle"]["code"])


def key_of(old: Old) -> Path:
    return old.console.home / "workspace.key"


def test_i1_reconnect_starts_a_new_key_after_the_key_file_was_lost_and_stores_the_secrets_anew(
    old: Old,
) -> None:
    old.console.run("campaign", "start", "autumn")
    key_of(old).unlink()
    assert headline(old) == "no_key"
    assert old.console.run("why", old.anna, "--json").json()["binding"] == "workspace"
    again = ("mailbox", "reconnect", old.anna, "--password-stdin")
    asked = old.console.run(*again, input=PASSWORD, check_status=7)
    assert "put it back instead" in asked.stderr, "it says first what follows"
    assert not key_of(old).exists()
    old.console.run(*again, "--yes", input=PASSWORD)
    assert headline(old) == ""
    old.console.run("mailbox", "reconnect", old.ben, "--password-stdin", "--yes", input=PASSWORD)
    assert old.console.run("run", "--once", "--json").json()["sent"] == 4
    old.console.run("secret", "rekey")


def test_i1_a_refused_login_keeps_the_lost_key_lost(old: Old) -> None:
    right = key_of(old).read_text()
    key_of(old).unlink()
    old.console.run(
        "mailbox", "reconnect", old.anna, "--password-stdin", "--yes", input="wrong", check_status=5
    )
    key_of(old).write_text(right)
    key_of(old).chmod(0o600)
    assert headline(old) == "", "the key that was put back is still the right one"


def test_i1_another_key_that_lies_there_now_is_taken_by_reconnect(old: Old) -> None:
    key_of(old).write_text(f"mailrotate-key 1\n{base64.b64encode(bytes(range(32))).decode()}\n")
    assert headline(old) == "no_key"
    old.console.run("mailbox", "reconnect", old.anna, "--password-stdin", "--yes", input=PASSWORD)
    assert headline(old) == ""


def test_i1_disconnect_and_connect_start_a_new_key_too(old: Old) -> None:
    key_of(old).unlink()
    old.console.run("mailbox", "disconnect", old.anna, "--yes")
    old._post_office.connect(old.console, old.anna, PASSWORD, "--yes")
    assert headline(old) == ""


def test_i1_a_damaged_key_file_is_never_replaced(old: Old) -> None:
    key_of(old).write_text("mailrotate-key 1\ncut\n")
    again = ("mailbox", "reconnect", old.anna, "--password-stdin", "--yes", "--json")
    assert old.console.run(*again, input=PASSWORD, check_status=1).error()["code"] == "key.damaged"
    assert key_of(old).read_text().endswith("cut\n")


def test_i1_rekey_says_which_backups_stop_opening_and_restore_checks_the_key_first(old: Old) -> None:
    old.console.run("db", "backup", "backup.db")
    assert "backups made before" in old.console.run("secret", "rekey").stderr
    refused = old.console.run("db", "restore", "backup.db", "--yes", "--json", check_status=4).error()
    assert (refused["code"], "--without-key" in refused["hint"]) == ("restore.other_key", True)
    assert headline(old) == "", "nothing was changed"
    old.console.run("db", "restore", "backup.db", "--yes", "--without-key")
    for address in (old.anna, old.ben):
        old.console.run("mailbox", "reconnect", address, "--password-stdin", "--yes", input=PASSWORD)
    assert headline(old) == "restored"
    assert old.console.run("db", "adopt", "--yes", "--json").json()["released"]


def test_i1_a_member_does_not_start_a_key(old: Old) -> None:
    old.console.run("user", "add", "kim@old.example.org")
    old._post_office.connect(old.console, old.late, PASSWORD, "--for", "kim@old.example.org")
    key_of(old).unlink()
    told = old.console.run(
        *(
            "--as",
            "kim@old.example.org",
            "mailbox",
            "reconnect",
            old.late,
            "--password-stdin",
            "--yes",
            "--json",
        ),
        input=PASSWORD,
        check_status=4,
    )
    assert told.error()["code"] == "user.not_allowed"
