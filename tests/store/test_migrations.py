"""A database of an earlier revision, with what was in it, on both databases."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import insert, select

from mailrotate.core.store import mailboxes, seat_addresses, settings, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.schema import check_database, migrate, require_current
from mailrotate.core.store.seat_addresses import HeldAddress
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.own_settings import OwnSettings
from tests.support.rows import NOW

# In the order of connecting; the third is the first one in another spelling.
ADDRESSES = ("an.na@gmail.com", "ben@example.org", "anna+x@googlemail.com", "gone@example.org")


def make_first(store: Store) -> None:
    """A database as the first revision had it."""
    config = Config()
    config.set_main_option("script_location", "mailrotate:core/store/migrations")
    with store.migrating() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")


def fill(store: Store) -> None:
    with store.writing() as connection:
        workspaces.create(connection, "test", "UTC", NOW)
        user = insert(t.user).values(
            email="anna@example.org", name="Anna", role="admin", state="active", created_at=NOW
        )
        user_id = connection.execute(user).inserted_primary_key[0]
        for address in ADDRESSES:
            slot = insert(t.slot).values(user_id=user_id, kind="included", created_at=NOW)
            slot_id = connection.execute(slot).inserted_primary_key[0]
            removed_at = NOW if address.startswith("gone") else None
            box = insert(t.mailbox).values(
                address=address, user_id=user_id, created_at=NOW, removed_at=removed_at
            )
            mailbox_id = connection.execute(box).inserted_primary_key[0]
            connection.execute(insert(t.lane).values(mailbox_id=mailbox_id, token=0))
            made = insert(t.connection).values(
                mailbox_id=mailbox_id, slot_id=slot_id, generation=1, state="connected", provider="imap",
                smtp_host="smtp.example.org", smtp_port=465, smtp_security="tls",
                imap_host="imap.example.org", imap_port=993, imap_security="tls",
                username=address, sent_copy="auto", daily_limit=40, connected_at=NOW,
            )  # fmt: skip
            connection.execute(made)


def test_an_older_database_says_that_it_is_to_be_upgraded(empty_store: Store) -> None:
    make_first(empty_store)
    with pytest.raises(Refused) as refused, empty_store.reading() as connection:
        require_current(connection)
    assert refused.value.hint == Command("db", "upgrade")


def test_a9_an_upgrade_puts_every_address_on_its_seat_and_of_two_spellings_the_first(
    empty_store: Store,
) -> None:
    make_first(empty_store)
    fill(empty_store)
    migrate(empty_store)
    assert check_database(empty_store) == []
    with empty_store.reading() as connection:
        ids = {row.address: row.id for row in connection.execute(select(t.mailbox.c.id, t.mailbox.c.address))}
        assert seat_addresses.listing(connection) == [
            HeldAddress("an.na@gmail.com", ids["an.na@gmail.com"]),
            HeldAddress("ben@example.org", ids["ben@example.org"]),
        ]
        # Nobody loses a mailbox by it, and its settings are what they were.
        assert [box.address for box in mailboxes.listing(connection)] == list(ADDRESSES[:3])
        twin = settings.of(connection, ids[ADDRESSES[2]])
    assert (twin.own, twin.sends_as) == (OwnSettings(daily_limit=40), None)
