"""H1, F3: four runners share one PostgreSQL, and every second one of them is killed."""

import os
import random
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mailrotate.core.values.clock import system_clock
from mailrotate.sandbox.server import SandboxInfo
from tests.proof.ground import Letter, SharedGround
from tests.proof.mail_host import MailHost
from tests.support.databases import PostgresqlServer

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

RUNNERS, KILLS, PEOPLE = 4, 60, 240
GAP_SECONDS, DAILY_LIMIT = 1.0, 12
# Between a mark and its dot a busy machine may let this pass; the gap counts from the mark (B4).
MARK_TO_DOT = 0.3


class Crew:
    """Runners of one workspace, of which any may be killed and replaced."""

    def __init__(self, ground: SharedGround, chance: random.Random) -> None:
        self._ground, self._chance = ground, chance
        self._processes: list[subprocess.Popen[str]] = []
        self._listening: list[threading.Thread] = []
        self.said: list[str] = []

    def hire(self) -> None:
        process = self._ground.program.start("run", "--every", "1s")
        self._processes.append(process)
        # What it says must be read, or it would wait for a reader.
        listening = threading.Thread(target=self._listen, args=(process,))
        listening.start()
        self._listening.append(listening)

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        self.said.append(process.communicate()[1])

    def replace_one(self) -> None:
        victim = self._processes.pop(self._chance.randrange(len(self._processes)))
        assert victim.poll() is None, f"it ended by itself: {self.said[-5:]}"
        victim.kill()
        victim.wait()
        self.hire()

    def retire(self) -> list[int]:
        """End all politely once each is at work; their exit statuses."""
        begun = threading.Event()
        while not {process.pid for process in self._processes} <= self._at_work():
            assert [process.poll() for process in self._processes] == [None] * RUNNERS, self.said[-5:]
            begun.wait(0.2)
        for process in self._processes:
            process.terminate()
        return [process.wait(60) for process in self._processes]

    def _at_work(self) -> set[int]:
        return {pid for (pid,) in self._ground.rows("SELECT pid FROM runner WHERE ended_at IS NULL")}

    def dismiss(self) -> None:
        for process in self._processes:
            process.kill()
        for listening in self._listening:
            listening.join(10)


@pytest.fixture
def hosts() -> Iterator[list[MailHost]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MailHost()) for _ in range(3)]


@pytest.fixture
def ground(
    postgresql: PostgresqlServer, inboxes: SandboxInfo, hosts: list[MailHost], tmp_path: Path
) -> Iterator[SharedGround]:
    """anna, ben and clara on PostgreSQL; clara may send a few a day."""
    name = f"proof_{os.getpid()}_many"
    made = SharedGround(tmp_path, postgresql.make(name))
    mailboxes = {address: host.endpoint for address, host in zip(inboxes.senders, hosts, strict=True)}
    made.connect(mailboxes, f"{inboxes.imap.host}:{inboxes.imap.port}", "--gap", "1s")
    made.program.run(
        "mailbox", "set", inboxes.senders[2],
        "--daily-limit", str(DAILY_LIMIT), "--timezone", _zone_at_noon(),
    )  # fmt: skip
    made.start_campaign(PEOPLE, inboxes.senders)
    yield made
    postgresql.drop(name)


def test_h1_four_runners_one_of_them_killed_every_second(
    ground: SharedGround, inboxes: SandboxInfo, hosts: list[MailHost]
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    crew = Crew(ground, random.Random(seed))
    try:
        for _ in range(RUNNERS):
            crew.hire()
        clockwork = threading.Event()
        for _ in range(KILLS):
            clockwork.wait(1.0)  # the rhythm is what is being proved
            crew.replace_one()
        assert crew.retire() == [0] * RUNNERS, f"seed {seed}: {crew.said[-5:]}"
    finally:
        crew.dismiss()
    ground.program.run("run", "--once")
    assert ground.rows("SELECT id FROM runner WHERE ended_at IS NULL") == [], f"seed {seed}"

    letters = {letter.message_id: letter for letter in ground.letters()}
    taken = Counter(message_id for host in hosts for message_id in host.taken_ids())
    assert set(taken.values()) == {1}, f"twice at the server, seed {seed}: {taken.most_common(3)}"
    _assert_nothing_lost(ground, letters, set(taken), seed)
    assert [host.most_open for host in hosts] == [1, 1, 1], f"connections at a time, seed {seed}"
    counts = [len(host.taken) for host in hosts]
    assert min(counts[:2]) > DAILY_LIMIT, f"too little was sent to prove anything, seed {seed}: {counts}"
    assert counts[2] <= DAILY_LIMIT, f"daily limit, seed {seed}: {counts}"
    counted = [one for one in letters.values() if one.mailbox == inboxes.senders[2] and _counts(one)]
    assert len(counted) == DAILY_LIMIT, f"the day's room was not used, seed {seed}: {len(counted)}"
    for host in hosts:
        _assert_gaps(host, letters, seed)


def _zone_at_noon() -> str:
    """So that no midnight gives a second day's room. The signs of these names are POSIX's: + is west."""
    return f"Etc/GMT{system_clock().hour - 12:+d}"


def _counts(letter: Letter) -> bool:
    return letter.state in ("sent", "sending", "held")


def _assert_nothing_lost(
    ground: SharedGround, letters: dict[str, Letter], taken: set[str], seed: int
) -> None:
    states = Counter(letter.state for letter in letters.values())
    assert set(states) <= {"sent", "held", "scheduled"}, f"seed {seed}: {states}"
    sent = {one.message_id for one in letters.values() if one.state == "sent"}
    held = {one.message_id for one in letters.values() if one.state == "held"}
    assert sent <= taken <= sent | held, f"seed {seed}: {states}"
    done = {one.to for one in letters.values() if one.state in ("sent", "held")}
    waiting = {
        address
        for (address,) in ground.rows(
            "SELECT c.address FROM recipient r JOIN contact c ON c.id = r.contact_id WHERE r.state = 'queued'"
        )
    }
    held_people = {one.to for one in letters.values() if one.state == "held"}
    assert len(done | waiting) == PEOPLE, f"seed {seed}: {len(done)} written to, {len(waiting)} wait"
    assert done & waiting <= held_people, f"seed {seed}"
    assert states["held"] <= KILLS * len({one.mailbox for one in letters.values()}), f"seed {seed}: {states}"


def _assert_gaps(host: MailHost, letters: dict[str, Letter], seed: int) -> None:
    """From a message's answer to the next one's dot; from its dot when nobody recorded the answer."""
    for before, after in zip(host.taken, host.taken[1:], strict=False):
        recorded = letters[before.message_id].state == "sent" and before.answered_at is not None
        rest = after.dot_at - (before.answered_at if recorded and before.answered_at else before.dot_at)
        allowed = GAP_SECONDS if recorded else GAP_SECONDS - MARK_TO_DOT
        assert rest >= allowed, f"seed {seed}: {rest:.3f} s after {before.message_id}, recorded: {recorded}"
