"""Until when a mailbox that is away may come back: what runs, what it is asked about, and what ends it."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import ColumnElement, insert, select, update

from mailrotate.core.services.effects import grace_periods
from mailrotate.core.store import deadlines
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.deadlines import AwaitedReturn, RunningDeadline
from tests.support.rows import NOW, Sender, Workspace

SOON, LATER = NOW + timedelta(hours=1), NOW + timedelta(days=2)


@pytest.fixture
def gone(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("gone@example.org", state="disconnected")


@pytest.fixture
def autumn(workspace: Workspace, gone: Sender) -> StoredCampaign:
    return workspace.add_campaign("autumn", [gone])


def run(workspace: Workspace, box: Sender, campaign: StoredCampaign, **values: object) -> None:
    row = {"kind": "disconnect", "started_at": NOW, "ends_at": LATER, **values}
    with workspace.store.writing() as connection:
        connection.execute(insert(t.deadline).values(mailbox_id=box.id, campaign_id=campaign.id, **row))


def awaited(workspace: Workspace, slot_id: int, but: str = "new@example.org") -> list[AwaitedReturn]:
    with workspace.store.reading() as connection:
        return deadlines.awaited_in(connection, slot_id, but)


def test_c11_the_deadlines_of_a_mailbox_are_told_soonest_first(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    winter = workspace.add_campaign("winter", [gone])
    other = workspace.add_mailbox("other@example.org", state="disconnected")
    run(workspace, gone, autumn)
    run(workspace, gone, winter, ends_at=SOON)
    run(workspace, other, autumn)
    with workspace.store.reading() as connection:
        assert deadlines.running(connection, [gone.id]) == {
            gone.id: [
                RunningDeadline("winter", "disconnect", SOON),
                RunningDeadline("autumn", "disconnect", LATER),
            ]
        }
        assert set(deadlines.running(connection, [gone.id, other.id])) == {gone.id, other.id}


def test_a5_a_slot_awaits_its_mailbox_for_each_campaign_soonest_first(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    winter = workspace.add_campaign("winter", [gone])
    run(workspace, gone, autumn)
    run(workspace, gone, winter, ends_at=SOON)
    assert awaited(workspace, gone.slot_id) == [
        AwaitedReturn("gone@example.org", "winter", SOON),
        AwaitedReturn("gone@example.org", "autumn", LATER),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "connected"},
        {"state": "failed"},
        {"superseded_at": NOW},
    ],
)
def test_a5_a_slot_awaits_only_the_mailbox_that_was_disconnected_there_last(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign, changed: Mapping[str, object]
) -> None:
    run(workspace, gone, autumn)
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(**changed))
    assert awaited(workspace, gone.slot_id) == []


def test_a5_a_mailbox_is_awaited_in_its_own_slot_and_not_asked_about_itself(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    other = workspace.add_mailbox("other@example.org", state="disconnected")
    run(workspace, gone, autumn)
    assert awaited(workspace, other.slot_id) == []
    assert awaited(workspace, gone.slot_id, but="gone@example.org") == []


def test_b8_the_deadlines_of_a_removed_mailbox_end_once_and_no_others_with_them(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    winter = workspace.add_campaign("winter", [gone])
    other = workspace.add_mailbox("other@example.org", state="disconnected")
    run(workspace, gone, autumn)
    run(workspace, gone, winter)
    run(workspace, other, autumn)
    with workspace.store.writing() as connection:
        for now in (SOON, LATER):
            grace_periods.end_with_mailbox(connection, gone.id, now)
        query = select(t.deadline.c.ended_at).order_by(t.deadline.c.id)
        assert connection.execute(query).scalars().all() == [SOON, SOON, None]
    assert awaited(workspace, gone.slot_id) == []


def test_c11_whether_a_deadline_runs_is_asked_of_each_mailbox(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    over = workspace.add_mailbox("over@example.org", state="disconnected")
    run(workspace, gone, autumn)
    run(workspace, over, autumn, ended_at=SOON)
    m = t.mailbox.c

    def found(*where: ColumnElement[bool]) -> list[int]:
        with workspace.store.reading() as connection:
            return list(connection.execute(select(m.id).where(deadlines.runs_for(m.id, *where))).scalars())

    assert found() == [gone.id]
    assert found(t.deadline.c.ends_at > LATER) == []
