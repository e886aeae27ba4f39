"""A database of an earlier revision, with what was in it, on both databases."""

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, bindparam, insert, select, text

from mailrotate.core.store import mailboxes, seat_addresses, senders, settings, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.people import contacts, suppressions
from mailrotate.core.store.schema import check_database, migrate, require_current
from mailrotate.core.store.seat_addresses import HeldAddress
from mailrotate.core.values.address import domain_of
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.own_settings import OwnSettings
from tests.support.rows import NOW

# In the order of connecting; the third is the first one in another spelling.
ADDRESSES = ("an.na@gmail.com", "ben@example.org", "anna+x@googlemail.com", "gone@example.org")


def make_first(store: Store, revision: str = "0001") -> None:
    """A database as an earlier revision had it."""
    config = Config()
    config.set_main_option("script_location", "mailrotate:core/store/migrations")
    with store.migrating() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


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


# Contacts and suppressions of the second revision, in the order in which they came.
SPELLINGS = ("ja.ne@gmail.com", "jane+x@googlemail.com", "kim@example.com", "lee@gmail.com")
SUPPRESSED = (
    ("address", "le.e@gmail.com"),
    ("address", "lee+y@googlemail.com"),
    ("address", "kim@example.com"),
    ("address", "lee@gmail.com"),
    ("domain", "googlemail.com"),
    ("domain", "example.net"),
)


def fill_people(store: Store) -> None:
    with store.writing() as connection:
        workspaces.create(connection, "test", "UTC", NOW)
        at = bindparam("at", NOW, t.contact.c.created_at.type)
        contact = text(
            "INSERT INTO contact (address, domain, fields, created_at) VALUES (:address, :domain, '{}', :at)"
        ).bindparams(at)
        suppression = text(
            "INSERT INTO suppression (kind, value, hash, reason, source, added_at) "
            "VALUES (:kind, :value, :hash, 'asked', 'test', :at)"
        ).bindparams(at)
        for address in SPELLINGS:
            row = {"address": address, "domain": domain_of(address)}
            connection.execute(contact, row)
        erased = text("INSERT INTO contact (fields, created_at) VALUES ('{}', :at)").bindparams(at)
        connection.execute(erased)
        for kind, value in SUPPRESSED:
            row = {"kind": kind, "value": value, "hash": suppressions.fingerprint(value)}
            connection.execute(suppression, row)
        hashed = {"kind": "address", "value": None, "hash": suppressions.fingerprint("p.ia@gmail.com")}
        connection.execute(suppression, hashed)


def test_i4_an_upgrade_compares_contacts_and_suppressions_by_their_canonical_address(
    empty_store: Store,
) -> None:
    make_first(empty_store, "0002")
    fill_people(empty_store)
    migrate(empty_store)
    assert check_database(empty_store) == []
    c, s = t.contact.c, t.suppression.c
    with empty_store.reading() as connection:
        assert [
            tuple(row) for row in connection.execute(select(c.address, c.canonical, c.domain).order_by(c.id))
        ] == [
            ("ja.ne@gmail.com", "jane@gmail.com", "gmail.com"),
            ("jane+x@googlemail.com", "jane@gmail.com", "gmail.com"),
            ("kim@example.com", "kim@example.com", "example.com"),
            ("lee@gmail.com", "lee@gmail.com", "gmail.com"),
            (None, None, None),
        ]
        kept = [tuple(row) for row in connection.execute(select(s.value, s.canonical).order_by(s.id))]
        assert kept == [
            ("le.e@gmail.com", "lee@gmail.com"),
            ("kim@example.com", "kim@example.com"),
            ("googlemail.com", "gmail.com"),
            ("example.net", "example.net"),
            (None, None),
        ]
        for address in ("l.e.e@googlemail.com", "kim@example.com", "a@sub.example.net", "p.ia@gmail.com"):
            assert suppressions.covering(connection, address) is not None
        assert suppressions.covering(connection, "kim@example.org") is None
        assert contacts.known(connection, ["j.ane@gmail.com", "jane+x@googlemail.com"]) == {
            "j.ane@gmail.com": 1,
            "jane+x@googlemail.com": 2,
        }


def make_campaign(connection: Connection, spread_over: str) -> int:
    """A started rotation and its owner, as revisions before the seventh had them."""
    user = insert(t.user).values(
        email="anna@example.org", name="Anna", role="admin", state="active", created_at=NOW
    )
    user_id = connection.execute(user).inserted_primary_key[0]
    campaign = text(
        "INSERT INTO campaign (name, owner_id, team, state, rotation, version, spread_over, created_at) "
        "VALUES ('autumn', :owner, FALSE, 'active', 'equal', 1, :over, :at) RETURNING id"
    ).bindparams(bindparam("at", NOW, t.campaign.c.created_at.type), owner=user_id, over=spread_over)
    return int(connection.execute(campaign).scalar_one())


def test_c9_an_upgrade_gives_a_tombstone_its_canonical_form_and_keeps_the_old_one(empty_store: Store) -> None:
    make_first(empty_store, "0002")
    fill_people(empty_store)
    with empty_store.writing() as connection:
        campaign_id = make_campaign(connection, "")
        for address in ("ja.ne@gmail.com", "kim@example.com"):
            row = {
                "campaign_id": campaign_id,
                "address_hash": suppressions.fingerprint(address),
                "stopped_at": NOW,
            }
            connection.execute(insert(t.stopped).values(row))
    migrate(empty_store)
    with empty_store.reading() as connection:
        hashes = set(connection.execute(select(t.stopped.c.address_hash)).scalars())
    stopped = ("ja.ne@gmail.com", "jane@gmail.com", "kim@example.com")
    assert hashes == set(map(suppressions.fingerprint, stopped))


def test_e1_an_upgrade_keeps_the_counts_of_a_rotation(empty_store: Store) -> None:
    make_first(empty_store, "0006")
    with empty_store.writing() as connection:
        workspaces.create(connection, "test", "UTC", NOW)
        campaign_id = make_campaign(connection, "1,3")
        box = insert(t.mailbox).values(address="anna@example.org", user_id=1, created_at=NOW)
        connection.execute(box)
        row = text(
            "INSERT INTO campaign_sender (campaign_id, mailbox_id, position, generation, joined_at, "
            "assigned_count) VALUES (:campaign, 1, :position, 1, :at, :count)"
        ).bindparams(bindparam("at", NOW, t.campaign.c.created_at.type), campaign=campaign_id)
        for position, count in enumerate((7, 0, 6)):
            connection.execute(row, {"position": position, "count": count})
    migrate(empty_store)
    with empty_store.reading() as connection:
        known = senders.senders_of(connection, campaign_id)
    # The one that was away takes a count near to the others' when it can take part again.
    assert [(one.assigned_count, one.counted_weight) for one in known] == [(7, 1), (0, None), (6, 1)]


def test_h4_an_upgrade_takes_the_latest_pass_for_one_that_sent(empty_store: Store) -> None:
    make_first(empty_store, "0014")
    made = text(
        "INSERT INTO workspace (id, identity, name, timezone, created_at, last_pass_at) "
        "VALUES (1, 'w', 'test', 'UTC', :at, :at)"
    )
    with empty_store.writing() as connection:
        connection.execute(made.bindparams(bindparam("at", NOW, t.workspace.c.created_at.type)))
    migrate(empty_store)
    assert check_database(empty_store) == []
    with empty_store.reading() as connection:
        known = workspaces.find(connection)
    assert known is not None
    assert (known.last_pass_at, known.last_sending_pass_at) == (NOW, NOW)
