"""I1, B2: the workspace's key in a file, a systemd credential or the system keyring."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest
from keyring.backends import fail

from mailrotate.adapters.key_ring import KeyRing
from mailrotate.adapters.workspace_key import CREDENTIAL, WorkspaceKey, _written_for
from mailrotate.core.values.errors import KeyTrouble, MailrotateError, Refused
from mailrotate.core.values.hint import Shell
from tests.support import keyring_backends
from tests.support.keyring_backends import environment_for


def in_file(path: Path) -> WorkspaceKey:
    return WorkspaceKey("w1", path, None, environment_for(fail.Keyring, path.parent))


def in_keyring(folder: Path, backend: type = keyring_backends.Working) -> WorkspaceKey:
    return WorkspaceKey("w1", None, None, environment_for(backend, folder))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_connect_makes_a_private_key_file_in_a_private_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    ring = in_file(path).create()
    assert in_file(path).load() == ring
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["key"]


def test_a_key_that_lies_in_its_place_already_is_taken(tmp_path: Path) -> None:
    ring = in_file(tmp_path / "key").create()
    assert in_file(tmp_path / "key").create() == ring
    of_keyring = in_keyring(tmp_path).create()
    assert in_keyring(tmp_path).create() == of_keyring


def leave_behind(path: Path) -> Path:
    """What a process that writes a key leaves when it is killed before the file is in its place."""
    with _written_for(path, KeyRing.fresh()) as (whole, _target):
        shutil.copy(whole, path.parent / "kept")
    left = Path(whole)
    (path.parent / "kept").rename(left)
    return left


@pytest.mark.parametrize("write", ["create", "store"])
def test_what_a_killed_write_left_is_removed_by_the_next(tmp_path: Path, write: str) -> None:
    """I1: a key that nobody uses any more lies nowhere."""
    path = tmp_path / "key"
    left = leave_behind(path)
    others = [tmp_path / name for name in (".key-of-somebody", left.name + "0", ".key-other-abcdefgh")]
    for other in others:
        other.touch()
        other.chmod(0o640 if other.name.startswith(left.name) else 0o600)
    key = in_file(path)
    key.create() if write == "create" else key.store(KeyRing.fresh())
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_what_another_process_is_writing_is_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with _written_for(path, KeyRing.fresh()) as (whole, _target):
        in_file(path).store(KeyRing.fresh())
        assert Path(whole).exists()
    assert os.listdir(tmp_path) == ["key"]


def test_two_first_connects_at_once_agree_on_one_key(tmp_path: Path) -> None:
    start, rings = Barrier(8), []

    def connect() -> None:
        start.wait()
        rings.append(in_file(tmp_path / "key").create())

    threads = [Thread(target=connect) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rings) == 8
    assert len(set(rings)) == 1
    assert os.listdir(tmp_path) == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_file_that_others_can_reach_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "key"
    ring = in_file(path).create()
    path.chmod(mode)
    with pytest.raises(KeyTrouble) as trouble:
        in_file(path).load()
    assert (trouble.value.code, trouble.value.hint) == ("key.exposed", Shell("chmod", "600", str(path)))
    subprocess.run(["chmod", "600", path], check=True)
    assert in_file(path).load() == ring


def test_a_link_to_the_key_file_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "real" / "key"
    link.symlink_to(target)
    ring = in_file(link).create()
    in_file(link).store(ring.with_new_key())
    assert link.is_symlink()
    assert in_file(target).load().keys[1:] == ring.keys


@pytest.mark.parametrize("kind", ["folder", "fifo", "device"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "folder":
        path.mkdir(mode=0o700)
    elif kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path = Path("/dev/null")
    with pytest.raises(KeyTrouble) as trouble:
        in_file(path).load()
    assert trouble.value.code == "key.unreadable"


def test_a_damaged_key_file_is_an_error_and_is_not_passed_over(tmp_path: Path) -> None:
    in_keyring(tmp_path).create()
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyTrouble, match=f"{path}, line 1") as trouble:
        WorkspaceKey("w1", path, None, environment_for(keyring_backends.Working, tmp_path)).load()
    assert trouble.value.code == "key.damaged"


def test_a_key_file_that_cannot_be_made_or_replaced_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below_a_file = in_file(tmp_path / "file" / "key")
    for attempt in (below_a_file.load, below_a_file.create, lambda: below_a_file.store(KeyRing.fresh())):
        with pytest.raises(KeyTrouble, match=r"cannot (read|write) the key file .*/file/key"):
            attempt()


def test_a_systemd_credential_is_read_whatever_its_mode_and_never_written(tmp_path: Path) -> None:
    ring = in_file(tmp_path / CREDENTIAL).create()
    (tmp_path / CREDENTIAL).chmod(0o440)  # how an ACL for the service's user looks
    key = WorkspaceKey("w1", None, tmp_path, environment_for(keyring_backends.Working, tmp_path))
    assert key.load() == ring
    assert key.create() == ring
    with pytest.raises(Refused) as refusal:
        key.store(ring.with_new_key())
    assert refusal.value.code == "key.read_only"
    assert key.load() == ring


def test_the_file_comes_before_the_credential_and_the_credential_before_the_keyring(tmp_path: Path) -> None:
    environment = environment_for(keyring_backends.Working, tmp_path)
    third = in_keyring(tmp_path).create()
    assert WorkspaceKey("w1", tmp_path / "file", tmp_path, environment).load() == third
    second = in_file(tmp_path / CREDENTIAL).create()
    assert WorkspaceKey("w1", tmp_path / "file", tmp_path, environment).load() == second
    first = in_file(tmp_path / "file").create()
    assert WorkspaceKey("w1", tmp_path / "file", tmp_path, environment).load() == first


def test_a_rekey_with_a_new_key_file_moves_the_key_out_of_the_keyring(tmp_path: Path) -> None:
    old = in_keyring(tmp_path).create()
    moving = WorkspaceKey("w1", tmp_path / "key", None, environment_for(keyring_backends.Working, tmp_path))
    moving.store(moving.load().with_new_key())
    assert in_file(tmp_path / "key").load().keys[1:] == old.keys


def test_the_keyring_keeps_one_key_for_each_workspace(tmp_path: Path) -> None:
    environment = environment_for(keyring_backends.Working, tmp_path)
    one, two = (WorkspaceKey(name, None, None, environment) for name in ("w1", "w2"))
    assert one.create() != two.create()
    two.store(new := two.load().with_new_key())
    assert two.load() == new
    assert one.load() != new


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (fail.Keyring, "none that is safe"),
        (keyring_backends.Failing, "RuntimeError"),
        (keyring_backends.Prompting, "EOFError"),
        (keyring_backends.Swallowing, "did not keep"),
    ],
)
def test_without_any_place_the_first_connect_says_which_variable_makes_one(
    tmp_path: Path, backend: type, words: str
) -> None:
    with pytest.raises(KeyTrouble, match=words) as trouble:
        in_keyring(tmp_path, backend).create()
    assert trouble.value.code == "key.nowhere"
    assert trouble.value.hint == "export MAILROTATE_KEY_FILE=~/.config/mailrotate/key"


def test_a_missing_key_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(KeyTrouble, match=r"MAILROTATE_KEY_FILE is not set.*keyring holds none") as unset:
        in_keyring(tmp_path).load()
    # Who names a file is told of that file alone: the headline of `status` is one line.
    with pytest.raises(KeyTrouble, match=f"key is missing: {tmp_path}/key does not exist$") as gone:
        in_file(tmp_path / "key").load()
    with pytest.raises(KeyTrouble, match=r"cannot be used: there is none that is safe to use$"):
        in_keyring(tmp_path, fail.Keyring).load()
    assert {unset.value.code, gone.value.code} == {"key.missing"}
    assert gone.value.hint == f"put the key back at {tmp_path}/key"
    # Where it was stored nobody here can know: a path of ours would be a guess.
    assert unset.value.hint == "export MAILROTATE_KEY_FILE=/the/file/with/the/key"


def test_what_is_wrong_with_a_named_key_file_is_looked_at_in_that_file(tmp_path: Path) -> None:
    folder = tmp_path / "key"
    folder.mkdir(mode=0o700)
    (tmp_path / "file").touch()
    below_a_file = tmp_path / "file" / "key"
    for attempt, hint in (
        (in_file(folder).load, Shell("ls", "-ld", str(folder))),
        (in_file(below_a_file).load, Shell("ls", "-ld", str(below_a_file))),
        (lambda: in_file(below_a_file).store(KeyRing.fresh()), Shell("ls", "-ld", str(below_a_file))),
    ):
        with pytest.raises(KeyTrouble) as trouble:
            attempt()
        assert trouble.value.hint == hint


def test_a_keyring_that_swallows_the_new_key_does_not_pass_for_a_stored_one(tmp_path: Path) -> None:
    with pytest.raises(MailrotateError) as trouble:
        in_keyring(tmp_path, keyring_backends.Swallowing).store(KeyRing.fresh())
    assert trouble.value.code == "key.unwritable"


_UNDER_CRON = """
import os, sys
from pathlib import Path
from mailrotate.adapters.workspace_key import WorkspaceKey
from mailrotate.core.values.errors import KeyTrouble
path = os.environ.get("MAILROTATE_KEY_FILE")
try:
    ring = WorkspaceKey("w1", path and Path(path), None, os.environ).load()
    print("key", ring.newest.id.hex())
except KeyTrouble as trouble:
    print(trouble.code, trouble)
"""


def under_cron(folder: Path, **environment: str) -> str:
    """What `load` says in an empty environment without a terminal, as cron would run it."""
    path = os.pathsep.join(path for path in sys.path if path)
    given = [f"{name}={value}" for name, value in environment.items()]
    return subprocess.run(
        ["env", "-i", f"PYTHONPATH={path}", *given, sys.executable, "-c", _UNDER_CRON],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        timeout=60,
    ).stdout.strip()


def test_under_cron_the_key_file_is_enough(tmp_path: Path) -> None:
    ring = in_file(tmp_path / "key").create()
    assert under_cron(tmp_path, MAILROTATE_KEY_FILE=str(tmp_path / "key")) == f"key {ring.newest.id.hex()}"


def test_under_cron_without_a_key_file_the_real_keyring_neither_hangs_nor_prompts(tmp_path: Path) -> None:
    assert under_cron(tmp_path, HOME=str(tmp_path)).startswith("key.missing the workspace's key is missing")


@pytest.mark.proof
def test_under_cron_a_keyring_that_hangs_costs_its_time_limit(tmp_path: Path) -> None:
    answer = under_cron(tmp_path, **environment_without_path(keyring_backends.Hanging, tmp_path))
    assert answer.startswith("key.missing")
    assert answer.endswith("did not answer within 5 seconds")


def test_under_cron_a_keyring_that_prompts_is_an_error(tmp_path: Path) -> None:
    answer = under_cron(tmp_path, **environment_without_path(keyring_backends.Prompting, tmp_path))
    assert answer.startswith("key.missing")
    assert answer.endswith("EOFError)")


def environment_without_path(backend: type, folder: Path) -> dict[str, str]:
    return {name: value for name, value in environment_for(backend, folder).items() if name != "PYTHONPATH"}


# A rekey as its caller does it, killed at its Nth line for every N; the file `row` stands for the database.
_KILLED_REKEY = """
import os, signal, sys
from pathlib import Path
from mailrotate.adapters.secret_box import RingBox
from mailrotate.adapters.workspace_key import WorkspaceKey

folder, moves_to = Path(sys.argv[1]), Path(sys.argv[2])

def key():
    return WorkspaceKey("w1", moves_to, None, {})

def rekey():
    key().store(ring := key().load().with_new_key())
    box = RingBox(lambda: ring)
    (folder / "new").write_bytes(box.seal("c", 1, box.open("c", 1, (folder / "row").read_bytes())))
    os.replace(folder / "new", folder / "row")
    key().store(ring.only_newest())

def count_down(frame, event, argument):
    global left
    if "/adapters/" not in frame.f_code.co_filename and frame.f_code.co_name != "rekey":
        return None
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return count_down

def found():
    return RingBox(key().load).open("c", 1, (folder / "row").read_bytes())

original = key().create()
kills = 0
while True:
    key().store(original)
    (folder / "row").write_bytes(RingBox(key().load).seal("c", 1, b"secret"))
    child = os.fork()
    if child == 0:
        left = kills + 1
        sys.settrace(count_down)
        rekey()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert found() == b"secret", kills
    rekey()
    assert found() == b"secret", kills
    assert len(key().load().keys) == 1, kills
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    kills += 1
print(kills)
"""


@pytest.mark.proof
def test_a_rekey_killed_at_any_line_leaves_every_secret_readable(tmp_path: Path) -> None:
    """I1. And the next rekey that ends retires all older keys."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_REKEY, str(tmp_path), str(tmp_path / "key")],
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


@pytest.mark.proof
@pytest.mark.skipif(shutil.which("strace") is None and not os.environ.get("CI"), reason="apt install strace")
def test_a_key_file_that_is_being_replaced_is_killed_at_each_system_call(tmp_path: Path) -> None:
    """I1: the file holds the old ring or the new one, whole, whichever call the process died in."""
    path = tmp_path / "key"
    old = in_file(path).create()
    program = (
        "import sys; from pathlib import Path; from mailrotate.adapters.key_ring import KeyRing\n"
        "from mailrotate.adapters.workspace_key import WorkspaceKey\n"
        "WorkspaceKey('w1', Path(sys.argv[1]), None, {}).store(KeyRing.parse(sys.argv[2], 'x'))"
    )
    seen = set()
    environment = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for calls in ("fsync", "/^rename", "/^unlink"):
        for when in (1, 2, 3):
            new = old.with_new_key()
            killing = [
                "strace",
                "-qq",
                "-e",
                f"trace={calls}",
                "-e",
                f"inject={calls}:signal=KILL:when={when}",
            ]
            done = subprocess.run(
                [*killing, sys.executable, "-c", program, str(path), new.to_text()],
                env=environment,
                capture_output=True,
                check=False,
            )
            found = in_file(path).load()
            assert found == new if done.returncode == 0 else found in (old, new)
            seen.add((done.returncode == -signal.SIGKILL, found == new))
            old = found
    assert {(True, False), (True, True), (False, True)} <= seen
