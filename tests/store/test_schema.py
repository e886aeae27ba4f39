"""The schema on both databases: migrations, walls, and what a database that is not ours is told."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from mailrotate.core.store import tables as t
from mailrotate.core.store.backups import upgrade
from mailrotate.core.store.engine import Store
from mailrotate.core.store.rows import METADATA
from mailrotate.core.store.schema import REVISIONS, check_database, migrate, require_current
from mailrotate.core.store.triggers import missing_triggers
from mailrotate.core.values.errors import Refused, StoreTrouble
from mailrotate.core.values.hint import Command
from tests.support.rows import NOW, Workspace

VERSIONS = Path(__file__).parents[2] / "src/mailrotate/core/store/migrations/versions"


def test_models_and_migrations_agree(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, METADATA) == []


def test_partial_indexes_have_the_same_conditions_on_both_databases() -> None:
    """The declarations name them for SQLite alone, and no comparison of Alembic's looks at them."""
    written = "".join(path.read_text(encoding="utf-8") for path in VERSIONS.glob("[0-9]*.py"))
    on_sqlite, on_postgresql = (
        re.findall(rf'{dialect}_where=sa\.text\("([^"]+)"\)', written) for dialect in ("sqlite", "postgresql")
    )
    declared = [
        str(index.dialect_options["sqlite"]["where"])
        for table in METADATA.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    ]
    assert sorted(on_sqlite) == sorted(on_postgresql) == sorted(declared)


def test_revisions_are_the_files_of_the_folder() -> None:
    numbered = sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))
    assert list(REVISIONS) == numbered


def test_every_wall_stands_after_a_migration(empty_store: Store) -> None:
    migrate(empty_store)
    with empty_store.reading() as connection:
        assert missing_triggers(connection) == []
    assert check_database(empty_store) == []


def test_migrating_twice_changes_nothing(store: Store, workspace: Workspace) -> None:
    migrate(store)
    assert upgrade(store, NOW) is None
    with store.reading() as connection:
        assert require_current(connection)
        assert connection.execute(t.user.select()).one().email == workspace.admin.email


def test_foreign_keys_hold_before_and_after_a_migration(store: Store) -> None:
    migrate(store)
    with pytest.raises(DBAPIError), store.writing() as connection:
        connection.execute(insert(t.lane).values(mailbox_id=999, token=0))


def test_a_missing_wall_is_found(store: Store) -> None:
    with store.writing() as connection:
        table = "" if store.is_sqlite else " ON event"
        connection.execute(text(f"DROP TRIGGER wall_event_update{table}"))
    assert check_database(store) == ["trigger: wall_event_update is missing"]


def test_c9_no_statement_wakes_a_stopped_recipient(store: Store, workspace: Workspace) -> None:
    mailbox = workspace.add_mailbox("anna@example.org")
    campaign = workspace.add_campaign(mailboxes=[mailbox])
    recipient = workspace.add_recipient(campaign, "kim@example.com", state="stopped")
    for state in ("queued", "active", "finished", "replied"):
        with pytest.raises(DBAPIError, match="stays stopped"), store.writing() as connection:
            connection.execute(update(t.recipient).where(t.recipient.c.id == recipient).values(state=state))
    with store.writing() as connection:
        # What is no change of the state goes through: an erasure must be able to empty the fields.
        connection.execute(update(t.recipient).where(t.recipient.c.id == recipient).values(fields="{}"))


def test_c9_a_tombstone_is_neither_changed_nor_removed(store: Store, workspace: Workspace) -> None:
    campaign = workspace.add_campaign(mailboxes=[workspace.add_mailbox("anna@example.org")])
    with store.writing() as connection:
        connection.execute(
            insert(t.stopped).values(campaign_id=campaign.id, address_hash="ab", stopped_at=NOW)
        )
    for statement in (update(t.stopped).values(address_hash="cd"), delete(t.stopped)):
        with pytest.raises(DBAPIError, match="a tombstone stays"), store.writing() as connection:
            connection.execute(statement)


def test_the_log_only_grows(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(insert(t.event).values(at=NOW, action="test.happened", data="{}"))
    for statement in (update(t.event).values(action="other"), delete(t.event)):
        with pytest.raises(DBAPIError, match="append-only"), store.writing() as connection:
            connection.execute(statement)


def test_an_empty_database_is_told_from_a_current_one(empty_store: Store) -> None:
    with empty_store.reading() as connection:
        assert require_current(connection) is False
        # The transaction goes on: on PostgreSQL a failed statement would have spoilt it.
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    assert check_database(empty_store) == ["schema: the database is empty"]


def test_a_newer_database_is_left_alone(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTrouble) as refused, store.reading() as connection:
        require_current(connection)
    assert refused.value.code == "store.newer"
    for attempt in (lambda: migrate(store), lambda: upgrade(store, NOW)):
        with pytest.raises(StoreTrouble) as refused:
            attempt()
        assert refused.value.code == "store.newer"


def test_an_older_database_names_the_upgrade(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailrotate.core.store.schema.REVISIONS", (*REVISIONS, "9998"))
    with pytest.raises(Refused) as refused, store.reading() as connection:
        require_current(connection)
    assert (refused.value.code, refused.value.hint) == ("store.older", Command("db", "upgrade"))


def test_an_upgrade_copies_the_file_first(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailrotate.core.store.schema.REVISIONS", (*REVISIONS, "9998"))
    copy = upgrade(sqlite_store, datetime(2026, 12, 1, 9, 30, tzinfo=UTC))
    assert copy is not None
    assert copy.name == "mailrotate.db.before-upgrade-20261201T093000Z"
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_database_of_somebody_else_is_left_alone(empty_store: Store) -> None:
    with empty_store.writing() as connection:
        connection.execute(text("CREATE TABLE ledger (id INTEGER)"))
    with pytest.raises(StoreTrouble) as refused:
        migrate(empty_store)
    assert refused.value.code == "store.not_ours"
    with pytest.raises(StoreTrouble), empty_store.reading() as connection:
        require_current(connection)
