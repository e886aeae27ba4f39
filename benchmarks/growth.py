"""Whether a command that only reads takes longer when a million people are stored than with a thousand."""

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable

from benchmarks.place import Place, place
from benchmarks.quick import full_or_quick
from benchmarks.table import Line, alternately
from mailrotate.core.store.engine import open_store
from mailrotate.core.store.schema import migrate
from tests.support.rows import make_workspace

_FEW, _MANY = 1_000, full_or_quick(1_000_000, 50_000)
_TURNS = full_or_quick(5, 3)
_SOMEBODY = "person500@firm500.example.com"
_COMMANDS = (
    "status",
    "mailbox list",
    "campaign list",
    "campaign show bench",
    "recipient list bench --limit 20",
    f"recipient show bench {_SOMEBODY}",
    f"contact show {_SOMEBODY}",
    "contact list --limit 20",
    "outbox list --limit 20",
    "log --limit 20",
    "log --action rare. --limit 20",
    "suppression list --limit 20",
    f"why bench {_SOMEBODY}",
    "why anna@example.org",
)
# One in four was written to a week ago, and the others are due in a hundred years.
_ROWS = """
CREATE TEMP TABLE person AS
  WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {count})
  SELECT n, printf('person%d@firm%d.example.com', n, n % 997) AS address,
    printf('firm%d.example.com', n % 997) AS domain FROM series;
CREATE TEMP TABLE known AS
  SELECT campaign_sender.id AS sender_id, campaign_id, mailbox_id, step.id AS step_id,
    strftime('%Y-%m-%d %H:%M:%f000', 'now', '-7 days') AS sent_at,
    strftime('%Y-%m-%d %H:%M:%f000', 'now', '+100 years') AS later
  FROM campaign_sender JOIN step USING (campaign_id);
INSERT INTO contact (id, address, canonical, domain, fields, created_at)
  SELECT n, address, address, domain, '{{}}', sent_at FROM person, known;
INSERT INTO recipient (id, campaign_id, contact_id, state, address_hash, campaign_sender_id, fields,
    next_step, next_at, enrolled_at, ended_at)
  SELECT n, campaign_id, n, iif(n % 4, 'queued', 'finished'), printf('%064x', n), sender_id, '{{}}', 1,
    iif(n % 4, later, NULL), sent_at, iif(n % 4, NULL, sent_at) FROM person, known;
INSERT INTO message (kind, state, priority, mailbox_id, campaign_id, campaign_sender_id, recipient_id,
    step_id, step_position, to_address, from_address, token, message_id, cited_ids, due_at, ready_at,
    planned_at, claimed_at, marked_at, sent_at, settled_at, attempts)
  SELECT 'campaign', 'sent', '2', mailbox_id, campaign_id, sender_id, n, step_id,
    1, address, 'anna@example.org', printf('%032x', n), printf('<%032x@example.org>', n), '', sent_at,
    sent_at, sent_at, sent_at, sent_at, sent_at, sent_at, 1 FROM person, known WHERE n % 4 = 0;
INSERT INTO event (at, action, os_user, campaign_id, recipient_id, data)
  SELECT sent_at, iif(n % 1000, 'message.sent', 'rare.action'), 'bench', campaign_id, n, '{{}}'
  FROM person, known, (SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3);
INSERT INTO suppression (kind, value, canonical, hash, reason, source, added_at)
  SELECT 'address', 'not' || address, 'not' || address, printf('%064x', n), 'by_hand', 'bench', sent_at
  FROM person, known WHERE n % 10 = 0;
"""


def measure() -> list[Line]:
    with place() as small, place() as large:
        _fill(small, _FEW)
        _fill(large, _MANY)
        return [_line(small, large, command) for command in _COMMANDS]


def _line(small: Place, large: Place, command: str) -> Line:
    few, many = alternately(_TURNS, _timed(small, command), _timed(large, command))
    return Line(
        f"CPU time of {command.replace(_SOMEBODY, 'ADDRESS')}, {_MANY:,} people stored, against {_FEW:,}",
        f"{many:.2f} s",
        f"{few:.2f} s",
        many / few,
        "<= 1.1",
    )


def _timed(here: Place, command: str) -> Callable[[], float]:
    def once() -> float:
        began = _cpu_seconds()
        words = [sys.executable, "-m", "mailrotate", *command.split()]
        subprocess.run(words, env=here.environment, capture_output=True, check=True)
        return _cpu_seconds() - began

    return once


def _cpu_seconds() -> float:
    """Of all commands so far. They read from memory, and other processes make this figure no worse."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _fill(here: Place, count: int) -> None:
    """One campaign with so many people, and three events for each."""
    store = open_store(str(here.database))
    migrate(store)
    workspace = make_workspace(store)
    workspace.add_campaign("bench", [workspace.add_mailbox("anna@example.org")])
    here.environment["MAILROTATE_USER"] = workspace.admin.email
    store.close()
    with sqlite3.connect(here.database) as rows:
        rows.executescript(_ROWS.format(count=count))
        rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
