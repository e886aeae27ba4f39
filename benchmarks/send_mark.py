"""What the mark outside the database costs, as a share of the time that a message takes (F3)."""

import time

from benchmarks import fleet
from benchmarks.dispatch import dispatch
from benchmarks.fleet import MAILBOX_COUNT, Fleet
from benchmarks.place import as_environment, place, smtp_sink
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, alternately
from mailrotate.app import App, load_settings
from mailrotate.core.store.sending import send_mark

MESSAGES = full_or_quick(2000, 200)
_TURNS = full_or_quick(3, 1)


def measure() -> list[Line]:
    with place() as here, smtp_sink() as port, fleet.start_sandbox() as sandbox:
        addresses = fleet.connect(here, sandbox.info, [port] * MAILBOX_COUNT)
        people = fleet.write_people(here.folder / "people.csv", MESSAGES)
        fleet.start_campaign(here, "bench", addresses, people)
        ready = Fleet(here, addresses)
        turn = iter(range(_TURNS))
        messages, marks = alternately(
            _TURNS,
            lambda: dispatch(ready, ready.copy(f"turn{next(turn)}.db"), messages=MESSAGES),
            lambda: _mark(ready),
        )
    return [
        Line(
            f"{MESSAGES} marks outside the database, in the time of as many messages",
            f"{marks / MESSAGES * 1e6:.0f} µs",
            f"{messages / MESSAGES * 1e6:.0f} µs",
            marks / messages,
            "<= 0.03",
        )
    ]


def _mark(ready: Fleet) -> float:
    """Count and note as often as messages are sent; the commit is one that a message makes anyway."""
    with as_environment(ready.environment(ready.here.folder / "turn0.db")):
        app = App(load_settings())
    try:
        mark = app.context.mark
        with app.store.writing() as connection:
            began = time.perf_counter()
            for _ in range(MESSAGES):
                mark.note(send_mark.count(connection))
            return time.perf_counter() - began
    finally:
        app.close()
