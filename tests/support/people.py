"""People of campaigns in every state, for what becomes of them when their mailbox goes."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from mailrotate.core.services.campaigns import recipient_list
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import planning
from mailrotate.core.services.sending.rendering import StepCache
from mailrotate.core.store import campaigns as stored_campaigns
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.sending import inboxes
from mailrotate.core.values.mail import FolderCursor
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace, contact_of

ANNA, BEN, CLARA = "anna@example.org", "ben@example.org", "clara@example.org"
LATER = NOW + timedelta(hours=1)
DUE = NOW + timedelta(days=1, minutes=3)
STEPS = (
    (timedelta(), "Hello", "Hello {{ name }}"),
    (timedelta(days=2), None, "Again"),
    (timedelta(days=2), None, "Last"),
)
MANY = 10_000


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox(ANNA)


@pytest.fixture
def ben(workspace: Workspace) -> Sender:
    return workspace.add_mailbox(BEN)


def person(
    workspace: Workspace, campaign: StoredCampaign, name: str, kind: str, sender: Sender, number: int = 0
) -> int:
    """Somebody of one of the campaign's senders: `new`, `planned`, `active`, `waiting` (active, their next
    message planned), `held` (their first is) or an end state."""
    state = {"new": "queued", "planned": "queued", "waiting": "active", "held": "queued"}.get(kind, kind)
    sender_id = workspace.senders(campaign)[number]
    contacted = state != "queued"
    found = workspace.add_recipient(
        campaign,
        name,
        sender_id=sender_id,
        state=state,
        next_step=2 if contacted else 1,
        next_at={"new": NOW, "active": DUE}.get(kind),
    )
    of_it: dict[str, Any] = {"to": name, "campaign_sender_id": sender_id}
    if contacted:
        workspace.add_sent(sender, NOW, campaign=campaign, recipient_id=found, subject="Hello", **of_it)
    if kind in ("planned", "waiting"):
        step = 1 if kind == "planned" else 2
        workspace.add_message(sender, campaign, found, step=step, ready_at=DUE, **of_it)
    if kind == "held":
        workspace.add_message(sender, campaign, found, state="held", claimed_at=NOW, **of_it)
    return found


def row(workspace: Workspace, recipient_id: int) -> Any:
    with workspace.store.reading() as connection:
        return connection.execute(select(t.recipient).where(t.recipient.c.id == recipient_id)).one()


def states(workspace: Workspace, recipient_id: int) -> list[str]:
    m = t.message.c
    query = select(m.state).where(m.recipient_id == recipient_id).order_by(m.id)
    with workspace.store.reading() as connection:
        return list(connection.execute(query).scalars())


def campaign_of(workspace: Workspace, name: str = "autumn") -> StoredCampaign:
    with workspace.store.reading() as connection:
        found = stored_campaigns.find(connection, name)
    assert found is not None
    return found


def sender_of(context: Context, campaign: str, address: str) -> str | None:
    return recipient_list.show(context, campaign, address).sender


def name_step(workspace: Workspace, campaign: StoredCampaign, position: int, sender: Sender) -> None:
    step = select(t.step.c.id).where(t.step.c.campaign_id == campaign.id, t.step.c.position == position)
    named = update(t.step_version).where(t.step_version.c.step_id.in_(step))
    with workspace.store.writing() as connection:
        connection.execute(named.values(sender_mailbox_id=sender.id))


def planned_by(workspace: Workspace, context: Context, box: Sender) -> list[str]:
    """Plan a lane two days ahead, and return who sends what it planned."""
    lane = workspace.own_lane(box, workspace.add_runner())
    with workspace.store.writing() as connection:
        inboxes.note_read(connection, box.id, "INBOX", FolderCursor(1, 0), LATER)
    planning.plan_lane(context, lane, StepCache(), LATER)
    m = t.message.c
    query = select(m.from_address).where(m.state == "scheduled").order_by(m.id)
    with workspace.store.reading() as connection:
        return list(connection.execute(query).scalars())


def enrol_many(workspace: Workspace, campaign: StoredCampaign, sender: Sender, count: int = MANY) -> None:
    """Half of them were contacted; of these a half has a planned follow-up, and of the others too."""
    sender_id = workspace.senders(campaign)[0]
    with workspace.store.writing() as connection:
        first = contact_of(connection, "first@example.com")
        addresses = [f"p{n}@example.com" for n in range(count)]
        new = [
            {"address": one, "canonical": one, "domain": "example.com", "created_at": NOW}
            for one in addresses
        ]
        connection.execute(insert(t.contact), new)
        ids = range(first + 1, first + 1 + count)
        people = [
            {
                "campaign_id": campaign.id, "contact_id": contact, "campaign_sender_id": sender_id,
                "state": "active" if n % 2 else "queued", "next_step": 1 + n % 2, "enrolled_at": NOW,
                "next_at": None if n % 4 < 2 else DUE, "fields": "{}",
            }
            for n, contact in enumerate(ids)
        ]  # fmt: skip
        connection.execute(insert(t.recipient), people)
        r = t.recipient.c
        rows = connection.execute(select(r.id, r.contact_id, r.state, r.next_at).order_by(r.id)).all()
        messages = []
        for found in rows:
            address = addresses[found.contact_id - first - 1]
            base = {
                "kind": "campaign", "mailbox_id": sender.id, "campaign_id": campaign.id,
                "campaign_sender_id": sender_id, "recipient_id": found.id, "to_address": address,
                "from_address": sender.address, "due_at": DUE, "ready_at": DUE, "planned_at": NOW,
            }  # fmt: skip
            if found.state == "active":
                messages.append(
                    base | {"state": "sent", "priority": "2", "step_position": 1, "token": f"s{found.id}",
                            "message_id": f"<s{found.id}@example.org>", "sent_at": NOW, "claimed_at": NOW}
                )  # fmt: skip
            if found.next_at is None:
                step = 2 if found.state == "active" else 1
                messages.append(
                    base | {"state": "scheduled", "priority": "1", "step_position": step,
                            "token": f"p{found.id}", "message_id": f"<p{found.id}@example.org>",
                            "sent_at": None, "claimed_at": None}
                )  # fmt: skip
        connection.execute(insert(t.message), messages)
