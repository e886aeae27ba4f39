"""What a command uses: a process of its own, its time and its peak memory."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# The kernel counts what a process had before it became another program, so that a child of this one, which
# is large, would seem large itself: a small one starts the command and says what it used.
_LAUNCHER = """
import os, subprocess, sys, time
began = time.perf_counter()
with open(sys.argv[1], "wb") as out:
    child = subprocess.Popen(sys.argv[2:], stdout=out, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    print(time.perf_counter() - began, used.ru_maxrss, os.waitstatus_to_exitcode(status))
"""


def launch(
    command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
) -> tuple[float, int, int]:
    """Run a command, its output into a file; return seconds, peak memory in KiB, and the exit status."""
    seconds, peak, status = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, str(output), *command],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    return float(seconds), int(peak), int(status)
