"""The real command in a real process, in a home of its own."""

import json
import os
import shutil
import subprocess
import sys
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from mailrotate.core.values.hint import AnyHint


@dataclass(frozen=True)
class Completed:
    """How one call ended and what it said."""

    status: int
    stdout: str
    stderr: str
    # Of a command that failed in this process.
    hint: AnyHint | None = None

    def json(self) -> Any:
        return json.loads(self.stdout)

    def error(self) -> Any:
        """What a failed call with --json says in its last line."""
        return json.loads(self.stderr.splitlines()[-1])["error"]


class Program:
    """`mailrotate` for one person, whose home, database and key lie in `home`."""

    def __init__(self, home: Path, env: dict[str, str] | None = None) -> None:
        self.home = home
        # Everything that any command has said, also of copies of this program.
        self.said: list[str] = []
        # What stands before the command: another program that starts it.
        self._starter: tuple[str, ...] = ()
        self.env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            # A starter that fakes the clock leaves the times of files alone, and the waits for a lock: else
            # libfaketime ends each at once, and threads that wait for the interpreter burn the processor.
            "NO_FAKE_STAT": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "HOME": str(home),
            "MAILROTATE_DB": str(home / "workspace.db"),
            "MAILROTATE_KEY_FILE": str(home / "workspace.key"),
            **(env or {}),
        }

    def at(self, instant: datetime, *, standing_still: bool = False) -> Self:
        """The same program on a machine whose clock shows `instant` when it starts, and goes on from there.

        The monotonic clock and the times of files stay as they are. A clock that is standing still stops
        them both, since they are compared.
        """
        if standing_still:
            return self.started_by("faketime", "-f", f"{instant:%Y-%m-%d %H:%M:%S}")
        return self.started_by("faketime", "--exclude-monotonic", "-f", f"@{instant:%Y-%m-%d %H:%M:%S}")

    def started_by(self, *starter: str) -> Self:
        """The same program, started by another that takes a command as its last arguments."""
        other = copy(self)
        other._starter = starter
        return other

    def moved(self, home: Path) -> Self:
        """A copy of this person's home elsewhere, while nothing runs here."""
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        other = copy(self)
        other.home = home
        other.env = {name: value.replace(str(self.home), str(home)) for name, value in self.env.items()}
        return other

    def run(self, *args: str, input: str | None = None, check_status: int | None = 0) -> Completed:
        """Run to its end; `check_status` None allows any."""
        ran = subprocess.run(
            self._command(args),
            env=self.env,
            cwd=self.home,
            input=input or "",
            capture_output=True,
            text=True,
        )
        return self._ended(Completed(ran.returncode, ran.stdout, ran.stderr), args, check_status)

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """Let it run beside the test, which must end it."""
        return subprocess.Popen(
            self._command(args),
            env=self.env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _ended(self, ran: Completed, args: tuple[str, ...], check_status: int | None) -> Completed:
        self.said += [ran.stdout, ran.stderr]
        if check_status is not None:
            assert ran.status == check_status, f"{args}: {ran.status}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def _command(self, args: tuple[str, ...]) -> list[str]:
        return [*self._starter, sys.executable, "-W", "error", "-m", "mailrotate", *args]


def runner_of(process: "subprocess.Popen[str]") -> int:
    """The process behind the one that fakes its clock."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else process.pid
