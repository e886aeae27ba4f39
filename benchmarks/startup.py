"""How long a command takes to start, against the imports that it cannot do without."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks.place import place
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, alternately

_TURNS = full_or_quick(15, 3)
_READING = (
    "status", "campaign list", "contact list", "grace list", "limits show", "log", "outbox list", "plan show",
    "settings show", "slot list", "suppression list", "user list", "webhook list",
)  # fmt: skip
# What is run, what must be imported for it, and how much longer it may take.
_CASES = (
    ("--help", "typer", "<= 1.3"),
    ("mailbox list", "sqlmodel", "<= 1.15"),
    *((command, "sqlmodel", "<= 1.25") for command in _READING),
)


def measure() -> list[Line]:
    with place() as here:
        here.run("init", "--email", "anna@example.org")
        works = {
            name: _timed([sys.executable, "-c", f"import {name}"], here.environment)
            for name in ("typer", "sqlmodel")
        }
        for command, _, _ in _CASES:
            words = [sys.executable, "-m", "mailrotate", *command.split()]
            works[command] = _timed(words, here.environment)
        took = dict(zip(works, alternately(_TURNS, *works.values()), strict=True))
    return [
        Line(
            f"{command}, against import {imported}",
            f"{took[command] * 1000:.0f} ms",
            f"{took[imported] * 1000:.0f} ms",
            took[command] / took[imported],
            aim,
        )
        for command, imported, aim in _CASES
    ]


def _timed(command: list[str], environment: Mapping[str, str]) -> Callable[[], float]:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, check=True)
        return time.perf_counter() - began

    return once
