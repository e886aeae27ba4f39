"""How fast the shipped runner sends, against a loop around smtplib that renders the same letters."""

import contextlib
import os
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import fleet
from benchmarks.fleet import MAILBOX_COUNT, Fleet
from benchmarks.place import place, smtp_sink
from benchmarks.table import Line, alternately
from mailrotate.app import App, load_settings
from mailrotate.core.rules.compose import compose, message_id_for
from mailrotate.core.values.clock import system_clock
from mailrotate.core.values.letter import Letter, Unsubscribe
from mailrotate.runner import Host

MESSAGES = 5000
_TURNS = 3


def measure() -> list[Line]:
    notes: list[str] = []
    with place() as here, smtp_sink() as port, fleet.start_sandbox() as sandbox:
        addresses = fleet.connect(here, sandbox.info, [port] * MAILBOX_COUNT)
        people = fleet.write_people(here.folder / "people.csv", MESSAGES)
        fleet.start_campaign(here, "bench", addresses, people)
        ready = Fleet(here, addresses)
        turn = iter(range(_TURNS))
        ours, bare = alternately(
            _TURNS,
            lambda: dispatch(ready, ready.copy(f"turn{next(turn)}.db"), notes),
            lambda: _bare_loop(addresses, port),
        )
    return [
        Line(
            f"dispatch of {MESSAGES} messages over {MAILBOX_COUNT} mailboxes, against bare smtplib",
            f"{MESSAGES / ours:.0f}/s",
            f"{MESSAGES / bare:.0f}/s",
            bare / ours,
            ">= 0.3",
            notes[-2:],
        )
    ]


@contextlib.contextmanager
def as_environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def dispatch(ready: Fleet, database: Path, notes: list[str], messages: int = MESSAGES) -> float:
    """Send them all in one pass; returns the seconds that it took."""
    from sqlalchemy import Connection, event, text

    with as_environment(ready.environment(database)):
        app = App(load_settings())
    commits = 0

    # What a reading transaction ends with writes nothing; only those that began IMMEDIATE are counted.
    @event.listens_for(app.store.engine, "commit")
    def count(connection: Connection) -> None:
        nonlocal commits
        commits += bool(connection.get_execution_options().get("mailrotate_writes"))

    host = Host(app.context, system_clock, None, lambda trouble: (_ for _ in ()).throw(trouble))
    began = time.perf_counter()
    report = host.once("bench")
    took = time.perf_counter() - began
    sent = report.counts()["sent"]
    if sent != messages:
        raise RuntimeError(f"{sent} of {messages} were sent: {report.counts()} {report.troubles}")
    with app.store.reading() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    notes.append("PRAGMAs: " + ", ".join(f"{name}={value}" for name, value in pragmas.items()))
    notes.append(f"commits per message: {commits / sent:.2f}")
    app.close()
    return took


def _bare_loop(addresses: list[str], port: int) -> float:
    began = time.perf_counter()
    servers = [smtplib.SMTP("127.0.0.1", port, local_hostname="bench") for _ in addresses]
    for server in servers:
        server.ehlo()
    now = system_clock()
    for n in range(MESSAGES):
        sender = addresses[n % len(addresses)]
        token = f"{n:032x}"
        letter = Letter(
            from_name="Anna Example",
            from_address=sender,
            to_address=f"person{n}@firm{n % 997}.example.com",
            subject_template=fleet.STEP_SUBJECT,
            body_template=fleet.STEP_BODY,
            fields={"first_name": f"Pia{n}", "company": f"Firm {n % 997} & Sons", "city": "Z\u00fcrich"},
            signature_markdown=None,
            unsubscribe=Unsubscribe(sender, token),
            message_id=message_id_for(token, sender),
            in_reply_to=None,
            references=(),
            thread_subject=None,
            attachments=(),
        )
        servers[n % len(addresses)].sendmail(sender, [letter.to_address], compose(letter, now).raw)
    for server in servers:
        server.quit()
    return time.perf_counter() - began
