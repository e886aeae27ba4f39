"""F3: a thousand people, and a runner that is killed fifty times on the way."""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mailrotate.sandbox.server import SandboxInfo
from tests.proof.ground import Ground
from tests.proof.mail_host import MailHost

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

PEOPLE, KILLS = 1000, 50
# A message takes eight: before and after each of four replies.
MOST_MOMENTS = 240


class Fuse:
    """Kills a process once the servers have reached so many moments."""

    def __init__(self, moments: int) -> None:
        self.pid = 0
        self._left = moments
        self._guard = threading.Lock()

    def burn(self, moment: str) -> None:
        if moment == "content":
            return
        with self._guard:
            self._left -= 1
            if self._left == 0:
                os.kill(self.pid, signal.SIGKILL)


@pytest.fixture
def hosts() -> Iterator[list[MailHost]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MailHost()) for _ in range(3)]


def test_f3_fifty_random_kills_over_a_thousand_people(
    inboxes: SandboxInfo, hosts: list[MailHost], tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    ground = Ground(tmp_path)
    mailboxes = {address: host.endpoint for address, host in zip(inboxes.senders, hosts, strict=True)}
    endpoint = f"{inboxes.imap.host}:{inboxes.imap.port}"
    ground.connect(mailboxes, endpoint, "--gap", "0s")
    ground.start_campaign(PEOPLE, list(mailboxes))

    unknown = _kill_again_and_again(ground, hosts, random.Random(seed))
    ground.program.run("run", "--once")

    letters = ground.letters()
    states = Counter(letter.state for letter in letters)
    assert states["sent"] + states["held"] == PEOPLE == len(letters), f"seed {seed}: {states}"
    held = {letter.message_id for letter in letters if letter.state == "held"}
    assert held == unknown, f"seed {seed}: these were marked at a death: {unknown}; these are held: {held}"
    taken = Counter(message_id for host in hosts for message_id in host.taken_ids())
    assert set(taken.values()) == {1}, f"seed {seed}: {taken.most_common(3)}"
    sent = {letter.message_id for letter in letters if letter.state == "sent"}
    assert sent <= set(taken) <= sent | held, f"seed {seed}"

    for way, chosen in (("--sent", held & set(taken)), ("--not-sent", held - set(taken))):
        ids = [f"m_{letter.id}" for letter in letters if letter.message_id in chosen]
        if ids:
            ground.program.run("outbox", "resolve", *ids, way)
    ground.program.run("run", "--once")
    assert ground.states() == {"sent": PEOPLE}, f"seed {seed}"
    assert ground.rows("SELECT id FROM runner WHERE ended_at IS NULL") == [], f"seed {seed}"
    people = Counter(one.recipient for host in hosts for one in host.taken)
    assert len(people) == people.total() == PEOPLE, f"seed {seed}: {people.most_common(3)}"
    assert [host.most_open for host in hosts] == [1, 1, 1], f"seed {seed}"


def _kill_again_and_again(ground: Ground, hosts: list[MailHost], chance: random.Random) -> set[str]:
    """Returns the Message-IDs whose fate nobody can know: marked, and not settled at a death."""
    unknown: set[str] = set()
    for number in range(KILLS):
        fuse = Fuse(chance.randint(1, MOST_MOMENTS))
        process = ground.program.start("run", "--once")
        fuse.pid = process.pid
        for host in hosts:
            host.watch = fuse.burn
        said = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, f"kill {number}: it ended by itself: {said}"
        left = [letter for letter in ground.letters() if letter.state == "sending" and letter.marked]
        assert len({letter.mailbox for letter in left}) == len(left), f"kill {number}: {left}"
        unknown |= {letter.message_id for letter in left}
    for host in hosts:
        host.watch = lambda moment: None
    return unknown
