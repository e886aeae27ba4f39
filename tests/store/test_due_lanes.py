"""The lanes in which something waits: those that are away, those with notices, and how much (F1, C15)."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from mailrotate.core.store import mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.engine import Store
from mailrotate.core.store.sending import due
from mailrotate.core.values.states import Departure, Priority
from tests.support.rows import NOW, Sender, Workspace

SOON = NOW + timedelta(seconds=1)
AWAY = ("failed", "disconnected")


def away(store: Store) -> list[int]:
    with store.reading() as connection:
        return due.lanes_away(connection, NOW)


def notices(store: Store) -> list[int]:
    with store.reading() as connection:
        return due.notice_lanes(connection, NOW)


def add_person(
    workspace: Workspace, campaign: StoredCampaign, due_at: datetime, *, step: int = 2, place: int = 0
) -> None:
    """Add a recipient who waits for a step from one of the campaign's senders."""
    sender, address = workspace.senders(campaign)[place], f"p{due_at:%S}-{step}-{place}@example.com"
    workspace.add_recipient(campaign, address, sender_id=sender, next_at=due_at, next_step=step)


def add_notice(
    workspace: Workspace, box: Sender, *, ready_at: datetime = NOW, state: str = "scheduled"
) -> None:
    workspace.add_message(box, ready_at=ready_at, kind="notice", priority=Priority.NOTICE, state=state)


@pytest.fixture
def ben(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("ben@example.org")


@pytest.mark.parametrize("state", AWAY)
@pytest.mark.parametrize("step", [1, 2])
def test_c15_a_mailbox_is_away_while_people_of_a_running_campaign_are_due_from_it(
    store: Store, workspace: Workspace, ben: Sender, state: str, step: int
) -> None:
    anna = workspace.add_mailbox("anna@example.org", state=state)
    campaign = workspace.add_campaign(mailboxes=[ben, anna])
    add_person(workspace, campaign, NOW, step=step, place=0)
    add_person(workspace, campaign, SOON, step=step, place=1)
    assert away(store) == []
    add_person(workspace, campaign, NOW, step=step, place=1)
    assert away(store) == [anna.id]
    with store.writing() as connection:
        connection.execute(update(t.campaign).values(state="paused"))
    assert away(store) == []
    with store.reading() as connection:
        assert due.lanes_away(connection, NOW, t.campaign.c.state == "paused") == [anna.id]
        assert due.lanes_away(connection, NOW, t.campaign.c.state == "draft") == []


@pytest.mark.parametrize("state", AWAY)
def test_c15_a_mailbox_is_away_while_mail_to_people_is_scheduled_in_its_lane(
    store: Store, workspace: Workspace, ben: Sender, state: str
) -> None:
    anna, clara = (workspace.add_mailbox(f"{name}@example.org", state=state) for name in ("anna", "clara"))
    for box in (ben, anna):
        workspace.add_message(box, state="sent")
        add_notice(workspace, box)
    assert away(store) == []
    for box in (ben, clara):
        workspace.add_message(box, ready_at=SOON)
    assert away(store) == [clara.id]
    workspace.add_message(anna, ready_at=SOON)
    assert away(store) == sorted([anna.id, clara.id])


def test_c15_a_mailbox_that_was_replaced_or_removed_is_not_away(store: Store, workspace: Workspace) -> None:
    anna, clara = (workspace.add_mailbox(f"{name}@example.org", state="failed") for name in ("anna", "clara"))
    for box in (anna, clara):
        workspace.add_message(box)
    with store.writing() as connection:
        replaced = update(t.connection).where(t.connection.c.id == anna.connection_id)
        connection.execute(replaced.values(superseded_at=NOW))
        mailboxes.change(connection, clara.id, removed_at=NOW)
    assert away(store) == []


@pytest.mark.parametrize(("reason", "works"), [(Departure.DISCONNECTED, False), (Departure.TOOK_OVER, True)])
def test_c6_people_of_a_sender_that_left_by_a_disconnect_make_no_work_for_it(
    store: Store, workspace: Workspace, ben: Sender, reason: Departure, works: bool
) -> None:
    campaign = workspace.add_campaign(mailboxes=[ben])
    add_person(workspace, campaign, NOW)
    with store.writing() as connection:
        connection.execute(update(t.campaign_sender).values(left_at=NOW, left_reason=reason))
        assert due.lanes_ready(connection, NOW) == ([ben.id] if works else [])


def test_c10_the_lanes_with_a_notice_are_those_connected_in_which_one_is_ready(
    store: Store, workspace: Workspace, ben: Sender
) -> None:
    gone = workspace.add_mailbox("anna@example.org", state="failed")
    replaced = workspace.add_mailbox("clara@example.org")
    other = workspace.add_mailbox("dora@example.org")
    with store.writing() as connection:
        own = update(t.connection).where(t.connection.c.id == replaced.connection_id)
        connection.execute(own.values(superseded_at=NOW))
    for box in (gone, replaced):
        add_notice(workspace, box)
    add_notice(workspace, ben, ready_at=SOON)
    add_notice(workspace, ben, state="sent")
    workspace.add_message(other)
    assert notices(store) == []
    for _ in range(2):
        add_notice(workspace, ben)
    assert notices(store) == [ben.id]


def test_c4_what_waits_for_a_mailbox_until_an_instant_is_counted_planned_or_not(
    store: Store, workspace: Workspace, ben: Sender
) -> None:
    anna = workspace.add_mailbox("anna@example.org")
    rotation = workspace.add_campaign("autumn", [ben, anna])
    of_slot = workspace.add_campaign("winter", [ben], rotates=False)
    stopped = workspace.add_campaign("spring", [ben], state="paused")

    def count(most: int = 10) -> int:
        with store.reading() as connection:
            return due.waiting_count(connection, ben.id, ben.slot_id, SOON, most)

    add_person(workspace, rotation, NOW, place=1)
    add_person(workspace, rotation, SOON)
    add_person(workspace, stopped, NOW)
    workspace.add_message(anna)
    workspace.add_message(ben, ready_at=SOON)
    workspace.add_message(ben, state="sent")
    assert count() == 0
    add_person(workspace, rotation, NOW, step=1)
    add_person(workspace, rotation, NOW, step=2)
    add_person(workspace, of_slot, NOW)
    for _ in range(2):
        workspace.add_message(ben)
    assert count() == 5
    assert [count(most) for most in (3, 2, 1, 0, -1)] == [5, 4, 2, 0, 0]
