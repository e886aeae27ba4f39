"""This machine's half of the mark before each final dot: a small file beside the key (F3).

The file has a fixed length below one sector of a disk and is written in one piece, so that a killed process
leaves the old or the new content.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from mailrotate.core.values.errors import StoreTrouble
from mailrotate.core.values.hint import Command, Shell
from mailrotate.core.values.lineage import OutsideMark

_FIRST_LINE = "mailrotate-mark 1"
_LENGTH = 256  # bytes
_MACHINE_ID = Path("/etc/machine-id")


@dataclass(eq=False)
class MarkFile:
    """A MarkPlace (`core.ports`), for one workspace."""

    folder: Path
    workspace: str
    # What the operator calls this home in place of the system's id (MAILROTATE_HOME_ID).
    home_id: str | None = None
    pass_is_open: bool = field(default=False, init=False)
    _threads: threading.Lock = field(default_factory=threading.Lock, init=False)
    _descriptor: int | None = field(default=None, init=False)

    @cached_property
    def path(self) -> Path:
        """See MarkPlace."""
        return self.folder / f"{self.workspace}.mark"

    @cached_property
    def _machine(self) -> str:
        return machine(self.home_id)

    def read(self) -> OutsideMark | None:
        """See MarkPlace. A file that another machine wrote, copied here, counts as missing."""
        with _telling("unreadable", "read", self.path):
            try:
                content = self.path.read_bytes()
            except FileNotFoundError:
                return None
        return self._parsed(content)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """See MarkPlace."""
        with self._threads:
            with _telling("unwritable", "written", self.path):
                descriptor = self._open()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def write(self, mark: OutsideMark) -> None:
        """See MarkPlace."""
        with _telling("unwritable", "written", self.path):
            descriptor = self._open()
            self._put(descriptor, mark)
            os.fsync(descriptor)

    def note(self, number: int) -> None:
        """See MarkPlace."""
        with self.alone(), _telling("unwritable", "written", self.path):
            descriptor = self._open()
            mark = self._parsed(os.pread(descriptor, _LENGTH, 0))
            if mark is None:
                raise self._damaged()
            if mark.number < number:
                self._put(descriptor, replace(mark, number=number))

    def _open(self) -> int:
        if self._descriptor is None or not self._is_still_there(self._descriptor):
            self.close()
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        return self._descriptor

    def _is_still_there(self, descriptor: int) -> bool:
        """Whether the open file is the one that has the name: a person may have moved the folder."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _put(self, descriptor: int, mark: OutsideMark) -> None:
        fields = (
            _FIRST_LINE,
            self.workspace,
            self._machine,
            mark.instance,
            " ".join(mark.passes),
            mark.number,
        )
        content = "\n".join(map(str, fields)).encode().ljust(_LENGTH - 1) + b"\n"
        if os.pwrite(descriptor, content, 0) != len(content):
            raise OSError(0, "the disk is full")

    def _parsed(self, content: bytes) -> OutsideMark | None:
        if not content:
            # Made and not yet written.
            return None
        try:
            first, workspace, written_by, instance, passes, number = content.decode("ascii").split("\n")[:6]
            mark = OutsideMark(instance, tuple(passes.split()), int(number))
        except ValueError:
            raise self._damaged() from None
        if (first, workspace) != (_FIRST_LINE, self.workspace):
            raise self._damaged()
        return mark if written_by == self._machine else None

    def _damaged(self) -> StoreTrouble:
        return StoreTrouble(
            "mark.unreadable",
            f"{self.path} is not a mark of this workspace",
            Command("db", "adopt"),
        )


def machine(home_id: str | None) -> str:
    """Return what identifies this machine: what the operator calls it, else the system's id.

    "-" where neither exists. The system's id is confidential (systemd's machine-id(5)), so only a hash is
    written.
    """
    if home_id is not None:
        return _hash(f"mailrotate home {home_id}")
    try:
        found = _MACHINE_ID.read_text().strip()
    except OSError:
        found = ""
    return _hash(f"mailrotate {found}") if found else "-"


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]


@contextlib.contextmanager
def _telling(code: str, verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as trouble:
        raise StoreTrouble(
            f"mark.{code}",
            f"the mark of sending {path} cannot be {verb}: {trouble.strerror}; nothing is sent without it",
            Shell("ls", "-ld", str(path.parent)),
        ) from None
