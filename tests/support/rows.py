"""Builders for rows: a workspace with its admin, and what a test puts into it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import Connection, insert, select, update

from mailrotate.core.rules.transitions import CAMPAIGN, MESSAGE, USER
from mailrotate.core.services import periods
from mailrotate.core.store import campaigns, connections, senders, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import NewStep, StoredCampaign
from mailrotate.core.store.engine import Store
from mailrotate.core.store.people.suppressions import fingerprint
from mailrotate.core.store.sending import outbox
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import NewMessage
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.address import canonical_address, domain_of
from mailrotate.core.values.states import MessageKind, MessageState, Priority, Role, Rotation

# A Tuesday morning, with microseconds that must survive.
NOW = datetime(2026, 12, 1, 9, 0, 0, 123456, tzinfo=UTC)
OPEN_WINDOW = json.dumps({"blocks": [{"days": "mon-sun", "hours": "00:00-24:00"}]})
_tokens = count(1)


def contact_of(connection: Connection, address: str) -> int:
    """The contact with this address, made if it is new."""
    named = select(t.contact.c.id).where(t.contact.c.address == address)
    found = connection.execute(named).scalar_one_or_none()
    if found is None:
        canonical = canonical_address(address)
        new = insert(t.contact).values(
            address=address, canonical=canonical, domain=domain_of(canonical), created_at=NOW
        )
        found = connection.execute(new).inserted_primary_key[0]
    return int(found)


@dataclass(frozen=True)
class Sender:
    """A connected mailbox of the workspace."""

    id: int
    address: str
    slot_id: int
    connection_id: int


@dataclass(frozen=True)
class Workspace:
    """One workspace in a database, with an admin who has two slots."""

    store: Store
    admin: StoredUser

    def add_user(self, email: str, role: Role = Role.MEMBER) -> StoredUser:
        with self.store.writing() as connection:
            return workspaces.add_user(
                connection, USER["add"], email, email.partition("@")[0].title(), role, NOW
            )

    def add_mailbox(
        self, address: str, user: StoredUser | None = None, state: str = "connected", **values: object
    ) -> Sender:
        """A mailbox with its connection and lane, in a free slot (bought when there is none)."""
        owner = user or self.admin
        with self.store.writing() as connection:
            slot_id = next(iter(connections.free_slots(connection, owner.id)), None)
            if slot_id is None:
                slot = insert(t.slot).values(user_id=owner.id, kind="purchased", created_at=NOW)
                slot_id = int(connection.execute(slot).inserted_primary_key[0])
            mailbox_id = connections.insert_mailbox(connection, address, owner.id, NOW)
            settings: dict[str, object] = {
                "mailbox_id": mailbox_id,
                "slot_id": slot_id,
                "state": state,
                "provider": "imap",
                "smtp_host": "smtp.example.org",
                "smtp_port": 465,
                "smtp_security": "tls",
                "imap_host": "imap.example.org",
                "imap_port": 993,
                "imap_security": "tls",
                "username": address,
                "connected_at": NOW,
            }
            made = connection.execute(insert(t.connection).values(**{**settings, **values}))
        return Sender(mailbox_id, address, slot_id, int(made.inserted_primary_key[0]))

    def add_runner(self) -> int:
        with self.store.writing() as connection:
            made = connection.execute(insert(t.runner).values(kind="run", host="here", pid=1, started_at=NOW))
        return int(made.inserted_primary_key[0])

    def add_campaign(
        self,
        name: str = "autumn",
        mailboxes: Sequence[Sender] = (),
        *,
        rotates: bool = True,
        state: str = "active",
        owner: StoredUser | None = None,
        team: bool = False,
        steps: Sequence[tuple[timedelta, str | None, str]] = ((timedelta(), "Hello", "Hello {{ name }}"),),
    ) -> StoredCampaign:
        """A campaign with its steps (delay, subject, body) and senders, started unless `state` says not."""
        with self.store.writing() as connection:
            campaign_id = campaigns.insert_campaign(
                connection,
                CAMPAIGN["create"],
                name=name,
                owner_id=(owner or self.admin).id,
                team=team,
                rotation=Rotation.EQUAL if rotates else None,
                now=NOW,
            )
            campaigns.insert_version(
                connection,
                campaign_id,
                1,
                window=OPEN_WINDOW,
                timezone=None,
                holidays=None,
                on_auto_reply="wait",
                created_by=self.admin.id,
                now=NOW,
                steps=[
                    NewStep(position, delay, subject, body, None, ())
                    for position, (delay, subject, body) in enumerate(steps, 1)
                ],
            )
            senders.replace_senders(
                connection,
                campaign_id,
                slot_id=None if rotates else mailboxes[0].slot_id,
                mailbox_ids=[mailbox.id for mailbox in mailboxes] if rotates else (),
                now=NOW,
            )
            campaigns.change(connection, campaign_id, state=state, started_at=NOW)
            return campaigns.by_id(connection, campaign_id)

    def senders(self, campaign: StoredCampaign) -> list[int]:
        """The ids of the campaign's senders, in the order of adding."""
        with self.store.reading() as connection:
            return [sender.id for sender in senders.senders_of(connection, campaign.id)]

    def add_recipient(
        self,
        campaign: StoredCampaign,
        address: str,
        *,
        sender_id: int | None = None,
        next_at: datetime | None = None,
        next_step: int = 1,
        state: str = "queued",
        fields: Mapping[str, str] | None = None,
    ) -> int:
        with self.store.writing() as connection:
            contact_id = contact_of(connection, address)
            made = connection.execute(
                insert(t.recipient).values(
                    campaign_id=campaign.id,
                    contact_id=contact_id,
                    state=state,
                    address_hash=fingerprint(canonical_address(address)),
                    campaign_sender_id=sender_id,
                    next_step=next_step,
                    next_at=next_at,
                    fields=json.dumps(fields or {"name": "you"}),
                    enrolled_at=NOW,
                )
            )
        return int(made.inserted_primary_key[0])

    def add_message(
        self,
        mailbox: Sender,
        campaign: StoredCampaign | None = None,
        recipient_id: int | None = None,
        *,
        step: int = 1,
        ready_at: datetime = NOW,
        to: str = "kim@example.com",
        **values: object,
    ) -> int:
        """A planned message; `values` are set afterwards, whatever the state machine says.

        So is its recipient: no message is planned for a stopped one, but one may have been sent before.
        """
        token = f"t{next(_tokens)}"
        kind = MessageKind.COMPOSE if campaign is None else MessageKind.CAMPAIGN
        priority = Priority.FIRST if step == 1 else Priority.FOLLOW_UP
        with self.store.writing() as connection:
            new = NewMessage(
                kind=kind,
                priority=Priority.BY_HAND if campaign is None else priority,
                mailbox_id=mailbox.id,
                campaign_id=None if campaign is None else campaign.id,
                campaign_sender_id=None,
                recipient_id=None,
                step_id=None,
                step_position=None if campaign is None else step,
                to_address=to,
                from_address=mailbox.address,
                token=token,
                message_id=f"<{token}@example.org>",
                due_at=ready_at,
                ready_at=ready_at,
            )
            outbox.plan(connection, MESSAGE["plan"], [new], NOW)
            message_id = int(
                connection.execute(select(t.message.c.id).where(t.message.c.token == token)).scalar_one()
            )
            set_to = {"recipient_id": recipient_id, **values}
            connection.execute(update(t.message).where(t.message.c.id == message_id).values(**set_to))
        return message_id

    def add_notice(self, mailbox: Sender, **values: object) -> int:
        """A planned notice that leaves through this mailbox."""
        words = json.dumps({"subject": "ben@example.org has failed", "text": "It has failed."})
        notice = {"kind": MessageKind.NOTICE, "priority": Priority.NOTICE, "fields": words}
        return self.add_message(mailbox, **{**notice, **values})  # type: ignore[arg-type]  # columns by name

    def add_sent(self, mailbox: Sender, claimed_at: datetime, **values: object) -> int:
        """A message that counts: one that left through this mailbox at that instant."""
        sent: dict[str, object] = {
            "state": MessageState.SENT,
            "claimed_at": claimed_at,
            "sent_at": claimed_at,
            "slot_id": mailbox.slot_id,
        }
        return self.add_message(mailbox, **{**sent, **values})  # type: ignore[arg-type]  # columns by name

    def own_lane(self, mailbox: Sender, runner_id: int) -> Lane:
        from mailrotate.core.store.sending import lanes

        with self.store.writing() as connection:
            lane = lanes.take(connection, mailbox.id, runner_id)
        assert lane is not None
        return lane


@pytest.fixture
def workspace(store: Store) -> Workspace:
    """A workspace, its plan, and an admin with two slots (A1), on each database."""
    return make_workspace(store)


def make_workspace(store: Store) -> Workspace:
    """The same, on one database."""
    with store.writing() as connection:
        workspaces.create(connection, "test", "Europe/Berlin", NOW)
        admin = workspaces.add_user(
            connection, USER["add"], "admin@example.org", "Ada Admin", Role.ADMIN, NOW
        )
        # These tests travel in time, and PostgreSQL's clock stays where it is.
        workspaces.set_setting(connection, "database_clock_tolerance", periods.OFF)
    return Workspace(store, admin)
