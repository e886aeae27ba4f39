"""Whether a server that takes two seconds for each message slows anybody but its own mailbox."""

import sqlite3
from datetime import UTC, datetime

from benchmarks import fleet
from benchmarks.fleet import MAILBOX_COUNT, Fleet
from benchmarks.place import Place, as_environment, place, smtp_sink
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, alternately
from mailrotate.app import App, load_settings
from mailrotate.core.values.clock import system_clock
from mailrotate.runner import Host
from mailrotate.sandbox.server import Sandbox

_PER_MAILBOX = full_or_quick(150, 15)
_SLOW_SECONDS = 2
# So many of the slow one's people are left in, or the pass would last five minutes for nothing.
_SLOW_PEOPLE = full_or_quick(5, 2)
_TURNS = full_or_quick(3, 1)


def measure() -> list[Line]:
    with (
        place() as slow_place,
        place() as fast_place,
        smtp_sink() as port,
        smtp_sink("-w", str(_SLOW_SECONDS)) as slow_port,
        fleet.start_sandbox() as sandbox,
    ):
        fast_ports = [port] * (MAILBOX_COUNT - 1)
        with_slow = _prepare(slow_place, sandbox, [slow_port, *fast_ports])
        all_fast = _prepare(fast_place, sandbox, [port, *fast_ports])
        turns = iter(range(2 * _TURNS))
        slowed, alone = alternately(
            _TURNS,
            lambda: _nine_others(with_slow, f"turn{next(turns)}.db"),
            lambda: _nine_others(all_fast, f"turn{next(turns)}.db"),
        )
    return [
        Line(
            f"nine mailboxes beside one that takes {_SLOW_SECONDS} s a message, against beside a fast one",
            f"{slowed:.2f} s",
            f"{alone:.2f} s",
            slowed / alone,
            "<= 1.05",
        )
    ]


def _prepare(here: Place, sandbox: Sandbox, ports: list[int]) -> Fleet:
    addresses = fleet.connect(here, sandbox.info, ports)
    people = fleet.write_people(here.folder / "people.csv", _PER_MAILBOX * MAILBOX_COUNT)
    fleet.start_campaign(here, "bench", addresses, people)
    with sqlite3.connect(here.database) as database:
        database.execute(
            "UPDATE recipient SET state = 'finished', next_at = NULL WHERE id IN ("
            "SELECT r.id FROM recipient r JOIN campaign_sender s ON s.id = r.campaign_sender_id "
            "JOIN mailbox m ON m.id = s.mailbox_id WHERE m.address = ? ORDER BY r.id LIMIT -1 OFFSET ?)",
            (addresses[0], _SLOW_PEOPLE),
        )
    return Fleet(here, addresses)


def _nine_others(ready: Fleet, name: str) -> float:
    """Seconds from the start until the last message of the nine others was settled."""
    database = ready.copy(name)
    with as_environment(ready.environment(database)):
        app = App(load_settings())
    began = system_clock()
    Host(app.context, system_clock, None, lambda trouble: (_ for _ in ()).throw(trouble)).once("bench")
    app.close()
    with sqlite3.connect(database) as rows:
        last, count = rows.execute(
            "SELECT max(settled_at), count(*) FROM message JOIN mailbox ON mailbox.id = message.mailbox_id "
            "WHERE message.state = 'sent' AND mailbox.address <> ?",
            (ready.addresses[0],),
        ).fetchone()
    if count != _PER_MAILBOX * (MAILBOX_COUNT - 1):
        raise RuntimeError(f"only {count} were sent")
    return (datetime.fromisoformat(last).replace(tzinfo=UTC) - began).total_seconds()
