"""F1: rows for what a mailbox can send before its next day ends; and nobody waits behind who cannot go."""

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from mailrotate.core.rules.transitions import RECIPIENT
from mailrotate.core.services.campaigns import campaign_life as services
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import connection_errors
from mailrotate.core.services.sending import health, planning
from mailrotate.core.services.sending.claiming import Claims, Nothing
from mailrotate.core.services.sending.rendering import StepCache
from mailrotate.core.store import mailboxes, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import recipients
from mailrotate.core.store.sending import inboxes, late_messages
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.values.mail import FolderCursor
from mailrotate.core.values.states import ReplyClass
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

LIMIT = 3
STEPS = ((timedelta(), "Hello", "Hello"), (timedelta(days=2), None, "Again"))


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    """Three a day: six until her next day ends."""
    anna = workspace.add_mailbox("anna@example.org", daily_limit=LIMIT)
    with workspace.store.writing() as connection:
        inboxes.note_read(connection, anna.id, "INBOX", FolderCursor(1, 0), NOW)
    return anna


@pytest.fixture
def lane(workspace: Workspace, anna: Sender) -> Lane:
    return workspace.own_lane(anna, workspace.add_runner())


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


def enrol(
    workspace: Workspace, campaign: StoredCampaign, count: int, step: int = 1, next_at: datetime = NOW
) -> list[int]:
    sender_id = workspace.senders(campaign)[0]
    return [
        workspace.add_recipient(
            campaign,
            f"{campaign.name}-{step}-{next_at:%d%H}-{n}@example.com",
            sender_id=sender_id,
            next_at=next_at,
            next_step=step,
            state="queued" if step == 1 else "active",
        )
        for n in range(count)
    ]


def plan(context: Context, lane: Lane, now: datetime = NOW) -> int:
    return planning.plan_lane(context, lane, StepCache(), now)


def waiting(workspace: Workspace, campaign: StoredCampaign) -> int:
    m = t.message.c
    query = select(func.count()).where(m.campaign_id == campaign.id, m.state == "scheduled")
    with workspace.store.reading() as connection:
        return int(connection.execute(query).scalar_one())


def test_f1_what_a_paused_campaign_has_planned_takes_nobody_elses_place(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """Else a pause of one campaign would stop every other of its mailboxes for as long as it lasts."""
    paused = workspace.add_campaign("paused", [anna])
    enrol(workspace, paused, 20)
    assert plan(context, lane) == 2 * LIMIT
    services.pause(context, "paused", NOW)
    other = workspace.add_campaign("other", [anna])
    enrol(workspace, other, 20)
    assert plan(context, lane) == 2 * LIMIT
    assert plan(context, lane) == 0
    assert (waiting(workspace, paused), waiting(workspace, other)) == (2 * LIMIT, 2 * LIMIT)


def test_f1_what_one_campaign_leaves_the_next_one_gets(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    small, big = workspace.add_campaign("small", [anna]), workspace.add_campaign("big", [anna])
    enrol(workspace, small, 1)
    enrol(workspace, big, 20)
    plan(context, lane)
    assert (waiting(workspace, small), waiting(workspace, big)) == (1, 2 * LIMIT - 1)


def test_c15_f1_what_a_failed_mailbox_cannot_send_takes_its_room(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """A mailbox that is away for a month does not put a month of messages into error."""
    campaign = workspace.add_campaign("autumn", [anna])
    enrol(workspace, campaign, 20)
    assert plan(context, lane) == 2 * LIMIT
    with workspace.store.writing() as connection:
        box = mailboxes.by_id(connection, anna.id)
        assert connection_errors.cut_off(connection, box, "535 no", NOW) == 2 * LIMIT
    assert plan(context, lane) == 0


def test_c15_what_a_failed_mailbox_cannot_send_is_not_moved_to_another(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    campaign = workspace.add_campaign("autumn", [anna, ben])
    enrol(workspace, campaign, 2)
    assert plan(context, lane) == 2
    with workspace.store.writing() as connection:
        health.fail(connection, mailboxes.by_id(connection, anna.id), ReplyClass.AUTH, "535 no", NOW)
    assert plan(context, workspace.own_lane(ben, workspace.add_runner())) == 0
    with workspace.store.reading() as connection:
        found = connection.execute(select(t.message.c.mailbox_id, t.message.c.state)).all()
        senders = connection.execute(select(t.recipient.c.campaign_sender_id).distinct()).scalars().all()
    assert [tuple(row) for row in found] == [(anna.id, "error")] * 2
    assert senders == [workspace.senders(campaign)[0]]


@pytest.mark.parametrize(("is_read", "first_messages"), [(True, 0), (False, 2 * LIMIT)])
def test_h5_follow_ups_that_wait_for_the_inbox_leave_their_place_to_first_messages(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, is_read: bool, first_messages: int
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], steps=STEPS)
    enrol(workspace, campaign, 20, step=2)
    enrol(workspace, campaign, 20)
    if not is_read:
        with workspace.store.writing() as connection:
            inboxes.note_failure(connection, anna.id, "INBOX", "timed out", NOW)
    plan(context, lane)
    assert waiting(workspace, campaign) == 2 * LIMIT + first_messages


def test_d9_a_step_with_a_sender_of_its_own_is_not_planned_without_end(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """Its rows wait in another lane, where the lane that plans them must not forget them."""
    campaign = workspace.add_campaign("autumn", [anna], rotates=False)
    chief = workspace.add_mailbox("chief@example.org")
    with workspace.store.writing() as connection:
        connection.execute(update(t.step_version).values(sender_mailbox_id=chief.id))
    enrol(workspace, campaign, 20)
    assert [plan(context, lane) for _ in range(3)] == [2 * LIMIT, 0, 0]


@pytest.mark.parametrize("is_parked_by_user", [False, True])
def test_h4_late_people_are_not_all_planned_and_parked_while_others_go_on(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, is_parked_by_user: bool
) -> None:
    """A million late people are not a million rows; who is not late is not among them."""
    campaign = workspace.add_campaign("autumn", [anna])
    back = NOW + timedelta(days=20)
    enrol(workspace, campaign, 30)
    with workspace.store.writing() as connection:
        if is_parked_by_user:
            late_messages.park(connection, workspace.senders(campaign), back - timedelta(days=7))
        else:
            workspaces.note_absence(connection, NOW, back)
    for _ in range(4):
        plan(context, lane, back)
        assert isinstance(Claims(context, lane).next(back), Nothing)
    assert waiting(workspace, campaign) == 2 * LIMIT
    enrol(workspace, campaign, 2, next_at=back)
    assert plan(context, lane, back) == 2


def test_d3_a_stop_during_planning_leaves_nothing_scheduled(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """Planning waits for whoever is ending its people, and then leaves them out."""
    campaign = workspace.add_campaign("autumn", [anna])
    enrol(workspace, campaign, 3)
    planned: list[int] = []
    planner = threading.Thread(target=lambda: planned.append(plan(context, lane)))
    with workspace.store.writing() as connection:
        everybody = recipients.of_campaign(campaign.id)
        recipients.end_many(connection, RECIPIENT["campaign_stopped"], "campaign_stopped", everybody, NOW)
        planner.start()
        planner.join(0.5)
    planner.join(30)
    assert planned == [0]
    assert waiting(workspace, campaign) == 0
