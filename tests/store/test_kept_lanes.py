"""The lanes in which something waits for a user's action alone (F5)."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, update

from mailrotate.core.store import connections
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.sending import kept_lanes
from mailrotate.core.values.reasons import NO_SENDER
from tests.support.rows import NOW, Sender, Workspace


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


def kept(store: Store, box: Sender) -> list[int]:
    with store.reading() as connection:
        return kept_lanes.campaigns_kept(connection, box.id, box.slot_id)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize(("state", "counts"), [("active", True), ("paused", True), ("finished", False)])
def test_recipients_of_a_started_campaign_wait_for_their_mailbox(
    store: Store, workspace: Workspace, anna: Sender, state: str, counts: bool, step: int
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    campaign = workspace.add_campaign(mailboxes=[anna, ben], state=state)
    assert kept(store, anna) == []
    sender = workspace.senders(campaign)[0]
    workspace.add_recipient(campaign, "kim@example.com", sender_id=sender, next_at=NOW, next_step=step)
    assert kept(store, anna) == ([campaign.id] if counts else [])
    assert kept(store, ben) == []


@pytest.mark.parametrize("overdue_at", [None, NOW])
def test_planned_messages_of_a_paused_campaign_wait_in_their_lane(
    store: Store, workspace: Workspace, anna: Sender, overdue_at: datetime | None
) -> None:
    campaign = workspace.add_campaign(mailboxes=[anna], state="paused")
    workspace.add_message(anna, campaign, state="sent")
    assert kept(store, anna) == []
    workspace.add_message(anna, campaign, overdue_at=overdue_at)
    assert kept(store, anna) == [campaign.id]


def test_messages_that_were_cut_off_wait_for_their_mailbox(
    store: Store, workspace: Workspace, anna: Sender
) -> None:
    message = workspace.add_message(anna, state="error")
    with store.writing() as connection:
        assert not kept_lanes.any_cut_off(connection, anna.id)
        own = update(t.message).where(t.message.c.id == message)
        connection.execute(own.values(error_class="connection"))
        assert kept_lanes.any_cut_off(connection, anna.id)


@pytest.mark.parametrize(
    ("reason", "of_anna", "counts"),
    [(NO_SENDER, False, True), ("mailbox_failed", True, True), ("by_hand", False, False)],
)
def test_c6_a_campaign_is_paused_until_its_mailbox_is_back(
    store: Store, workspace: Workspace, anna: Sender, reason: str, of_anna: bool, counts: bool
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    campaign = workspace.add_campaign(mailboxes=[anna], state="paused")
    mailbox_id = anna.id if of_anna else 0
    pause = {"campaign_id": campaign.id, "reason": reason, "mailbox_id": mailbox_id, "paused_at": NOW}
    with store.writing() as connection:
        connection.execute(insert(t.campaign_pause).values(**pause))
        slots = {one.id: one.slot_id for one in (anna, ben)}
        assert connections.pausing(connection, slots, NO_SENDER) == ({anna.id} if counts else set())
        connection.execute(update(t.campaign_sender).values(left_at=NOW))
        assert not connections.pausing(connection, slots, NO_SENDER)


@pytest.mark.parametrize("step", [1, 2])
def test_a_campaign_is_due_with_its_first_recipient_or_planned_message_and_not_before(
    store: Store, workspace: Workspace, anna: Sender, step: int
) -> None:
    people, planned, other = (
        workspace.add_campaign(name, [anna], state="paused") for name in ("people", "planned", "other")
    )
    sender = workspace.senders(people)[0]
    workspace.add_recipient(people, "kim@example.com", sender_id=sender, next_at=NOW, next_step=step)
    workspace.add_message(anna, planned)
    ids = [people.id, planned.id, other.id]
    with store.reading() as connection:
        assert kept_lanes.campaigns_due(connection, ids, NOW) == {people.id, planned.id}
        assert kept_lanes.campaigns_due(connection, ids, NOW - timedelta(seconds=1)) == set()
        assert kept_lanes.campaigns_due(connection, [other.id], NOW) == set()
