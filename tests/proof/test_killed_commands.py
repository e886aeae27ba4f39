"""F3, I1: commands that are killed leave what was before or what should be, and run well the next time."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from mailrotate.sandbox.server import SandboxInfo
from tests.proof.ground import ADMIN, CAMPAIGN, PLAN, Ground
from tests.proof.kills import killed_runs
from tests.proof.mail_host import MailHost

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

PEOPLE = 2000


@pytest.fixture(scope="module")
def host() -> Iterator[MailHost]:
    with MailHost() as made:
        yield made


@pytest.fixture(scope="module")
def ready(inboxes: SandboxInfo, host: MailHost, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Two mailboxes and a draft without people."""
    ground = Ground(tmp_path_factory.mktemp("ready"))
    endpoint = f"{inboxes.imap.host}:{inboxes.imap.port}"
    ground.connect(dict.fromkeys(inboxes.senders[:2], host.endpoint), endpoint)
    (ground.home / "plan.toml").write_text(PLAN)
    ground.program.run("campaign", "create", "plan.toml")
    return ground


@pytest.fixture
def fresh(ready: Ground, tmp_path: Path) -> Callable[[], Ground]:
    numbers = count()
    return lambda: ready.copy(tmp_path / str(next(numbers)))


def test_d8_a_killed_import_has_put_in_nobody_or_everybody(
    fresh: Callable[[], Ground], strace: str, tmp_path: Path
) -> None:
    people = tmp_path / "people.csv"
    rows = (f"person{n}@firm{n % 7}.example.com,Pia {n}\n" for n in range(PEOPLE))
    people.write_text("email,name\n" + "".join(rows))
    command = ("recipient", "import", CAMPAIGN, str(people))
    for ground, killed in killed_runs(strace, fresh, command, "pwrite64", "fdatasync"):
        before = _people(ground)
        assert before in (0, PEOPLE), killed
        report = ground.program.run(*command, "--json", check_status=8 if before else 0).json()
        assert (report["imported"], report["duplicate"]) == (PEOPLE - before, before), killed
        assert _people(ground) == PEOPLE, killed
        ground.program.run("db", "check")
        assert _leftovers(ground) == set(), killed


def test_i1_a_killed_rekey_leaves_keys_that_open_every_row(fresh: Callable[[], Ground], strace: str) -> None:
    command = ("secret", "rekey")
    for ground, killed in killed_runs(strace, fresh, command, "pwrite64", "fdatasync", "fsync", "rename"):
        # It opens every row by the keys that are left.
        again = ground.program.run("secret", "rekey", check_status=None)
        assert again.status == 0, f"{killed}: {again.stderr}"
        ground.program.run("mailbox", "test", "--all")


def test_f3_a_killed_backup_is_no_file_that_looks_like_one(fresh: Callable[[], Ground], strace: str) -> None:
    command = ("db", "backup", "copy.db")
    for ground, killed in killed_runs(strace, fresh, command, "pwrite64", "fdatasync"):
        if (ground.home / "copy.db").exists():
            # It may have been killed after its work was done.
            Ground(ground.home, {"MAILROTATE_DB": str(ground.home / "copy.db")}).program.run("db", "check")
            (ground.home / "copy.db").unlink()
        ground.program.run(*command)
        assert _leftovers(ground) == {"copy.db"}, killed


def test_a6_a_killed_init_keeps_nobody_from_connecting(
    inboxes: SandboxInfo, host: MailHost, strace: str, tmp_path: Path
) -> None:
    numbers = count()

    def empty() -> Ground:
        home = tmp_path / str(next(numbers))
        home.mkdir()
        return Ground(home)

    command = ("init", "--email", ADMIN, "--name", "Anna Example")
    for ground, killed in killed_runs(strace, empty, command, "pwrite64", "link"):
        made_already = 4
        again = ground.program.run(*command, check_status=None)
        assert again.status in (0, made_already), f"{killed}: {again.stderr}"
        assert ground.rows("SELECT key_check IS NULL FROM workspace") == [(0,)], killed
        ground.program.run("db", "check")
        # Also the key, which comes after the workspace.
        ground.program.run(
            "mailbox", "connect", inboxes.senders[0], "--smtp", host.endpoint,
            "--imap", f"{inboxes.imap.host}:{inboxes.imap.port}", "--security", "none",
        )  # fmt: skip


def test_b8_a_killed_removal_has_changed_nothing_or_everything(
    ready: Ground, inboxes: SandboxInfo, strace: str, tmp_path: Path
) -> None:
    """Half of the people of the mailbox were contacted and fail; the other half goes to the other mailbox."""
    anna, ben = inboxes.senders[:2]
    began = ready.copy(tmp_path / "began")
    rows = (f"person{n}@firm{n % 7}.example.com,Pia {n}\n" for n in range(PEOPLE))
    (began.home / "people.csv").write_text("email,name\n" + "".join(rows))
    began.program.run("recipient", "import", CAMPAIGN, "people.csv")
    began.program.run("campaign", "start", CAMPAIGN, "--from", anna, "--from", ben)
    with closing(sqlite3.connect(began.database)) as database:
        database.execute("UPDATE recipient SET state = 'active' WHERE id % 4 < 2")
        database.commit()
    before = _ways(began)
    assert sum(count for _, _, count in before[1:]) == PEOPLE
    numbers = count()
    command = ("mailbox", "remove", anna, "--tag", "annas", "--yes")
    after: list[tuple[object, ...]] = []
    for ground, killed in killed_runs(
        strace, lambda: began.copy(tmp_path / str(next(numbers))), command, "pwrite64", "fdatasync"
    ):
        found = _ways(ground)
        if found == before:
            ground.program.run(*command)
            found = _ways(ground)
        after = after or found
        assert found == after, killed
        ground.program.run("db", "check")
    assert after
    assert after != before


def _ways(ground: Ground) -> list[tuple[object, ...]]:
    """Whether a mailbox is removed, and how many people each sender has in each state."""
    (seat,) = ground.rows(
        "SELECT count(removed_at), (SELECT count(*) FROM seat_address),"
        " (SELECT count(*) FROM contact_tag) FROM mailbox"
    )
    return [
        seat,
        *ground.rows("SELECT campaign_sender_id, state, count(*) FROM recipient GROUP BY 1, 2 ORDER BY 1, 2"),
    ]


def _people(ground: Ground) -> int:
    ((number,),) = ground.rows("SELECT count(*) FROM recipient")
    assert ground.rows("SELECT count(*) FROM contact") == [(number,)]
    return int(number)


def _leftovers(ground: Ground) -> set[str]:
    """What lies beside the workspace's own files."""
    own = {"workspace.db", "workspace.db-wal", "workspace.db-shm", "workspace.db.runners", "workspace.key"}
    return {path.name for path in ground.home.iterdir()} - own
