"""The end of the grace period of 100,000 recipients, against bare statements on the same rows (C9)."""

import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import insert, select, text, update

from benchmarks.peak import launch
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, alternately
from mailrotate.core.rules.transitions import DEADLINE
from mailrotate.core.services.effects import grace_periods
from mailrotate.core.store import deadlines, senders
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.schema import migrate
from mailrotate.core.values.states import DeadlineKind, Departure
from tests.support.rows import make_workspace

PEOPLE = full_or_quick(100_000, 20_000)
_SMALL = 10_000
# How many of the recipients have had no message yet.
_QUEUED = 100
_TURNS = full_or_quick(3, 1)
_NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
_END = _NOW + timedelta(hours=1)


def measure() -> list[Line]:
    with TemporaryDirectory() as folder:
        ready, small = (_ready(Path(folder) / f"{count}.db", count) for count in (PEOPLE, _SMALL))
        bare, settled = alternately(_TURNS, lambda: _on_copy(ready, _bare), lambda: _on_copy(ready, _settle))
        peak, small_peak = _peak(ready, PEOPLE), _peak(small, _SMALL)
    return [
        Line(
            f"end of a grace of {PEOPLE:,} recipients, against INSERT … SELECT and UPDATE of them",
            f"{settled:.2f} s",
            f"{bare:.2f} s",
            settled / bare,
            "<= 4",
        ),
        Line(
            f"peak memory at that end, against {_SMALL:,} recipients",
            f"{peak / 1024:.1f} MiB",
            f"{small_peak / 1024:.1f} MiB",
            peak / small_peak,
            "<= 1.1",
        ),
    ]


def _peak(ready: Path, people: int) -> int:
    """Return the peak memory in KiB of a process that only settles."""
    settle = "from benchmarks import settlement; settlement.settle_alone()"
    _, peak, status = launch(
        [sys.executable, "-c", settle, str(ready), str(people)], ready.with_suffix(".out")
    )
    if status != 0:
        raise RuntimeError(f"the settlement ended with {status}")
    return peak


def settle_alone() -> None:
    """Settle in the database that the arguments of this process name."""
    store = open_store(sys.argv[1])
    _settle(store, int(sys.argv[2]))
    store.close()


def _ready(path: Path, count: int) -> Path:
    """Anna has written to all but a few of her people, and was disconnected an hour before `_END`."""
    store = open_store(str(path))
    migrate(store)
    workspace = make_workspace(store)
    anna, ben = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben"))
    campaign = workspace.add_campaign("autumn", [anna, ben])
    sender_id, _ = workspace.senders(campaign)
    numbers = range(1, count + 1)
    with store.writing() as connection:
        people = [
            {"id": n, "address": f"p{n}@example.com", "canonical": f"p{n}@example.com"} for n in numbers
        ]
        connection.execute(
            insert(t.contact).values(domain="example.com", fields="{}", created_at=_NOW), people
        )
        rows = [{"id": n, "contact_id": n, "address_hash": f"{n:064x}"} for n in numbers]
        of_anna = {"campaign_id": campaign.id, "campaign_sender_id": sender_id, "next_step": 2}
        connection.execute(
            insert(t.recipient).values(
                state="active", fields="{}", next_at=_END, enrolled_at=_NOW, **of_anna
            ),
            rows,
        )
        connection.execute(update(t.recipient).where(t.recipient.c.id <= _QUEUED).values(state="queued"))
        senders.depart(connection, [sender_id], Departure.DISCONNECTED, _NOW)
        deadlines.begin(
            connection, DEADLINE["begin"], anna.id, [campaign.id], DeadlineKind.DISCONNECT, _NOW, _END
        )
    store.close()
    return path


def _on_copy(ready: Path, work: Callable[[Store], None]) -> float:
    copy = ready.with_name("copy.db")
    shutil.copyfile(ready, copy)
    store = open_store(str(copy))
    try:
        began = time.perf_counter()
        work(store)
        return time.perf_counter() - began
    finally:
        store.close()
        copy.unlink()


def _settle(store: Store, people: int = PEOPLE) -> None:
    with store.writing() as connection:
        settled = grace_periods.apply_passed(connection, _END)
    assert (settled.stopped, settled.reassigned) == (people - _QUEUED, _QUEUED)


def _bare(store: Store) -> None:
    r = t.recipient.c
    with store.writing() as connection:
        for (name,) in connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ).all():
            connection.execute(text(f"DROP TRIGGER {name}"))
        marks = select(r.campaign_id, r.address_hash, r.enrolled_at).where(r.state == "active")
        connection.execute(
            insert(t.stopped).from_select(["campaign_id", "address_hash", "stopped_at"], marks)
        )
        connection.execute(
            update(t.recipient)
            .where(r.state == "active")
            .values(state="stopped", next_at=None, ended_at=_END)
        )
