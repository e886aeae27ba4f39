"""Kill a command at one system call after another, each time in a fresh workspace (F3)."""

import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path

from tests.proof.ground import Ground

_CALL = re.compile(r"(?P<thread>\d+) +(?P<syscall>\w+)\(\d+<(?P<file>[^>]*)>")


def killed_runs(
    strace: str, make: Callable[[], Ground], command: tuple[str, ...], *syscalls: str
) -> Iterator[tuple[Ground, str]]:
    """Each time a fresh workspace, in which the command was killed at another point; ends after the last.

    Pages are so many that the points are taken at doubling distances; of the other calls, each is one.
    """
    for syscall in syscalls:
        number = 1
        while (ground := _killed(strace, make, command, syscall, number)) is not None:
            yield ground, f"{command[:2]} killed at {syscall} {number}"
            number = number * 2 if syscall == "pwrite64" else number + 1
        assert number > 1, f"{command} does no {syscall}"


def killed_at(
    strace: str, make: Callable[[], Ground], command: tuple[str, ...], points: Iterable[tuple[str, int]]
) -> Iterator[tuple[Ground, str]]:
    """The same at these points, each of which the command must reach."""
    for syscall, number in points:
        killed = f"{command[:2]} killed at {syscall} {number}"
        ground = _killed(strace, make, command, syscall, number)
        assert ground is not None, f"not {killed}"
        yield ground, killed


def durable_points(strace: str, ground: Ground, command: tuple[str, ...]) -> list[tuple[str, int]]:
    """Run a command once and find its durable steps: each sync, and the pages between two of them.

    Hundreds of pages in a row that go to one file are one step, of which the first and the last are points.
    What SQLite writes to its own temporary files dies with the process.
    """
    trace = ground.home / "trace"
    watched = ("pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink")
    ground.program.started_by(strace, "-f", "-y", "-o", str(trace), "-e", f"trace={','.join(watched)}").run(
        *command
    )
    calls = [found for line in trace.read_text().splitlines() if (found := _CALL.match(line))]
    trace.unlink()
    assert len({call["thread"] for call in calls}) == 1, "strace counts each thread's calls by themselves"
    points = list[tuple[str, int]]()
    reached = dict.fromkeys(watched, 0)
    for (syscall, file), row in groupby(calls, key=lambda call: (call["syscall"], Path(call["file"]).name)):
        first, length = reached[syscall] + 1, len(list(row))
        reached[syscall] += length
        if file.startswith("etilqs") or file.endswith("-shm"):
            continue
        ends = {first, first + length - 1}
        points += [
            (syscall, number)
            for number in (sorted(ends) if syscall == "pwrite64" else range(first, first + length))
        ]
    return points


def _killed(
    strace: str, make: Callable[[], Ground], command: tuple[str, ...], syscall: str, number: int
) -> Ground | None:
    """The workspace in which a command was killed; None if it ended before that point."""
    ground = make()
    traced = ground.program.started_by(
        strace, "-f", "-o", os.devnull, "-e", f"trace={syscall}",
        "-e", f"inject={syscall}:signal=KILL:when={number}",
    )  # fmt: skip
    process = traced.start(*command)
    said = process.communicate(timeout=120)
    if process.returncode == 0:
        return None
    assert process.returncode == -signal.SIGKILL, said
    return ground
