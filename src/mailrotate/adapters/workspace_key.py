"""Where the workspace key is stored: a file, a systemd credential, or the system keyring (I1)."""

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mailrotate.adapters.key_ring import KeyRing
from mailrotate.adapters.keyring_process import KeyringUnusable, read_keyring, write_keyring
from mailrotate.core.values.errors import KeyTrouble, Refused
from mailrotate.core.values.hint import AnyHint, Shell

CREDENTIAL = "mailrotate-key"
_LONGEST = 65_536  # bytes; a key takes 45
# For a key that is to be made, and for one that lies somewhere.
_NAME_A_FILE = "export MAILROTATE_KEY_FILE=~/.config/mailrotate/key"
_NAME_THE_FILE = "export MAILROTATE_KEY_FILE=/the/file/with/the/key"


@dataclass(frozen=True)
class WorkspaceKey:
    """The key of the workspace with this `identity`.

    The places are tried in the order of the fields; the first one with a key counts. `environment` is for
    the keyring's plug-in (D-Bus, desktop); only harmless variables are passed on.
    """

    identity: str
    key_file: Path | None
    credentials_directory: Path | None
    environment: Mapping[str, str] = field(repr=False)

    @property
    def place(self) -> str:
        """Where a key is stored, in words."""
        return "the system keyring" if self.key_file is None else str(self.key_file)

    def load(self) -> KeyRing:
        """Load the key. Takes up to 5 seconds if the keyring hangs; never prompts.

        Raises KeyTrouble: `key.missing`, `key.damaged`, `key.exposed`, `key.unreadable`.
        """
        if self.key_file and (ring := _read_file(self.key_file)):
            return ring
        if ring := self._read_credential():
            return ring
        try:
            if ring := self._read_keyring():
                return ring
            keyring = "the system keyring holds none"
        except KeyringUnusable as trouble:
            keyring = f"the system keyring cannot be used: {trouble}"
        # Who names a file means it: the other places would only hide what is wrong.
        missing = f"{self.key_file} does not exist"
        raise KeyTrouble(
            "key.missing",
            f"the workspace's key is missing: {missing if self.key_file else self._unset(keyring)}",
            f"put the key back at {self.key_file}" if self.key_file else _NAME_THE_FILE,
        )

    def _unset(self, keyring: str) -> str:
        credential = (
            [f"the systemd credential '{CREDENTIAL}' is missing"] if self.credentials_directory else []
        )
        return "; ".join(("MAILROTATE_KEY_FILE is not set", *credential, keyring))

    def create(self) -> KeyRing:
        """Make the key of a new workspace and store it where the operator wants it.

        A key that is already stored there is used: several machines may share one.
        Raises KeyTrouble, `key.nowhere` if there is no place for a key.
        """
        if self.key_file:
            return _read_file(self.key_file) or _create_file(self.key_file)
        if ring := self._read_credential():
            return ring
        try:
            if ring := self._read_keyring():
                return ring
            ring = KeyRing.fresh()
            write_keyring(self.identity, ring.to_text(), self.environment)
        except KeyringUnusable as trouble:
            raise _nowhere(trouble) from None
        return ring

    def require_place(self) -> None:
        """Check, without storing anything, that `create` will find a place. Raises KeyTrouble."""
        if self.key_file is None:
            try:
                self._read_credential() or self._read_keyring()
            except KeyringUnusable as trouble:
                raise _nowhere(trouble) from None
        elif _read_file(self.key_file) is None:
            folder = self.key_file.absolute().parent
            present = next(each for each in (folder, *folder.parents) if each.exists())
            if not (present.is_dir() and os.access(present, os.W_OK | os.X_OK)):
                refusal = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                raise _unusable("key.nowhere", "create", self.key_file, refusal)

    def store(self, ring: KeyRing) -> None:
        """Replace the stored keys by `ring`; a process killed here leaves the old or the new ones.

        If MAILROTATE_KEY_FILE names a file that does not exist yet, the key moves there.
        Raises Refused (`key.read_only`) for a systemd credential, KeyTrouble if it cannot be written.
        """
        if self.key_file:
            _replace_file(self.key_file, ring)
            return
        if self._read_credential():
            raise Refused(
                "key.read_only",
                f"the key comes from the systemd credential '{CREDENTIAL}', which is read-only",
                "export MAILROTATE_KEY_FILE=/the/file/behind/LoadCredential",
            )
        try:
            write_keyring(self.identity, ring.to_text(), self.environment)
        except KeyringUnusable as trouble:
            raise KeyTrouble(
                "key.unwritable", f"the key was not stored in the system keyring: {trouble}", _NAME_A_FILE
            ) from None

    def _read_credential(self) -> KeyRing | None:
        if self.credentials_directory is None:
            return None
        # The mode is not checked: systemd grants access by an ACL, which looks like group-readable.
        return _read_file(self.credentials_directory / CREDENTIAL, private=False)

    def _read_keyring(self) -> KeyRing | None:
        text = read_keyring(self.identity, self.environment)
        return None if text is None else KeyRing.parse(text, "in the system keyring")


def _read_file(path: Path, *, private: bool = True) -> KeyRing | None:
    """Read a key file; None if it does not exist. With `private`, refuse one that others can read."""
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyTrouble(
                    "key.unreadable", f"{path} is not a regular file", Shell("ls", "-ld", str(path))
                )
            if private and status.st_mode & 0o077:
                raise KeyTrouble(
                    "key.exposed",
                    f"the key file {path} can be read by others",
                    Shell("chmod", "600", str(path)),
                )
            content = file.read(_LONGEST)
    except FileNotFoundError:
        return None
    except OSError as trouble:
        raise _unusable("key.unreadable", "read", path, trouble) from None
    # A byte that is not ASCII becomes a character that the parser refuses, with its line.
    return KeyRing.parse(content.decode("ascii", errors="replace"), str(path))


def _open_without_waiting(path: str, flags: int) -> int:
    # Opening a FIFO would wait for its writer.
    return os.open(path, flags | os.O_NONBLOCK)


def _create_file(path: Path) -> KeyRing:
    try:
        # A link appears whole or not at all, and never replaces a key that another process stored first.
        with _written_for(path, KeyRing.fresh()) as (whole, target), contextlib.suppress(FileExistsError):
            os.link(whole, target)
    except OSError as trouble:
        raise _unusable("key.nowhere", "create", path, trouble) from None
    return _read_file(path) or _create_file(path)


def _replace_file(path: Path, ring: KeyRing) -> None:
    try:
        with _written_for(path, ring) as (whole, target):
            os.replace(whole, target)
    except OSError as trouble:
        raise _unusable("key.unwritable", "write", path, trouble) from None


@contextlib.contextmanager
def _written_for(path: Path, ring: KeyRing) -> Iterator[tuple[str, str]]:
    """Yield a new file with the ring and the path to move it to; sync that folder afterwards."""
    target = os.path.realpath(path)  # a symbolic link stays; the file behind it is replaced
    folder = os.path.dirname(target)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    prefix = f".key-{os.path.basename(target)}-"
    _remove_leftovers(folder, prefix)
    descriptor, name = _locked_file(folder, prefix)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(ring.to_text())
            file.flush()
            os.fsync(file.fileno())
            yield name, target
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    folder_descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder_descriptor)
    finally:
        os.close(folder_descriptor)


def _locked_file(folder: str, prefix: str) -> tuple[int, str]:
    """Create a private file and hold its lock while this process writes it."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=folder)  # mode 0600
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        # Another process removed it as a leftover before it was locked.
        os.close(descriptor)


def _remove_leftovers(folder: str, prefix: str) -> None:
    """Remove the unfinished files of killed processes: they contain keys."""
    for name in os.listdir(folder):
        if not name.startswith(prefix):
            continue
        left = os.path.join(folder, name)
        # A living writer holds the lock; or the file is gone by now.
        with contextlib.suppress(OSError), open(left, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if (
                stat.S_ISREG(status.st_mode)
                and status.st_mode & 0o777 == 0o600
                and status.st_uid == os.getuid()
            ):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(left)


def _nowhere(trouble: KeyringUnusable) -> KeyTrouble:
    return KeyTrouble(
        "key.nowhere",
        f"the workspace's key cannot be stored: the system keyring cannot be used: {trouble}",
        _NAME_A_FILE,
    )


def _unusable(code: str, verb: str, path: Path, trouble: OSError) -> KeyTrouble:
    hint: AnyHint = _NAME_A_FILE if code == "key.nowhere" else Shell("ls", "-ld", str(path))
    return KeyTrouble(code, f"cannot {verb} the key file {path}: {trouble.strerror}", hint)
