"""I1: the system keyring is asked in a way that neither hangs nor prompts, nor lets a secret out."""

import fcntl
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

from mailrotate.adapters.keyring_process import KeyringUnusable, read_keyring, write_keyring
from tests.support import keyring_backends
from tests.support.keyring_backends import environment_for

pytestmark = pytest.mark.proof

CANARY = "canary-7d1f"


def test_what_was_stored_is_read_again(tmp_path: Path) -> None:
    environment = environment_for(keyring_backends.Working, tmp_path)
    assert read_keyring("w1", environment) is None
    write_keyring("w1", CANARY, environment)
    assert read_keyring("w1", environment) == CANARY
    assert read_keyring("w2", environment) is None


def test_a_plug_in_that_prints_does_not_spoil_the_answer(tmp_path: Path) -> None:
    environment = environment_for(keyring_backends.Chatty, tmp_path)
    write_keyring("w1", CANARY, environment)
    assert read_keyring("w1", environment) == CANARY


@pytest.mark.parametrize(
    "backend",
    [fail.Keyring, null.Keyring, keyring_backends.PlaintextKeyring, keyring_backends.NotRecommended],
)
def test_a_keyring_that_keeps_nothing_safe_is_refused(backend: type[KeyringBackend], tmp_path: Path) -> None:
    environment = environment_for(backend, tmp_path)
    with pytest.raises(KeyringUnusable, match="none that is safe"):
        write_keyring("w1", CANARY, environment)
    with pytest.raises(KeyringUnusable, match="none that is safe"):
        read_keyring("w1", environment)
    assert list(tmp_path.iterdir()) == []


def test_a_keyring_that_swallows_writes_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(KeyringUnusable, match="did not keep"):
        write_keyring("w1", CANARY, environment_for(keyring_backends.Swallowing, tmp_path))


def test_a_failing_plug_in_is_named_by_its_error_but_its_words_are_not_repeated(tmp_path: Path) -> None:
    environment = environment_for(keyring_backends.Failing, tmp_path)
    with pytest.raises(KeyringUnusable, match="RuntimeError") as trouble:
        write_keyring("w1", CANARY, environment)
    assert CANARY not in str(trouble.value)


def test_a_plug_in_that_kills_its_process_is_one_more_unusable_keyring(tmp_path: Path) -> None:
    with pytest.raises(KeyringUnusable, match="without an answer"):
        read_keyring("w1", environment_for(keyring_backends.Dying, tmp_path))


def test_a_backend_that_is_not_installed_is_one_more_unusable_keyring(tmp_path: Path) -> None:
    environment = environment_for(keyring_backends.Working, tmp_path)
    with pytest.raises(KeyringUnusable, match="ModuleNotFoundError"):
        read_keyring("w1", environment | {"PYTHON_KEYRING_BACKEND": "no.such.Keyring"})


def test_a_hanging_keyring_is_given_up_and_nothing_of_it_stays_behind(tmp_path: Path) -> None:
    environment = environment_for(keyring_backends.Hanging, tmp_path)
    with pytest.raises(KeyringUnusable, match="did not answer within 3 seconds"):
        read_keyring("w1", environment, limit=3)
    with (tmp_path / "alive").open() as alive:
        assert alive.read() == "both"
        fcntl.flock(alive, fcntl.LOCK_EX)  # waits for ever while the plug-in or its child lives


def test_a_secret_is_in_no_environment_and_no_process_list(tmp_path: Path) -> None:
    environment = environment_for(keyring_backends.Telling, tmp_path)
    secrets = {"MAILROTATE_DB": f"postgresql://u:{CANARY}@db/x", "MAILROTATE_PASSWORD": CANARY, "AWS": CANARY}
    with pytest.raises(KeyringUnusable, match="did not keep"):  # it answers with more than was stored
        write_keyring("w1", "the key", environment | secrets)
    answer = read_keyring("w1", environment | secrets)
    assert answer is not None
    seen = json.loads(answer)
    assert seen["kept"] == "the key"
    assert CANARY not in json.dumps(seen["environment"])
    assert "the key" not in json.dumps(seen["environment"]) + seen["command"]
    assert seen["command"].split("\0")[-3:] == ["get", "w1", ""]


_AT_A_TERMINAL = """
import os, sys
from mailrotate.adapters.keyring_process import KeyringUnusable, read_keyring, write_keyring
os.open(os.ttyname(0), os.O_RDWR)   # a session without a terminal takes the first one it opens
open("/dev/tty").close()            # so a plug-in could ask on it
for ask in (lambda: read_keyring("w1", os.environ), lambda: write_keyring("w1", "x", os.environ)):
    try:
        ask()
    except KeyringUnusable as trouble:
        print(trouble)
"""


def test_a_prompting_keyring_gets_no_terminal_to_prompt_on(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        done = subprocess.run(
            [sys.executable, "-c", _AT_A_TERMINAL],
            env=environment_for(keyring_backends.Prompting, tmp_path),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            check=False,
        )
        shown = screen.read(65536).decode()
        os.close(theirs)
    assert done.returncode == 0, shown
    assert shown.split("\r\n") == [
        "it failed to get the key (EOFError)",
        "it failed to set the key (EOFError)",
        "",
    ]


def test_a_module_lying_in_the_present_folder_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keyring.py").write_text("open('was-run', 'w').close()")
    monkeypatch.chdir(tmp_path)
    write_keyring("w1", CANARY, environment_for(keyring_backends.Working, tmp_path))
    assert not (tmp_path / "was-run").exists()
