"""How fast one runner and four runners send from one SQLite file and from one PostgreSQL database."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from unittest.mock import patch

from benchmarks import fleet, postgresql
from benchmarks.commits import count_commits
from benchmarks.fleet import MAILBOX_COUNT, Fleet
from benchmarks.place import Sink, counting_sink, place
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, Skipped, alternately
from mailrotate.app import App, load_settings
from mailrotate.core.values.clock import system_clock
from mailrotate.runner import Host

_MESSAGES = full_or_quick(3000, 200)
_TURNS = full_or_quick(3, 1)
_MANY = 4
_COUNTS = {"SQLite": (1,), "PostgreSQL": (1, _MANY)}


def measure() -> list[Line | Skipped]:
    notes: list[str] = []
    with counting_sink() as sink, ExitStack() as servers:
        sandbox = servers.enter_context(fleet.start_sandbox())
        places = {"SQLite": servers.enter_context(place())}
        missing = postgresql.why_not()
        if missing is None:
            server = servers.enter_context(postgresql.serving())
            places["PostgreSQL"] = servers.enter_context(place(server))
        works: dict[tuple[str, int], Callable[[], float]] = {}
        for name, here in places.items():
            addresses = fleet.connect(here, sandbox.info, [sink.port] * MAILBOX_COUNT)
            people = fleet.write_people(here.folder / "people.csv", _MESSAGES)
            fleet.start_campaign(here, "bench", addresses, people)
            ready = Fleet(here, addresses)
            works |= {(name, count): _turns(ready, name, count, sink, notes) for count in _COUNTS[name]}
        figures = alternately(_TURNS, *works.values())
    lines: list[Line | Skipped] = [
        Line(
            f"dispatch on {name} by {count} runner{'s' * (count > 1)}, against SQLite and one runner",
            f"{_MESSAGES / took:.0f}/s",
            f"{_MESSAGES / figures[0]:.0f}/s",
            figures[0] / took,
            notes=[note for note in notes if note.startswith(f"{name}, {count} ")][-1:],
        )
        for (name, count), took in zip(works, figures, strict=True)
    ]
    lines.append(Skipped(f"dispatch on SQLite by {_MANY} runners", "a SQLite file has one runner at a time"))
    return lines if missing is None else [*lines, Skipped("dispatch on PostgreSQL", missing)]


def _turns(ready: Fleet, name: str, count: int, sink: Sink, notes: list[str]) -> Callable[[], float]:
    turns = iter(range(_TURNS))

    def once() -> float:
        database = ready.copy(f"runners{count}_turn{next(turns)}")
        with sink.expecting(_MESSAGES):
            took, reports = _run(ready.environment(database), count)
        commits = sum(report["commits"] for report in reports) / _MESSAGES
        shares = ", ".join(str(report["sent"]) for report in reports)
        notes.append(f"{name}, {count} at once: {commits:.2f} commits per message; they sent {shares}")
        return took

    return once


def _run(environment: dict[str, str], count: int) -> tuple[float, Sequence[dict[str, int]]]:
    """Let `count` processes make one pass together; return the seconds of the slowest, and their reports."""
    most_lanes = -(-MAILBOX_COUNT // count)
    command = [sys.executable, "-c", f"from benchmarks import runners; runners.run_one({most_lanes})"]
    runners = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for runner in runners:
        assert runner.stdout is not None
        if runner.stdout.readline() != "ready\n":
            raise RuntimeError("a runner has not started")
    began = time.perf_counter()
    for runner in runners:
        assert runner.stdin is not None
        runner.stdin.write("go\n")
        runner.stdin.flush()
    reports = [json.loads(runner.communicate()[0]) for runner in runners]
    took = time.perf_counter() - began
    if sum(report["sent"] for report in reports) != _MESSAGES:
        raise RuntimeError(f"{reports} of {_MESSAGES} were sent")
    return took, reports


def run_one(most_lanes: int) -> None:
    """Be one runner: make a pass when told so on standard input, and print what it did.

    It works at most so many lanes at once, because else the first runner takes all ten.
    """
    app = App(load_settings())
    context, commits = app.context, count_commits(app.store)
    host = Host(context, system_clock, None, lambda trouble: print(repr(trouble), file=sys.stderr))  # noqa: T201
    print("ready", flush=True)  # noqa: T201  its parent reads it
    sys.stdin.readline()
    with patch("mailrotate.runner._MOST_LANES_AT_ONCE", most_lanes):
        report = host.once("bench")
    print(json.dumps({"sent": report.counts()["sent"], "commits": commits()}))  # noqa: T201  likewise
    app.close()
