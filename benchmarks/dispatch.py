"""How fast the shipped runner sends, against a bare loop, nodemailer's pool and a Postfix that relays.

All send to one sink, in turn. Postfix composes nothing: smtp-source feeds it with messages of that size.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import bare_loop, fleet, nodemailer, postfix
from benchmarks.commits import trace_commits
from benchmarks.fleet import MAILBOX_COUNT, Fleet
from benchmarks.place import Sink, as_environment, counting_sink, place
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, Skipped, alternately
from mailrotate.app import App, load_settings
from mailrotate.core.values.clock import system_clock
from mailrotate.runner import Host

MESSAGES = full_or_quick(5000, 300)
_TURNS = full_or_quick(5, 3)
# What smtp-source writes itself above what it is told to.
_SOURCE_HEADERS = 200
_PRAGMAS = ("journal_mode", "synchronous", "foreign_keys")
_BARE = "a bare loop around smtplib"


def measure() -> list[Line | Skipped]:
    with place() as here, counting_sink() as sink, contextlib.ExitStack() as servers:
        sandbox = servers.enter_context(fleet.start_sandbox())
        addresses = fleet.connect(here, sandbox.info, [sink.port] * MAILBOX_COUNT)
        people = fleet.write_people(here.folder / "people.csv", MESSAGES)
        fleet.start_campaign(here, "bench", addresses, people)
        ready = Fleet(here, addresses)
        copies = (ready.copy(f"turn{turn}.db") for turn in range(_TURNS + 1))
        size = bare_loop.size_of_letter(addresses[0])
        notes = [f"each letter has {size} bytes: 0.6 kB of text, as plain text and as HTML"]
        works = {
            "": lambda: dispatch(ready, next(copies)),
            _BARE: lambda: bare_loop.send(addresses, sink.port, MESSAGES),
        }
        others, skipped = _others(sink, size, servers)
        works |= others
        figures = alternately(_TURNS, *(_delivered(sink, work) for work in works.values()))
        with sink.expecting(MESSAGES):
            dispatch(ready, next(copies), notes)
    ours, *theirs = figures
    return [
        *(
            Line(
                f"dispatch of {MESSAGES} messages over {MAILBOX_COUNT} mailboxes, against {name}",
                f"{MESSAGES / ours:.0f}/s",
                f"{MESSAGES / seconds:.0f}/s",
                seconds / ours,
                ">= 0.3" if name == _BARE else None,
                notes if name == _BARE else (),
            )
            for name, seconds in zip([*works][1:], theirs, strict=True)
        ),
        *skipped,
    ]


def _others(
    sink: Sink, size: int, servers: contextlib.ExitStack
) -> tuple[dict[str, Callable[[], float]], list[Skipped]]:
    """What else is installed to send with, and what is not."""
    works: dict[str, Callable[[], float]] = {}
    missing = {"nodemailer's pool": nodemailer.why_not(), "Postfix as a relay": postfix.why_not()}
    if missing["nodemailer's pool"] is None:
        works["nodemailer's pool"] = lambda: nodemailer.send(sink.port, MESSAGES)
    if missing["Postfix as a relay"] is None:
        relay = servers.enter_context(postfix.relaying(sink.port))
        # The first messages wait for Postfix's processes to start.
        with sink.expecting(MESSAGES // 10):
            relay.feed(MESSAGES // 10, size - _SOURCE_HEADERS)
        works["Postfix as a relay"] = lambda: _relay(relay, sink, size)
    skipped = [Skipped(f"dispatch, against {name}", why) for name, why in missing.items() if why is not None]
    return works, skipped


def _relay(relay: postfix.Postfix, sink: Sink, size: int) -> float:
    """Return the seconds until the last message has passed through Postfix's queue into the sink."""
    began = time.perf_counter()
    with sink.expecting(MESSAGES):
        relay.feed(MESSAGES, size - _SOURCE_HEADERS)
    return time.perf_counter() - began


def _delivered(sink: Sink, work: Callable[[], float]) -> Callable[[], float]:
    """Make sure that as many messages arrive as were to be sent."""

    def once() -> float:
        with sink.expecting(MESSAGES):
            return work()

    return once


def dispatch(
    ready: Fleet, database: Path | str, counted: list[str] | None = None, messages: int = MESSAGES
) -> float:
    """Send them all in one pass; return the seconds that it took.

    With `counted`, SQLite's trace takes part, which slows it down: what it saw is appended.
    """
    with as_environment(ready.environment(database)):
        app = App(load_settings())
    context = app.context
    commits = None if counted is None else trace_commits(app.store)
    host = Host(context, system_clock, None, lambda trouble: (_ for _ in ()).throw(trouble))
    began = time.perf_counter()
    report = host.once("bench")
    took = time.perf_counter() - began
    sent = report.counts()["sent"]
    if sent != messages:
        raise RuntimeError(f"{sent} of {messages} were sent: {report.counts()} {report.troubles}")
    if counted is not None and commits is not None:
        counted.append(f"commits per message, by SQLite's trace: {commits() / sent:.2f}")
        with app.store.reading() as connection:
            found = [
                f"{name}={connection.exec_driver_sql(f'PRAGMA {name}').scalar_one()}" for name in _PRAGMAS
            ]
        counted.append("PRAGMAs: " + ", ".join(found))
    app.close()
    return took
