"""Measure the time and the peak memory of a command, in a process of its own."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# A child begins with the memory of its parent, and the kernel counts that in its peak. A benchmark is large,
# so that a small process between the two starts the command and prints what it used.
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
    """Run a command with its output in a file; return seconds, peak memory in KiB, and the exit status."""
    seconds, peak, status = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, str(output), *command],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    return float(seconds), int(peak), int(status)
