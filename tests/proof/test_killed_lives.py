"""C8, C9, F3: the end of a mailbox's grace, and the commands around it, killed at every durable step."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mailrotate.core.values.clock import system_clock
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.proof.ground import CAMPAIGN, PASSWORD, PLAN, Ground
from tests.proof.kills import durable_points, killed_at
from tests.proof.mail_host import Gate, MailHost
from tests.support.console import Console

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

# Of the mailbox that goes away; the other one has as many. It really writes to a few, which takes a while.
PEOPLE, CONTACTED, WRITTEN_TO = 1000, 500, 20
TWO_STEPS = f"""{PLAN}
[[steps]]
delay = "2d"
text = "Did you see it?"
"""
# What a command leaves, without the instants and tokens that differ from one run to the next.
LEFT = {
    "campaign": "id, state",
    "campaign_pause": "campaign_id, reason, mailbox_id",
    "campaign_sender": "id, mailbox_id, left_at IS NULL, left_reason, generation, assigned_count",
    "connection": "id, mailbox_id, state, generation, secret IS NULL, superseded_at IS NULL, daily_limit",
    "deadline": "id, kind, ended_by, stopped_count, reassigned_count,"
    " round((julianday(ends_at) - julianday(started_at)) * 86400)",
    "message": "id, recipient_id, mailbox_id, state, error_class",
    "recipient": "id, campaign_sender_id, state, reason, next_step, next_at IS NULL",
    "stopped": "campaign_id, address_hash",
    "event": "action, mailbox_id, campaign_id",
}
# Of the runner itself, which a killed one may have recorded once more.
ABOUT_RUNNERS = ("lane.freed", "runner.recovered")

WALLED = (
    "UPDATE recipient SET state = 'active' WHERE state = 'stopped'",
    "DELETE FROM recipient WHERE state = 'stopped'",
    "DELETE FROM stopped",
)


class Life:
    """Two mailboxes in a rotation, of which the first has written to half of its recipients.

    The first is also the single sender of another campaign.
    """

    def __init__(self, home: Path, inboxes: SandboxInfo, host: MailHost, gate: Gate, refusing: int) -> None:
        self.anna, self.ben = inboxes.senders[:2]
        self._gate, self._inboxes, self._refusing = gate, gate.behind, refusing
        self.servers = ("--smtp", host.endpoint, "--imap", gate.endpoint, "--security", "none")
        self._homes = (home / str(number) for number in count())
        self.ready = Ground(next(self._homes).with_name("ready"))
        self.ready.home.mkdir()
        self._begin(host)

    def _begin(self, host: MailHost) -> None:
        """Three hours ago; copies are used at the present."""
        ground = self.ready
        ground.program = self.console(ground).at(system_clock() - timedelta(hours=3))
        limits = ("--daily-limit", str(WRITTEN_TO + 1), "--gap", "0s")
        ground.connect(dict.fromkeys((self.anna, self.ben), host.endpoint), self.servers[3], *limits)
        (ground.home / "plan.toml").write_text(TWO_STEPS)
        rows = (f"person{n}@firm{n % 7}.example.com,Pia {n}\n" for n in range(2 * PEOPLE))
        (ground.home / "people.csv").write_text("email,name\n" + "".join(rows))
        run = ground.program.run
        run("campaign", "create", "plan.toml")
        run("recipient", "import", CAMPAIGN, "people.csv")
        run("campaign", "start", CAMPAIGN, "--from", self.anna, "--from", self.ben)
        (ground.home / "solo.toml").write_text(TWO_STEPS.replace(f'"{CAMPAIGN}"', '"solo"'))
        run("campaign", "create", "solo.toml", "--from", self.anna)
        run("recipient", "add", "solo", "kim@firm.example.com", "--field", "name=Kim")
        run("campaign", "start", "solo")
        run("run", "--once")
        with closing(sqlite3.connect(ground.database)) as database:
            database.execute(
                "UPDATE recipient SET state = 'active', next_step = 2 WHERE id IN"
                " (SELECT r.id FROM recipient r JOIN campaign_sender s ON s.id = r.campaign_sender_id"
                " JOIN mailbox b ON b.id = s.mailbox_id WHERE b.address = ? AND r.state = 'queued' LIMIT ?)",
                (self.anna, CONTACTED - WRITTEN_TO),
            )
            database.commit()

    def after(self, *commands: tuple[str, ...], ago: timedelta = timedelta()) -> Ground:
        """A copy of the beginning in which some commands ran a while ago."""
        ground = self.copy(self.ready)
        for command in commands:
            self.console(ground).at(system_clock() - ago).run(*command)
        return ground

    def failed(self) -> Ground:
        """A copy of the beginning in which the inbox server has refused the first mailbox's login."""
        ground = self.copy(self.ready)
        self._gate.behind = self._refusing
        self.console(ground).run("mailbox", "test", self.anna, check_status=5)
        self._gate.behind = self._inboxes
        return ground

    def console(self, ground: Ground) -> Console:
        """Its commands in this process, which is faster."""
        return Console(ground.home, {"MAILROTATE_PASSWORD": PASSWORD})

    def doing(self, what: str) -> tuple[Ground, tuple[str, ...]]:
        """A command of a mailbox's life, and the workspace in which it is typed."""
        disconnect = ("mailbox", "disconnect", self.anna, "--yes")
        if what == "disconnect":
            return self.after(), disconnect
        if what == "reconnect":
            return self.failed(), ("mailbox", "reconnect", self.anna, "--resume")
        away = self.after(disconnect)
        if what == "extend":
            return away, ("grace", "extend", self.anna, "--by", "2h")
        return away, ("mailbox", "connect", self.anna, *self.servers, "--rejoin", "--resume")

    def copy(self, ground: Ground) -> Ground:
        return ground.copy(next(self._homes))


@pytest.fixture(scope="module")
def life(inboxes: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with (
        MailHost() as host,
        Gate(inboxes.imap.port) as gate,
        Sandbox(password="another") as refusing,
    ):
        yield Life(tmp_path_factory.mktemp("lives"), inboxes, host, gate, refusing.info.imap.port)


def left(ground: Ground) -> dict[str, list[Any]]:
    """Everything that a command has left, in an order of its own."""
    found = {
        table: sorted(ground.rows(f"SELECT {columns} FROM {table}"), key=str)
        for table, columns in LEFT.items()
    }
    found["event"] = [row for row in found["event"] if row[0] not in ABOUT_RUNNERS]
    return found


def test_c9_a_settlement_that_is_killed_has_stopped_exactly_the_contacted_or_nobody(
    life: Life, strace: str
) -> None:
    disconnect = ("mailbox", "disconnect", life.anna, "--yes")
    began = life.after(disconnect, ago=timedelta(hours=2))
    before = left(began)
    contacted = _people(began, life.anna, "active")
    assert len(contacted) == CONTACTED
    command = ("run", "--once", "--only", "deadlines")
    unkilled = life.copy(began)
    points = durable_points(strace, unkilled, command)
    after = left(unkilled)
    seen = Counter[bool]()
    for ground, killed in killed_at(strace, lambda: life.copy(began), command, points):
        found = left(ground)
        assert found in (before, after), killed
        seen[found == after] += 1
        life.console(ground).run(*command)
        assert left(ground) == after, killed
        assert _people(ground, life.anna) == contacted == _people(ground, life.anna, "stopped"), killed
        _assert_settled(ground, killed)
    assert set(seen) == {False, True}, "before the settlement is committed, and after"


def _people(ground: Ground, mailbox: str, *states: str) -> set[int]:
    """List the recipients of a mailbox, in some states or in any."""
    found = ground.rows(
        "SELECT b.address, r.state, r.id FROM recipient r JOIN campaign_sender s"
        " ON s.id = r.campaign_sender_id JOIN mailbox b ON b.id = s.mailbox_id"
    )
    return {
        number for address, state, number in found if address == mailbox and state in (states or (state,))
    }


def _assert_settled(ground: Ground, killed: str) -> None:
    """Each stopped recipient has its mark, there is one event, and the walls hold."""
    marked = "SELECT count(*) FROM recipient JOIN stopped USING (campaign_id, address_hash)"
    assert ground.rows(f"{marked} WHERE state = 'stopped'") == [(CONTACTED,)], killed
    assert ground.rows("SELECT count(*) FROM stopped") == [(CONTACTED,)], killed
    assert ground.rows("SELECT count(*) FROM event WHERE action = 'grace.ended'") == [(1,)], killed
    with closing(sqlite3.connect(ground.database)) as database:
        for change in WALLED:
            with pytest.raises(sqlite3.IntegrityError):
                database.execute(change)


@pytest.mark.parametrize("doing", ["disconnect", "reconnect", "rejoin", "extend"])
def test_c3_c8_c12_a_command_of_a_life_that_is_killed_has_done_nothing_or_everything(
    life: Life, strace: str, doing: str
) -> None:
    began, command = life.doing(doing)
    before = left(began)
    unkilled = life.copy(began)
    # At a sync the pages of its transaction are written: with one point for each, every state in between.
    points = [point for point in durable_points(strace, unkilled, command) if point[0] == "fdatasync"]
    after = left(unkilled)
    assert after != before
    seen = Counter[bool]()
    for ground, killed in killed_at(strace, lambda: life.copy(began), command, points):
        found = left(ground)
        assert found in (before, after), killed
        seen[found == after] += 1
        if found == before:
            life.console(ground).run(*command)
            assert left(ground) == after, killed
        life.console(ground).run("run", "--once", "--only", "deadlines")
        assert ground.rows("SELECT count(*) FROM stopped") == [(0,)], killed
    assert set(seen) == {False, True}, "before it is committed, and after"
