"""The command line in this process: for tests that type many commands, where a process each takes too long.

What it leaves out is the interpreter's start and end, signals, and whatever a process has for itself;
`program.py` has them all, and `tests/cli/test_processes.py` compares the two, command by command.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager, suppress
from copy import copy
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from typing import IO, Self
from unittest.mock import patch

import pytest

from mailrotate.cli.main import main
from mailrotate.cli.output import Speech
from mailrotate.core.store.engine import Store
from mailrotate.core.values import clock
from mailrotate.core.values.errors import MailrotateError
from tests.support.program import Completed, Program

# Of standard input, output and error in LANG=C.UTF-8.
_ERRORS = ("surrogateescape", "surrogateescape", "backslashreplace")


class Console(Program):
    """`mailrotate` for one person, like Program; but `run` is a call, and `at` needs no other program."""

    # Only of one made `on` it.
    store: Store
    _shown: tuple[datetime, bool] | None = None
    _boot: tuple[Path, timedelta] | None = None
    # A terminal in place of standard output.
    _screen: IO[str] | None = None

    @classmethod
    def on(cls, store: Store, home: Path) -> Self:
        """On the database of `store`."""
        url = store.engine.url.render_as_string(hide_password=False)
        console = cls(home, {"MAILROTATE_DB": str(store.path or url.replace("+psycopg", ""))})
        console.store = store
        return console

    def at(self, instant: datetime, *, standing_still: bool = False) -> Self:
        other = super().at(instant, standing_still=standing_still)
        other._shown = (instant, standing_still)
        return other

    def booted(self, name: Path, since: timedelta) -> Self:
        """Pretend that the machine started this long ago, with the boot id that a file contains."""
        other = copy(self)
        other._boot = (name, since)
        return other

    def started_by(self, *starter: str) -> Self:
        other = super().started_by(*starter)
        other._shown = None
        return other

    @property
    def process(self) -> Program:
        """The same person's commands in processes of their own."""
        other = Program(self.home, self.env)
        other.said, other._starter = self.said, self._starter
        return other

    def on_terminal(self, columns: int, *args: str, check_status: int | None = 0) -> list[str]:
        """The lines that a command shows on a terminal of so many columns, without colours."""
        ours, theirs = os.openpty()
        said: list[bytes] = []
        reader = Thread(target=lambda: said.extend(_read(ours)))
        reader.start()
        with os.fdopen(theirs, "w") as screen, patch.object(self, "_screen", screen):
            self.env |= {"COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "xterm"}
            self.run(*args, check_status=check_status)
        reader.join()
        os.close(ours)
        text = b"".join(said).decode().replace("\r\n", "\n")
        return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]

    def run(self, *args: str, input: str | None = None, check_status: int | None = 0) -> Completed:
        if self._starter and self._shown is None:
            return self.process.run(*args, input=input, check_status=check_status)
        with ExitStack() as stack:
            typed, out, err = (
                stack.enter_context(TemporaryFile("w+", encoding="utf-8", errors=errors))
                for errors in _ERRORS
            )
            typed.write(input or "")
            typed.seek(0)
            stack.enter_context(_alone(self.env, self.home))
            if self._shown is not None:
                stack.enter_context(patch.object(clock, "datetime", _clock_from(*self._shown)))
            if self._shown is not None and self._boot is None:
                # Each console is a new machine: nothing is known about its clock.
                stack.enter_context(patch.object(clock, "_BOOT_ID", self.home / "nowhere"))
            if self._boot is not None:
                stack.enter_context(_booted(*self._boot))
            for name, stream in (("stdin", typed), ("stdout", self._screen or out), ("stderr", err)):
                stack.enter_context(patch(f"sys.{name}", stream))
            errors = stack.enter_context(_errors_told())
            with pytest.raises(SystemExit) as ended:
                main(list(args))
            status = ended.value.code
            assert isinstance(status, int)
            hint = errors[0].hint if errors else None
            return self._ended(Completed(status, _written(out), _written(err), hint), args, check_status)


def _read(terminal: int) -> Iterator[bytes]:
    """All that is written to a terminal, until its other side is closed."""
    # Linux reports that as an error.
    with suppress(OSError):
        while chunk := os.read(terminal, 65_536):
            yield chunk


@contextmanager
def _errors_told() -> Iterator[list[MailrotateError]]:
    """The errors that the command line tells, as values."""
    errors: list[MailrotateError] = []
    tell = Speech.error

    def keep(speech: Speech, error: MailrotateError, shown: Callable[[str], str] = str) -> None:
        errors.append(error)
        tell(speech, error, shown)

    with patch.object(Speech, "error", keep):
        yield errors


def _written(stream: IO[str]) -> str:
    stream.seek(0)
    return stream.read()


@contextmanager
def _alone(env: dict[str, str], home: Path) -> Iterator[None]:
    """With this environment and no other, also for what libraries written in C ask, in this folder."""
    try:
        with patch.dict(os.environ, env, clear=True), chdir(home):
            time.tzset()
            yield
    finally:
        time.tzset()


@contextmanager
def _booted(name: Path, since: timedelta) -> Iterator[None]:
    began = time.monotonic() - since.total_seconds()
    with (
        patch.object(clock, "_BOOT_ID", name),
        patch.object(clock, "seconds_since_boot", lambda: time.monotonic() - began),
    ):
        yield


def _clock_from(instant: datetime, standing_still: bool) -> type[datetime]:
    """For the one line that reads the wall clock: it shows `instant` now, and goes on from there."""
    began = time.monotonic()

    class Shown(datetime):
        @classmethod
        def now(cls, _zone: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no subclass of it
            return instant if standing_still else instant + timedelta(seconds=time.monotonic() - began)

    return Shown


@pytest.fixture
def console(store: Store, tmp_path: Path) -> Console:
    """On an empty database of each kind."""
    return Console.on(store, tmp_path)
