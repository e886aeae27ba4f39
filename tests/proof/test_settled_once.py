"""C8, C9, C10: runners of one PostgreSQL, and a return, all at the instant at which a deadline ends."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from mailrotate.core.values.clock import system_clock
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.proof.ground import CAMPAIGN, PLAN, SharedGround
from tests.proof.mail_host import Gate, MailHost
from tests.support.console import Console
from tests.support.databases import PostgresqlServer

pytestmark = [pytest.mark.proof, pytest.mark.timeout(300)]

RUNNERS, PEOPLE, CONTACTED = 4, 10, 3
# The status of a pass in which everything due waits for the mailbox that is away.
WAITING = 5
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
FOLLOW_UP = '\n[[steps]]\ndelay = "2d"\ntext = "Did you see it?"\n'
AWAY_AT = system_clock().replace(microsecond=0)
END = AWAY_AT + HOUR


class Ending:
    """Anna has written to three of her five recipients; she goes away, and her hour ends at END."""

    def __init__(self, ground: SharedGround, inboxes: SandboxInfo, host: MailHost, gate: Gate) -> None:
        self.ground, self.host = ground, host
        self.anna, self.ben = inboxes.senders[:2]
        self._gate = gate
        self.servers = ("--smtp", host.endpoint, "--imap", gate.endpoint, "--security", "none")
        self._console = Console(ground.home, ground.program.env)
        ground.program = self._at(AWAY_AT - HOUR)
        ground.connect(dict.fromkeys((self.anna, self.ben), host.endpoint), gate.endpoint, "--gap", "0s")
        self.type(
            AWAY_AT - HOUR,
            "settings", "set", "failure=1h", "test_every=7d", "database_clock_tolerance=off", "clock_jump=off"
        )  # fmt: skip
        self.type(AWAY_AT - HOUR, "mailbox", "set", self.anna, "--daily-limit", str(CONTACTED))
        (ground.home / "plan.toml").write_text(PLAN + FOLLOW_UP)
        self.type(AWAY_AT - HOUR, "campaign", "create", "plan.toml")
        rows = "".join(f"person{n}@firm.example.com,Pia {n}\n" for n in range(PEOPLE))
        (ground.home / "people.csv").write_text("email,name\n" + rows)
        self.type(AWAY_AT - HOUR, "recipient", "import", CAMPAIGN, "people.csv")
        self.type(AWAY_AT - HOUR, "campaign", "start", CAMPAIGN, "--from", self.anna, "--from", self.ben)
        self.type(AWAY_AT - HOUR, "run", "--once")

    def _at(self, instant: datetime) -> Console:
        return self._console.at(instant, standing_still=True)

    def type(self, instant: datetime, *command: str, status: int = 0) -> None:
        self._at(instant).run(*command, check_status=status)

    def disconnect(self) -> None:
        self.type(AWAY_AT, "mailbox", "disconnect", self.anna, "--yes")

    def fail(self, refusing: SandboxInfo) -> None:
        """Her login is refused, and a pass tells of it."""
        known, self._gate.behind = self._gate.behind, refusing.imap.port
        self.type(AWAY_AT, "mailbox", "test", self.anna, status=5)
        self._gate.behind = known
        self.type(AWAY_AT, "run", "--once", "--only", "notify", status=WAITING)

    def start(self, instant: datetime, *command: str) -> "subprocess.Popen[str]":
        """Build a process with a clock that starts at this instant."""
        return self._console.process.at(instant).start(*command)

    def count(self, table: str, where: str = "true") -> int:
        ((number,),) = self.ground.rows(f"SELECT count(*) FROM {table} WHERE {where}")
        return int(number)

    def ended(self) -> tuple[str, int | None, int | None]:
        """How the only deadline has ended, with its counts."""
        ((by, stopped, reassigned),) = self.ground.rows(
            "SELECT ended_by, stopped_count, reassigned_count FROM deadline"
        )
        return by, stopped, reassigned


@pytest.fixture
def scene(
    postgresql: PostgresqlServer, inboxes: SandboxInfo, tmp_path: Path
) -> Iterator[Callable[[], Ending]]:
    """Makes the scene, each time in a database of its own."""
    names = [f"proof_{os.getpid()}_end{number}" for number in range(8)]
    numbers = count()
    with MailHost() as host, Gate(inboxes.imap.port) as gate:

        def make() -> Ending:
            number = next(numbers)
            home = tmp_path / str(number)
            home.mkdir()
            host.reset()
            return Ending(SharedGround(home, postgresql.make(names[number])), inboxes, host, gate)

        yield make
    for name in names[: next(numbers)]:
        postgresql.drop(name)


@pytest.mark.parametrize("kind", ["disconnect", "failure"])
def test_c9_c10_four_runners_at_the_end_settle_it_once(scene: Callable[[], Ending], kind: str) -> None:
    ending = scene()
    if kind == "disconnect":
        ending.disconnect()
    else:
        with Sandbox(password="another") as refusing:
            ending.fail(refusing.info)
    told = len(ending.host.taken)
    running = [ending.start(END, "run", "--once", "--json") for _ in range(RUNNERS)]
    reports = [json.loads(_said(process)) for process in running]
    assert sorted((one["stopped"], one["reassigned"]) for one in reports) == [(0, 0)] * 3 + [(3, 2)]
    _assert_stopped_once(ending)
    # C10: a failure's end is told once, a disconnect's not at all.
    notices = {"disconnect": 0, "failure": 1}[kind]
    assert sum(one["notified"] for one in reports) == notices
    written = [one.recipient for one in ending.host.taken[told:]]
    assert len([to for to in written if not to.startswith("person")]) == notices
    assert len(written) == len(set(written)), "F3: no recipient is written to twice"


@pytest.mark.parametrize("early", [4 * SECOND, 2 * SECOND, timedelta()])
def test_c8_a_return_at_the_end_has_lost_nothing_or_finds_it_settled(
    scene: Callable[[], Ending], early: timedelta
) -> None:
    """The returning user's clock is a little behind; the first process to get the lock decides."""
    ending = scene()
    ending.disconnect()
    rejoin = ("mailbox", "connect", ending.anna, *ending.servers, "--rejoin", "--resume", "--json")
    returning = ending.start(END - early, *rejoin)
    running = [ending.start(END, "run", "--once", "--json") for _ in range(RUNNERS)]
    stopped = sum(json.loads(_said(process))["stopped"] for process in running)
    _said(returning)
    by, _, _ = ending.ended()
    if by == "readded":
        assert early, "at the end itself the hour is over"
        assert stopped == 0
        assert ending.count("recipient", "state = 'stopped'") == ending.count("stopped") == 0
        assert ending.count("event", "action = 'grace.ended'") == 0
        assert ending.count("campaign_sender", "left_at IS NULL") == 2
        assert ending.count("campaign", "state = 'active'") == 1
    else:
        # Settled by a runner, or by the return itself.
        assert stopped in (0, CONTACTED)
        _assert_stopped_once(ending)
        assert ending.count("campaign_sender", "left_at IS NULL") == 1


def _assert_stopped_once(ending: Ending) -> None:
    assert ending.ended() == ("settled", CONTACTED, 2)
    assert ending.count("recipient", "state = 'stopped'") == ending.count("stopped") == CONTACTED
    assert ending.count("event", "action = 'grace.ended'") == 1
    ((bens,),) = ending.ground.rows(
        "SELECT count(*) FROM recipient r JOIN campaign_sender s ON s.id = r.campaign_sender_id"
        f" JOIN mailbox b ON b.id = s.mailbox_id WHERE b.address = '{ending.ben}'"
    )
    assert bens == PEOPLE - CONTACTED


def _said(process: "subprocess.Popen[str]") -> str:
    out, errors = process.communicate(timeout=120)
    assert process.returncode in (0, WAITING), errors
    return out
