"""When a mailbox's time to come back begins, and what ends it early (C3, C4, C8, C10, C12)."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from mailrotate.core.services.effects import grace_periods
from mailrotate.core.store import campaigns, deadlines, mailboxes, senders, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.values.states import Departure
from tests.support.rows import NOW, Sender, Workspace

HOUR, DAYS = timedelta(hours=1), timedelta(days=9)
LATER = NOW + timedelta(days=1)
FAILURE, DISCONNECT = "failure", "disconnect"


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


@pytest.fixture
def ben(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("ben@example.org")


@pytest.fixture
def autumn(workspace: Workspace, anna: Sender, ben: Sender) -> StoredCampaign:
    return workspace.add_campaign("autumn", [anna, ben])


@pytest.fixture
def winter(workspace: Workspace, anna: Sender, ben: Sender) -> StoredCampaign:
    return workspace.add_campaign("winter", [ben, anna], state="paused")


def set_state(workspace: Workspace, box: Sender, state: str) -> None:
    with workspace.store.writing() as connection:
        own = t.connection.c.id == box.connection_id
        connection.execute(update(t.connection).where(own).values(state=state))


def fail(workspace: Workspace, box: Sender, at: datetime = NOW) -> None:
    set_state(workspace, box, "failed")
    with workspace.store.writing() as connection:
        grace_periods.begin_failure(connection, mailboxes.by_id(connection, box.id), at)


def disconnect(workspace: Workspace, box: Sender, at: datetime = NOW) -> None:
    set_state(workspace, box, "disconnected")
    with workspace.store.writing() as connection:
        grace_periods.begin_disconnect(connection, mailboxes.by_id(connection, box.id), at)


def leave(workspace: Workspace, campaign: StoredCampaign, box: Sender) -> None:
    """Take a mailbox out of a rotation."""
    with workspace.store.writing() as connection:
        (own,) = (one for one in senders.senders_of(connection, campaign.id) if one.mailbox_id == box.id)
        senders.depart(connection, [own.id], Departure.SENDER_REMOVED, NOW)


def told(workspace: Workspace) -> list[Any]:
    """Every deadline ever: campaign, mailbox, kind, beginning, end, and by what it ended when."""
    d = t.deadline.c
    query = (
        select(
            t.campaign.c.name, t.mailbox.c.address, d.kind, d.started_at, d.ends_at, d.ended_by, d.ended_at
        )
        .join(t.deadline, d.campaign_id == t.campaign.c.id)
        .join(t.mailbox, t.mailbox.c.id == d.mailbox_id)
        .order_by(d.id)
    )
    with workspace.store.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def running(name: str, box: Sender, kind: str, began: datetime, ends: datetime) -> tuple[object, ...]:
    return (name, box.address, kind, began, ends, None, None)


def left(workspace: Workspace, campaign: StoredCampaign) -> dict[str | None, tuple[object, object]]:
    with workspace.store.reading() as connection:
        found = senders.senders_of(connection, campaign.id)
    return {sender.address: (sender.left_reason, sender.left_at) for sender in found}


# --- the days of a failure


@pytest.mark.usefixtures("autumn", "winter")
def test_c10_the_days_of_a_failed_mailbox_begin_in_each_started_rotation_that_it_sends_for(
    workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    workspace.add_campaign("draft", [anna], state="draft")
    workspace.add_campaign("over", [anna], state="finished")
    workspace.add_campaign("alone", [anna], rotates=False)
    workspace.add_campaign("others", [ben])
    fail(workspace, anna, LATER)
    assert told(workspace) == [
        running("autumn", anna, FAILURE, LATER, LATER + DAYS),
        running("winter", anna, FAILURE, LATER, LATER + DAYS),
    ]


def test_c10_a_failure_that_is_noticed_again_keeps_its_days(
    workspace: Workspace, anna: Sender, autumn: StoredCampaign
) -> None:
    fail(workspace, anna)
    workspace.add_campaign("new", [anna])
    fail(workspace, anna, LATER)
    assert told(workspace) == [
        running(autumn.name, anna, FAILURE, NOW, NOW + DAYS),
        running("new", anna, FAILURE, LATER, LATER + DAYS),
    ]


@pytest.mark.parametrize("column", ["joined_at", "started_at"])
def test_c10_days_do_not_begin_before_the_campaign_runs_with_this_sender(
    workspace: Workspace, anna: Sender, ben: Sender, autumn: StoredCampaign, column: str
) -> None:
    with workspace.store.writing() as connection:
        if column == "started_at":
            campaigns.change(connection, autumn.id, started_at=LATER)
        else:
            own = t.campaign_sender.c.mailbox_id == anna.id
            connection.execute(update(t.campaign_sender).where(own).values(joined_at=LATER))
    fail(workspace, anna, NOW)
    fail(workspace, ben, LATER + HOUR)
    assert told(workspace) == [
        running("autumn", anna, FAILURE, LATER, LATER + DAYS),
        running("autumn", ben, FAILURE, LATER + HOUR, LATER + HOUR + DAYS),
    ]


def test_c10_a_sender_that_joins_again_has_its_days_from_its_latest_joining(
    workspace: Workspace, anna: Sender, autumn: StoredCampaign
) -> None:
    leave(workspace, autumn, anna)
    with workspace.store.writing() as connection:
        senders.join(connection, autumn.id, anna.id, LATER)
    fail(workspace, anna, NOW + HOUR)
    assert told(workspace) == [running("autumn", anna, FAILURE, LATER, LATER + DAYS)]


def test_c10_a_sender_that_has_left_the_rotation_has_no_days_in_it(
    workspace: Workspace, anna: Sender, autumn: StoredCampaign
) -> None:
    leave(workspace, autumn, anna)
    fail(workspace, anna)
    assert told(workspace) == []


def test_c10_the_days_last_as_long_as_the_workspace_says(
    workspace: Workspace, anna: Sender, autumn: StoredCampaign
) -> None:
    with workspace.store.writing() as connection:
        workspaces.set_setting(connection, "failure", "3d")
    fail(workspace, anna)
    assert told(workspace) == [running(autumn.name, anna, FAILURE, NOW, NOW + timedelta(days=3))]


def test_c10_senders_that_had_failed_before_the_start_have_their_days_from_it(
    workspace: Workspace, anna: Sender, autumn: StoredCampaign
) -> None:
    set_state(workspace, anna, "failed")
    alone = workspace.add_campaign("alone", [anna], rotates=False)
    with workspace.store.writing() as connection:
        for campaign in (autumn, alone):
            grace_periods.begin_for_failed_senders(connection, campaign.id, LATER)
    assert told(workspace) == [running("autumn", anna, FAILURE, LATER, LATER + DAYS)]


@pytest.mark.usefixtures("autumn", "winter")
def test_c3_the_days_of_a_mailbox_that_works_again_are_over_in_every_campaign(
    workspace: Workspace, anna: Sender, ben: Sender
) -> None:
    fail(workspace, anna)
    fail(workspace, ben)
    with workspace.store.writing() as connection:
        grace_periods.end_failure(connection, anna.id, LATER)
    of_anna, of_ben = ("recovered", LATER), (None, None)
    assert [(row[1], row[-2:]) for row in told(workspace)] == [
        (anna.address, of_anna),
        (anna.address, of_anna),
        (ben.address, of_ben),
        (ben.address, of_ben),
    ]


@pytest.mark.usefixtures("autumn")
def test_c3_a_disconnected_mailbox_that_could_work_again_keeps_its_hour(
    workspace: Workspace, anna: Sender
) -> None:
    disconnect(workspace, anna)
    with workspace.store.writing() as connection:
        grace_periods.end_failure(connection, anna.id, LATER)
    assert told(workspace) == [running("autumn", anna, DISCONNECT, NOW, NOW + HOUR)]


# --- the hour of a disconnect


def test_c4_a_disconnected_mailbox_leaves_its_rotations_and_has_an_hour_instead_of_its_days(
    workspace: Workspace, anna: Sender, ben: Sender, autumn: StoredCampaign, winter: StoredCampaign
) -> None:
    workspace.add_campaign("draft", [anna], state="draft")
    fail(workspace, anna)
    fail(workspace, ben)
    disconnect(workspace, anna, LATER)
    assert told(workspace) == [
        ("autumn", anna.address, FAILURE, NOW, NOW + DAYS, "converted", LATER),
        ("winter", anna.address, FAILURE, NOW, NOW + DAYS, "converted", LATER),
        running("autumn", ben, FAILURE, NOW, NOW + DAYS),
        running("winter", ben, FAILURE, NOW, NOW + DAYS),
        running("autumn", anna, DISCONNECT, LATER, LATER + HOUR),
        running("winter", anna, DISCONNECT, LATER, LATER + HOUR),
    ]
    for campaign in (autumn, winter):
        assert left(workspace, campaign) == {
            anna.address: (Departure.DISCONNECTED, LATER),
            ben.address: (None, None),
        }


def test_c4_a_second_disconnect_begins_no_second_hour(
    workspace: Workspace, anna: Sender, autumn: StoredCampaign
) -> None:
    disconnect(workspace, anna)
    disconnect(workspace, anna, LATER)
    assert told(workspace) == [running("autumn", anna, DISCONNECT, NOW, NOW + HOUR)]
    assert left(workspace, autumn)[anna.address] == (Departure.DISCONNECTED, NOW)


def test_c8_a_mailbox_has_its_place_back_where_it_is_added_again_and_only_there(
    workspace: Workspace, anna: Sender, autumn: StoredCampaign, winter: StoredCampaign
) -> None:
    disconnect(workspace, anna)
    with workspace.store.writing() as connection:
        (hour, _) = deadlines.running_where(connection)
        assert grace_periods.readd(connection, hour, LATER)
        assert not grace_periods.readd(connection, hour, LATER), "its place is already taken back"
    assert left(workspace, autumn)[anna.address] == (None, None)
    assert left(workspace, winter)[anna.address] == (Departure.DISCONNECTED, NOW)
    assert [row[-2:] for row in told(workspace)] == [("readded", LATER), (None, None)]


def test_c12_the_deadlines_of_a_campaign_end_with_it_and_no_others(
    workspace: Workspace, anna: Sender, ben: Sender, autumn: StoredCampaign, winter: StoredCampaign
) -> None:
    fail(workspace, anna)
    disconnect(workspace, ben)
    with workspace.store.writing() as connection:
        grace_periods.end_with_campaign(connection, autumn.id, LATER)
        assert not deadlines.is_any(connection, deadlines.of_campaign(autumn.id))
    ended = {(row[0], row[1]): row[-2:] for row in told(workspace)}
    over, goes_on = ("campaign_ended", LATER), (None, None)
    assert ended == {
        (name, box.address): over if name == autumn.name else goes_on
        for name in (autumn.name, winter.name)
        for box in (anna, ben)
    }


@pytest.mark.usefixtures("autumn")
def test_b8_what_ended_with_a_removed_mailbox_says_so(workspace: Workspace, anna: Sender) -> None:
    fail(workspace, anna)
    with workspace.store.writing() as connection:
        grace_periods.end_with_mailbox(connection, anna.id, LATER)
    assert [row[-2:] for row in told(workspace)] == [("mailbox_removed", LATER)]


# --- without any sender


@pytest.mark.parametrize(
    ("state", "others", "becomes", "reason"),
    [
        ("active", "failed", "paused", "no_sender"),
        ("active", "disconnected", "paused", "no_sender"),
        ("active", "connected", "active", None),
        ("draft", "failed", "draft", None),
        ("finished", "failed", "finished", None),
    ],
)
def test_c7_only_a_running_rotation_without_any_able_sender_pauses(
    workspace: Workspace, anna: Sender, ben: Sender, state: str, others: str, becomes: str, reason: str | None
) -> None:
    campaign = workspace.add_campaign("autumn", [anna, ben], state=state)
    set_state(workspace, anna, "failed")
    set_state(workspace, ben, others)
    with workspace.store.writing() as connection:
        grace_periods.pause_without_sender(connection, campaign.id, LATER)
        found = campaigns.by_id(connection, campaign.id)
        p = t.campaign_pause.c
        pauses = [tuple(row) for row in connection.execute(select(p.reason, p.mailbox_id, p.paused_at))]
    assert (found.state, pauses) == (becomes, [(reason, 0, LATER)] if reason else []), "of no mailbox"
