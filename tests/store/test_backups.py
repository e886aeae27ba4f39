"""F3: a copy of the database, and the way back without sending anything twice."""

import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from mailrotate.core.rules.transitions import USER
from mailrotate.core.store import tables as t
from mailrotate.core.store import workspaces
from mailrotate.core.store.backups import back_up, restore
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.events import Actor
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.schema import check_database
from mailrotate.core.store.sending import liveness, send_mark, sending_mailboxes
from mailrotate.core.values.errors import BadInput, Busy, MailrotateError, NotFound, Refused, StoreTrouble
from mailrotate.core.values.states import Role, SuppressionKind
from tests.support.rows import NOW, Sender, Workspace

SOMEBODY = Actor(None, "ada")
KIM = "kim@example.com"


@pytest.fixture
def filled(sqlite_store: Store) -> Workspace:
    with sqlite_store.writing() as connection:
        workspaces.create(connection, "test", "UTC", NOW)
        admin = workspaces.add_user(connection, USER["add"], "admin@example.org", "Ada", Role.ADMIN, NOW)
    made = Workspace(sqlite_store, admin)
    made.add_mailbox("anna@example.org")
    return made


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def test_a_backup_is_a_whole_private_database_in_one_file(filled: Workspace, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    with filled.store.writing() as connection:
        # While somebody writes: what is not committed is not in it.
        workspaces.set_setting(connection, "k", "v")
        back_up(filled.store, target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert {name for name in names(tmp_path) if name.startswith("backup")} == {"backup.db"}
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT address FROM mailbox").fetchall() == [("anna@example.org",)]
        assert copy.execute("SELECT * FROM setting").fetchall() == []


def test_a_backup_overwrites_nothing(filled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "there.db").write_text("mine")
    with pytest.raises(BadInput) as refused:
        back_up(filled.store, tmp_path / "there.db")
    assert refused.value.code == "backup.exists"
    assert (tmp_path / "there.db").read_text() == "mine"


def test_a_backup_that_cannot_be_written_says_where(filled: Workspace, tmp_path: Path) -> None:
    with pytest.raises(StoreTrouble) as refused:
        back_up(filled.store, tmp_path / "nowhere" / "backup.db")
    assert refused.value.code == "backup.failed"


def test_postgresql_is_left_to_its_own_tools(postgresql_store: Store, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        back_up(postgresql_store, tmp_path / "backup.db")
    assert "pg_dump" in str(refused.value.hint)
    with pytest.raises(Refused) as refused:
        restore(postgresql_store, tmp_path / "backup.db", SOMEBODY, NOW)
    assert "pg_restore" in str(refused.value.hint)


def test_f3_after_a_restore_the_workspace_sends_nothing_until_sent_mail_was_compared(
    filled: Workspace, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    back_up(filled.store, backup)
    os.utime(backup, (NOW.timestamp(), NOW.timestamp()))
    before = backup.read_bytes()
    late = filled.add_user("late@example.org")
    kept = restore(filled.store, backup, Actor(late.id, "late"), NOW + timedelta(hours=1))

    assert kept.name == "mailrotate.db.before-restore-20261201T100000Z"
    assert backup.read_bytes() == before
    assert names(tmp_path) == {"backup.db", kept.name, "mailrotate.db", "mailrotate.db.runners"}
    store = open_store(str(filled.store.path))
    with store.reading() as connection:
        held_since = send_mark.held_since(connection)
        event = connection.execute(select(t.event).where(t.event.c.action == "database.restored")).one()
        assert workspaces.user_by_email(connection, "late@example.org") is None
    assert held_since == NOW, "the latest instant that the backup knows"
    assert (event.actor_id, event.os_user) == (None, "late")
    assert check_database(store) == []
    store.close()
    with closing(sqlite3.connect(kept)) as copy:
        assert copy.execute("SELECT count(*) FROM user").fetchone() == (2,)


@pytest.fixture
def kim(filled: Workspace) -> int:
    """A recipient of a campaign, with a message that waits."""
    with filled.store.reading() as connection:
        box = connection.execute(
            select(t.connection.c.mailbox_id, t.connection.c.slot_id, t.connection.c.id)
        ).one()
    anna = Sender(box[0], "anna@example.org", box[1], box[2])
    campaign = filled.add_campaign("autumn", [anna])
    person = filled.add_recipient(campaign, KIM, next_at=NOW)
    filled.add_message(anna, campaign, person, to=KIM)
    return person


def stop(store: Store, recipient_id: int) -> None:
    """As C9 has it: the state, and the tombstone that outlives the recipient."""
    with store.writing() as connection:
        own = update(t.recipient).where(t.recipient.c.id == recipient_id)
        connection.execute(own.values(state="stopped", reason="stopped", next_at=None, ended_at=NOW))
        mark = {"campaign_id": 1, "address_hash": suppressions.fingerprint(KIM), "stopped_at": NOW}
        connection.execute(insert(t.stopped).values(**mark))


def suppress(store: Store, *values: str, by: int | None = None) -> None:
    with store.writing() as connection:
        for value in values:
            kind = SuppressionKind.ADDRESS if "@" in value else SuppressionKind.DOMAIN
            how = {"reason": "by_hand", "source": "cli", "added_by": by, "now": NOW}
            suppressions.add(connection, kind, value, **how)


def restored(store: Store, backup: Path) -> tuple[list[str | None], list[tuple[str, int]], list[str]]:
    """The suppressions, the recipients with their tombstones, and the messages, after a restore."""
    restore(store, backup, SOMEBODY, NOW + timedelta(hours=1))
    again = open_store(str(store.path))
    with again.reading() as connection:
        values = connection.execute(select(t.suppression.c.value).order_by(t.suppression.c.id)).scalars()
        marks = connection.execute(select(func.count()).select_from(t.stopped)).scalar_one()
        people = [(state, marks) for state in connection.execute(select(t.recipient.c.state)).scalars()]
        messages = list(connection.execute(select(t.message.c.state)).scalars())
        found = list(values), people, messages
    assert check_database(again) == []
    again.close()
    return found


def test_f3_a_restore_carries_over_suppressions_and_stopped_marks_of_the_present_database(
    filled: Workspace, kim: int, tmp_path: Path
) -> None:
    suppress(filled.store, "old@example.com")
    back_up(filled.store, tmp_path / "backup.db")
    late = filled.add_user("late@example.org")
    suppress(filled.store, "new@example.com", "spam.example.com", "old@example.com", by=late.id)
    stop(filled.store, kim)
    assert restored(filled.store, tmp_path / "backup.db") == (
        ["old@example.com", "new@example.com", "spam.example.com"],
        [("stopped", 1)],
        ["cancelled"],
    )


def test_f3_a_restore_carries_over_what_only_a_hash_is_left_of(
    filled: Workspace, kim: int, tmp_path: Path
) -> None:
    """The value of an erased contact is gone, and its suppression holds by the hash."""
    back_up(filled.store, tmp_path / "backup.db")
    suppress(filled.store, KIM)
    with filled.store.writing() as connection:
        connection.execute(update(t.suppression).values(value=None))
    values, _, _ = restored(filled.store, tmp_path / "backup.db")
    assert values == [None]
    again = open_store(str(filled.store.path))
    with again.reading() as connection:
        assert connection.execute(select(t.suppression.c.hash)).scalars().all() == [
            suppressions.fingerprint(KIM)
        ]
    again.close()


def test_f3_a_person_who_was_stopped_before_the_backup_and_after_it_is_stopped_once(
    filled: Workspace, kim: int, tmp_path: Path
) -> None:
    stop(filled.store, kim)
    back_up(filled.store, tmp_path / "backup.db")
    assert restored(filled.store, tmp_path / "backup.db")[1] == [("stopped", 1)]


def test_f3_nothing_is_carried_over_from_the_database_of_another_workspace(
    filled: Workspace, kim: int, tmp_path: Path
) -> None:
    back_up(filled.store, tmp_path / "backup.db")
    suppress(filled.store, "new@example.com")
    stop(filled.store, kim)
    with filled.store.writing() as connection:
        connection.execute(update(t.workspace).values(identity="another"))
    assert restored(filled.store, tmp_path / "backup.db") == ([], [("queued", 0)], ["scheduled"])


def test_a_restore_waits_for_no_runner(filled: Workspace, tmp_path: Path) -> None:
    back_up(filled.store, tmp_path / "backup.db")
    runner = liveness.register(filled.store, "run", NOW, "here")
    with pytest.raises(Busy) as refused:
        restore(filled.store, tmp_path / "backup.db", SOMEBODY, NOW)
    assert refused.value.code == "runner.busy"
    runner.end(NOW)
    restore(filled.store, tmp_path / "backup.db", SOMEBODY, NOW)


def test_a_damaged_database_can_still_be_replaced(filled: Workspace, tmp_path: Path) -> None:
    back_up(filled.store, tmp_path / "backup.db")
    filled.store.close()
    assert filled.store.path is not None
    filled.store.path.write_bytes(b"not a database at all " * 500)
    kept = restore(filled.store, tmp_path / "backup.db", SOMEBODY, NOW)
    assert kept.read_bytes().startswith(b"not a database")
    assert check_database(filled.store) == []


def broken(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(bytes(content))


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()


def other(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE ledger (id INTEGER)")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda path: path.unlink(), "restore.no_file"),
        (lambda path: path.write_bytes(b""), "restore.empty"),
        (lambda path: path.write_text("no database " * 1000), "restore.damaged"),
        (newer, "store.newer"),
        (other, "store.not_ours"),
    ],
)
def test_a_file_that_is_no_backup_of_ours_changes_nothing(
    filled: Workspace, tmp_path: Path, spoil: object, code: str
) -> None:
    backup = tmp_path / "backup.db"
    back_up(filled.store, backup)
    spoil(backup)  # type: ignore[operator]  # a function of the table above
    with pytest.raises(MailrotateError) as refused:
        restore(filled.store, backup, SOMEBODY, NOW)
    assert refused.value.code == code
    assert isinstance(refused.value, NotFound | BadInput | StoreTrouble)
    assert "restoring" not in " ".join(names(tmp_path))
    with filled.store.reading() as connection:
        assert sending_mailboxes.listing(connection)[0].health.hold_reason is None


def test_a_backup_with_damaged_pages_is_refused(filled: Workspace, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    back_up(filled.store, backup)
    broken(backup)
    with pytest.raises(MailrotateError) as refused:
        restore(filled.store, backup, SOMEBODY, NOW)
    assert refused.value.code in ("restore.damaged", "store.damaged")
    with filled.store.reading() as connection:
        assert sending_mailboxes.listing(connection)[0].health.hold_reason is None
