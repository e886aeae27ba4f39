"""How long a command takes to start, against the imports that it cannot do without."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from benchmarks.place import Place, place
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, alternately

_TURNS = full_or_quick(15, 3)


def measure() -> list[Line]:
    with place() as here:
        here.run("init", "--email", "anna@example.org")
        return [
            _line(here, "--help in a pipe, against import typer", ["--help"], "import typer", "<= 1.3"),
            _line(
                here,
                "mailbox list, against import sqlmodel",
                ["mailbox", "list"],
                "import sqlmodel",
                "<= 1.15",
            ),
            _line(
                here,
                "status, against import sqlmodel",
                ["status"],
                "import sqlmodel",
                "<= 1.25",
            ),
        ]


def _line(here: Place, what: str, arguments: list[str], imported: str, aim: str) -> Line:
    ours, reference = alternately(
        _TURNS,
        _timed([sys.executable, "-m", "mailrotate", *arguments], here.environment),
        _timed([sys.executable, "-c", imported], here.environment),
    )
    return Line(what, f"{ours * 1000:.0f} ms", f"{reference * 1000:.0f} ms", ours / reference, aim)


def _timed(command: list[str], environment: Mapping[str, str]) -> Callable[[], float]:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, check=True)
        return time.perf_counter() - began

    return once
