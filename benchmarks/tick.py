"""Whether one pass over ten due messages costs more when a million people wait (H3)."""

import sqlite3
import time
from pathlib import Path

from benchmarks import fleet
from benchmarks.fleet import Fleet
from benchmarks.place import Place, as_environment, place, smtp_sink
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, alternately
from mailrotate.app import App, load_settings
from mailrotate.core.values.clock import system_clock
from mailrotate.runner import Host
from mailrotate.sandbox.server import Sandbox

_FEW, _MANY = 1_000, full_or_quick(1_000_000, 30_000)
_DUE = 10
_TURNS = full_or_quick(7, 3)


def measure() -> list[Line]:
    notes: list[str] = []
    with (
        place() as small_place,
        place() as large_place,
        smtp_sink() as port,
        fleet.start_sandbox() as sandbox,
    ):
        small = _prepare(small_place, sandbox, port, _FEW)
        large = _prepare(large_place, sandbox, port, _MANY)
        turns = iter(range(2 * _TURNS))
        few, many = alternately(
            _TURNS,
            lambda: _one_tick(small, f"turn{next(turns)}.db"),
            lambda: _one_tick(large, f"turn{next(turns)}.db"),
        )
        for ready, count in ((small, _FEW), (large, _MANY)):
            steps = _visited(ready, f"counted{count}.db")
            notes.append(
                f"{count:>9,} people: SQLite took {steps:,} steps of its virtual machine in the pass"
            )
    return [
        Line(
            f"one pass with {_DUE} due messages, {_MANY:,} people stored, against {_FEW:,}",
            f"{many * 1000:.0f} ms",
            f"{few * 1000:.0f} ms",
            many / few,
            "<= 1.2",
            notes,
        )
    ]


def _prepare(here: Place, sandbox: Sandbox, port: int, count: int) -> Fleet:
    """A third in a paused campaign, a third behind a used-up limit, a third waiting, and ten who are due."""
    addresses = fleet.connect(here, sandbox.info, [port] * 3)
    third = count // 3
    for n, name in enumerate(("paused", "limited", "waiting")):
        people = fleet.write_people(here.folder / f"{name}.csv", third, first=n * third)
        fleet.start_campaign(here, name, [addresses[n]], people)
    due = fleet.write_people(here.folder / "due.csv", _DUE, first=3 * third)
    here.run("campaign", "pause", "paused")
    here.run("mailbox", "set", addresses[1], "--daily-limit", "1")
    _push_into_the_future(here.database, "waiting")
    # Spends the one message of the limited mailbox, and reads every inbox for the first time.
    here.run("run", "--once")
    fleet.start_campaign(here, "due", [addresses[2]], due)
    return Fleet(here, addresses)


def _push_into_the_future(database: Path, campaign: str) -> None:
    """A century later, in the form in which instants are stored."""
    with sqlite3.connect(database) as rows:
        rows.execute(
            "UPDATE recipient SET next_at = '21' || substr(next_at, 3) "
            "WHERE campaign_id = (SELECT id FROM campaign WHERE name = ?)",
            (campaign,),
        )


def _one_tick(ready: Fleet, name: str) -> float:
    host, app = _host(ready, name)
    began = time.perf_counter()
    report = host.once("bench")
    took = time.perf_counter() - began
    app.close()
    if report.counts()["sent"] != _DUE:
        raise RuntimeError(f"{report.counts()} {report.troubles}")
    return took


def _visited(ready: Fleet, name: str) -> int:
    """SQLite counts no rows for us; each row it visits costs a few of these steps."""
    from sqlalchemy import event

    host, app = _host(ready, name)
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    app.store.engine.dispose()

    @event.listens_for(app.store.engine, "connect")
    def watch(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(step, 1)

    host.once("bench")
    app.close()
    return steps


def _host(ready: Fleet, name: str) -> tuple[Host, App]:
    database = ready.copy(name)
    with as_environment(ready.environment(database)):
        app = App(load_settings())
    context = app.context
    with app.store.reading():
        pass
    return Host(context, system_clock, None, lambda trouble: (_ for _ in ()).throw(trouble)), app
