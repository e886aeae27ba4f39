"""Until when a mailbox that is away may come back: what runs, what it is asked about, and what ends it."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import ColumnElement, insert, select, update

from mailrotate.core.rules.transitions import DEADLINE
from mailrotate.core.services.effects import grace_periods
from mailrotate.core.store import deadlines
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.deadlines import AwaitedReturn, RunningDeadline, StoredDeadline
from mailrotate.core.store.engine import Store
from mailrotate.core.values.states import CampaignState, DeadlineKind, Departure
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


# --- asking, moving and settling


def all_running(store: Store, *where: ColumnElement[bool]) -> list[StoredDeadline]:
    with store.reading() as connection:
        return deadlines.running_where(connection, *where)


def test_c8_the_deadlines_of_a_sender_are_its_mailboxs_in_its_own_campaign(
    workspace: Workspace, gone: Sender
) -> None:
    other = workspace.add_mailbox("other@example.org", state="disconnected")
    autumn = workspace.add_campaign("autumn", [gone, other])
    winter = workspace.add_campaign("winter", [gone])
    for box, campaign in ((gone, autumn), (other, autumn), (gone, winter)):
        run(workspace, box, campaign)
    own, _ = workspace.senders(autumn)
    (found,) = all_running(workspace.store, deadlines.of_sender(own))
    assert (found.address, found.campaign) == ("gone@example.org", "autumn")


def test_c12_only_a_deadline_that_runs_gets_another_end(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    winter = workspace.add_campaign("winter", [gone])
    run(workspace, gone, autumn)
    run(workspace, gone, winter)
    run(workspace, gone, autumn, ended_at=NOW)
    first, second = all_running(workspace.store)
    with workspace.store.writing() as connection:
        deadlines.set_end(connection, first.id, SOON)
        deadlines.set_end(connection, second.id + 1, SOON)
        ends = list(connection.execute(select(t.deadline.c.ends_at).order_by(t.deadline.c.id)).scalars())
    assert ends == [SOON, LATER, LATER]


def test_f3_the_deadlines_that_end_by_an_instant_are_put_off_and_later_ones_are_not(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    spring, winter = (workspace.add_campaign(name, [gone]) for name in ("spring", "winter"))
    run(workspace, gone, autumn, ends_at=SOON)
    run(workspace, gone, winter, ends_at=SOON + timedelta(seconds=1))
    run(workspace, gone, spring, ends_at=SOON, ended_at=NOW)
    with workspace.store.writing() as connection:
        assert deadlines.put_off(connection, SOON, LATER) == 1
        ends = list(connection.execute(select(t.deadline.c.ends_at).order_by(t.deadline.c.id)).scalars())
    assert ends == [LATER, SOON + timedelta(seconds=1), SOON]


@pytest.mark.parametrize(
    ("left_reason", "hang"),
    [
        (None, 2),
        (Departure.DISCONNECTED, 2),
        (Departure.FAILED, 2),
        (Departure.SENDER_REMOVED, 0),
        (Departure.TOOK_OVER, 0),
    ],
)
def test_c14_on_a_deadline_hang_the_open_recipients_that_the_mailbox_did_not_take_over(
    workspace: Workspace, gone: Sender, left_reason: Departure | None, hang: int
) -> None:
    other = workspace.add_mailbox("other@example.org")
    autumn = workspace.add_campaign("autumn", [gone, other])
    winter = workspace.add_campaign("winter", [gone])
    own, others = workspace.senders(autumn)
    for number, (sender_id, state) in enumerate(
        [(own, "queued"), (own, "active"), (own, "finished"), (own, "replied"), (others, "queued")]
    ):
        workspace.add_recipient(autumn, f"p{number}@example.com", sender_id=sender_id, state=state)
    workspace.add_recipient(winter, "w@example.com", sender_id=workspace.senders(winter)[0])
    run(workspace, gone, autumn)
    run(workspace, gone, winter)
    with workspace.store.writing() as connection:
        if left_reason:
            this = t.campaign_sender.c.id == own
            connection.execute(
                update(t.campaign_sender).where(this).values(left_at=NOW, left_reason=left_reason)
            )
        first, second = deadlines.running_where(connection)
        people = deadlines.hanging(connection, [first, second])
        assert deadlines.hanging(connection, [second]) == {second.id: 1}
    assert (people.get(first.id, 0), people[second.id]) == (hang, 1)


def test_c10_the_ends_are_told_by_campaign_and_mailbox(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    winter, spring = (workspace.add_campaign(name, [gone]) for name in ("winter", "spring"))
    other = workspace.add_mailbox("other@example.org", state="disconnected")
    run(workspace, gone, autumn)
    run(workspace, other, autumn, ends_at=SOON)
    run(workspace, gone, winter, ended_at=NOW)
    run(workspace, gone, spring)
    with workspace.store.reading() as connection:
        ends = deadlines.ends_of_each(connection, [autumn.id, winter.id])
    assert ends == {(autumn.id, gone.id): LATER, (autumn.id, other.id): SOON}


def test_c8_of_each_unfinished_campaign_the_latest_settlement_is_told(
    workspace: Workspace, gone: Sender
) -> None:
    other = workspace.add_mailbox("other@example.org", state="disconnected")
    told, again, over, readded = (
        workspace.add_campaign(name, [gone, other]) for name in ("told", "again", "over", "readded")
    )
    rejoined = workspace.add_campaign("rejoined", [gone])
    settled = {"ended_by": "settled", "ended_at": LATER, "stopped_count": 3}
    run(workspace, gone, again, **{**settled, "stopped_count": None, "ended_at": SOON})
    run(workspace, gone, told, **{**settled, "stopped_count": 1})
    run(workspace, gone, told, **settled)
    run(workspace, gone, over, **settled)
    run(workspace, gone, readded, **settled)
    run(workspace, gone, readded, **{**settled, "ended_by": "readded"})
    run(workspace, gone, rejoined, **settled)
    run(workspace, other, told, **settled)
    with workspace.store.writing() as connection:
        # It has left every rotation but one.
        away = (t.campaign_sender.c.mailbox_id == gone.id) & (t.campaign_sender.c.campaign_id != rejoined.id)
        connection.execute(update(t.campaign_sender).where(away).values(left_at=NOW))
        connection.execute(
            update(t.campaign).where(t.campaign.c.id == over.id).values(state=CampaignState.FINISHED)
        )
        assert deadlines.last_settled(connection, gone.id, "settled") == [
            ("again", 0, SOON),
            ("told", 3, LATER),
        ]


def test_c11_an_ended_deadline_is_not_ended_again(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    run(workspace, gone, autumn)
    (one,) = all_running(workspace.store)
    with workspace.store.writing() as connection:
        counts = {"stopped": 2, "reassigned": 3}
        assert deadlines.end(connection, DEADLINE["settled"], [one.id], LATER, **counts) == 1
        assert deadlines.end(connection, DEADLINE["readded"], [one.id], SOON) == 0
        d = t.deadline.c
        (row,) = connection.execute(select(d.ended_by, d.ended_at, d.stopped_count, d.reassigned_count))
    assert tuple(row) == ("settled", LATER, 2, 3)


def test_c11_of_all_deadlines_those_that_have_passed_are_settled_soonest_first(
    workspace: Workspace, gone: Sender
) -> None:
    names = ("first", "second", "third", "fourth")
    first, second, third, fourth = (workspace.add_campaign(name, [gone]) for name in names)
    run(workspace, gone, first, ends_at=LATER)
    run(workspace, gone, second, ends_at=SOON)
    run(workspace, gone, third, ends_at=LATER + timedelta(microseconds=1))
    run(workspace, gone, fourth, ends_at=SOON, ended_at=SOON)
    with workspace.store.writing() as connection:
        assert [one.campaign for one in deadlines.lock_passed(connection, LATER)] == ["second", "first"]
        assert deadlines.lock_passed(connection, NOW) == []
    assert [one.campaign for one in all_running(workspace.store)] == ["second", "first", "third"]


def test_c4_of_a_campaign_some_kinds_of_deadlines_are_asked_for_or_all(
    workspace: Workspace, gone: Sender, autumn: StoredCampaign
) -> None:
    other = workspace.add_mailbox("other@example.org", state="failed")
    run(workspace, gone, autumn)
    run(workspace, other, autumn, kind="failure")

    def asked(*kinds: DeadlineKind) -> list[str]:
        return [one.address for one in all_running(workspace.store, deadlines.of_campaign(autumn.id, *kinds))]

    assert asked(DeadlineKind.DISCONNECT) == ["gone@example.org"]
    assert asked(DeadlineKind.FAILURE) == ["other@example.org"]
    assert asked() == asked(*DeadlineKind) == ["gone@example.org", "other@example.org"]
