"""F3, H1: every sync of the disk takes long, and two processes write all the time; both get their turn."""

import smtplib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailrotate.sandbox.server import SandboxInfo
from tests.proof.ground import Ground
from tests.proof.mail_host import MailHost

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

LANES, PEOPLE = 10, 100
SYNC_MICROSECONDS = 10_000
# Each is a program that tags a contact again and again until told to stop, and says how each write ended.
LOOP = """
import sys
from itertools import count
from select import select

for number in count():
    print(write(f"round{number}"), flush=True)
    if select([sys.stdin], [], [], 0)[0]:
        break
"""
WRITERS = {
    "commands": """
from contextlib import redirect_stdout
from io import StringIO
from mailrotate.cli.main import main

def write(tag):
    try:
        with redirect_stdout(StringIO()):
            main(["contact", "tag", tag, "person1@firm.example.com"])
    except SystemExit as ended:
        return ended.code
""",
    # Nothing but transactions, so that the runner nearly always finds the lock taken.
    "transactions": """
import os
from sqlalchemy import text
from mailrotate.core.store.engine import open_store

store = open_store(os.environ["MAILROTATE_DB"])

def write(tag):
    with store.writing() as connection:
        connection.execute(text("INSERT INTO contact_tag (contact_id, tag) VALUES (1, :tag)"), {"tag": tag})
    return 0
""",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_f3_h1_on_a_slow_disk_nothing_is_lost_and_every_writer_gets_its_turn(
    writer: str, inboxes: SandboxInfo, strace: str, tmp_path: Path
) -> None:
    ground = Ground(tmp_path)
    with MailHost() as host:
        mailboxes = _open_inboxes(inboxes)
        endpoint = f"{inboxes.imap.host}:{inboxes.imap.port}"
        ground.connect(dict.fromkeys(mailboxes, host.endpoint), endpoint, "--gap", "0s")
        ground.start_campaign(PEOPLE, mailboxes)
        with _writing(ground, WRITERS[writer] + LOOP, _slow_disk(strace, tmp_path / "writer")) as statuses:
            before = _tags(ground)
            runner = ground.program.started_by(*_slow_disk(strace, tmp_path / "runner"))
            report = runner.run("run", "--once", "--json").json()
            between = _tags(ground) - before
    assert report["sent"] == PEOPLE
    letters = ground.letters()
    assert Counter(host.taken_ids()) == Counter(one.message_id for one in letters), "each exactly once"
    assert ground.states() == {"sent": PEOPLE}
    assert Counter(one.mailbox for one in letters) == dict.fromkeys(mailboxes, PEOPLE // LANES)
    # Who waits for longer than the limit is refused: that would be another status, or a trouble of the pass.
    assert statuses == ["0"] * _tags(ground)
    assert between > 0
    for name in ("writer", "runner"):
        assert (tmp_path / name).read_text().count("(DELAYED)") > 0, name


def _open_inboxes(sandbox: SandboxInfo) -> list[str]:
    """Send a mail to each sender, because the sandbox makes a mailbox for each recipient."""
    addresses = [f"sender{number}@example.org" for number in range(LANES)]
    with smtplib.SMTP(sandbox.smtp.host, sandbox.smtp.port) as server:
        server.login(sandbox.senders[0], sandbox.password)
        server.sendmail(sandbox.senders[0], addresses, b"Subject: hello\r\n\r\nhello\r\n")
    return addresses


def _slow_disk(strace: str, log: Path) -> list[str]:
    slow = f"inject=fdatasync:delay_enter={SYNC_MICROSECONDS}"
    return [strace, "-f", "-o", str(log), "-e", "trace=fdatasync", "-e", slow]


@contextmanager
def _writing(ground: Ground, script: str, starter: list[str]) -> Iterator[list[str]]:
    """A second process that writes from before the block to its end; then yields how its writes ended."""
    statuses: list[str] = []
    writer = subprocess.Popen(
        [*starter, sys.executable, "-W", "error", "-c", script],
        env=ground.program.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout is not None
        statuses.append(writer.stdout.readline().strip())
        yield statuses
    finally:
        said, errors = writer.communicate("stop")
    statuses += said.split()
    assert errors == ""


def _tags(ground: Ground) -> int:
    ((number,),) = ground.rows("SELECT count(*) FROM contact_tag WHERE tag LIKE 'round%'")
    return int(number)
