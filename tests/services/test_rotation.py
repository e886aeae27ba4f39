"""Who of a rotation gets new recipients, on both databases (E1, E2)."""

import json
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import assigning
from mailrotate.core.services.sending import dealing, health
from mailrotate.core.store import campaigns, mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.values.states import ReplyClass, Rotation
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace
from tests.support.statements import statements


@pytest.fixture
def boxes(workspace: Workspace) -> list[Sender]:
    return [workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben", "cleo")]


@pytest.fixture
def campaign(workspace: Workspace, boxes: list[Sender]) -> StoredCampaign:
    return workspace.add_campaign(mailboxes=boxes)


def add(workspace: Workspace, campaign: StoredCampaign, count: int = 1) -> None:
    """New recipients, assigned as an import into a running campaign assigns them."""
    with workspace.store.reading() as connection:
        known = connection.execute(select(func.count()).select_from(t.recipient)).scalar_one()
    for number in range(known, known + count):
        workspace.add_recipient(campaign, f"p{number}@example.com")
    with workspace.store.writing() as connection:
        assigning.assign_waiting(connection, campaign.id, NOW)


def people(workspace: Workspace, campaign: StoredCampaign) -> list[int]:
    """How many recipients each sender has, in the order of adding."""
    with workspace.store.reading() as connection:
        senders = connection.execute(select(t.recipient.c.campaign_sender_id)).scalars().all()
    counts = Counter(senders)
    return [counts[sender] for sender in workspace.senders(campaign)]


def fail(workspace: Workspace, box: Sender) -> None:
    with workspace.store.writing() as connection:
        health.fail(connection, mailboxes.by_id(connection, box.id), ReplyClass.AUTH, "535 no", NOW)


def recover(workspace: Workspace, box: Sender) -> None:
    with workspace.store.writing() as connection:
        health.recover(connection, mailboxes.by_id(connection, box.id), NOW)


def test_e1_three_senders_that_flap_between_a_hundred_adds_get_33_or_34_people_each(
    workspace: Workspace, campaign: StoredCampaign, boxes: list[Sender]
) -> None:
    for number in range(100):
        add(workspace, campaign)
        box = boxes[number % 3]
        for _ in range(20 if number in (10, 41, 72) else 1):
            fail(workspace, box)
            recover(workspace, box)
    assert sorted(people(workspace, campaign)) == [33, 33, 34]


def test_e1_a_sender_that_fails_over_imports_is_given_no_arrears(
    workspace: Workspace, campaign: StoredCampaign, boxes: list[Sender]
) -> None:
    add(workspace, campaign, 9)
    fail(workspace, boxes[0])
    add(workspace, campaign, 10)
    assert people(workspace, campaign) == [3, 8, 8]
    recover(workspace, boxes[0])
    # One behind the others by the rotation's count, so that it is next once.
    add(workspace, campaign, 7)
    assert people(workspace, campaign) == [6, 10, 10]


@pytest.mark.parametrize("trouble", ["failed", "disconnected", "locked"])
def test_e1_a_sender_that_is_away_or_locked_gets_nobody_new_and_one_at_its_limit_does(
    workspace: Workspace, trouble: str
) -> None:
    una = workspace.add_user("una@example.net")
    boxes = [workspace.add_mailbox("anna@example.org"), workspace.add_mailbox("una@example.org", una)]
    campaign = workspace.add_campaign(mailboxes=boxes)
    with workspace.store.writing() as connection:
        mailboxes.change_connection(connection, boxes[0].connection_id, daily_limit=1)
        if trouble == "locked":
            connection.execute(update(t.user).where(t.user.c.id == una.id).values(state="locked"))
        else:
            mailboxes.change_connection(connection, boxes[1].connection_id, state=trouble)
    workspace.add_sent(boxes[0], NOW)
    add(workspace, campaign, 4)
    assert people(workspace, campaign) == [4, 0]


def test_e1_a_sender_that_joins_gets_its_share_of_new_people_only(
    workspace: Workspace, campaign: StoredCampaign, boxes: list[Sender]
) -> None:
    add(workspace, campaign, 30)
    dora = workspace.add_mailbox("dora@example.org")
    with workspace.store.writing() as connection:
        row = {"campaign_id": campaign.id, "mailbox_id": dora.id, "position": 3, "joined_at": NOW}
        connection.execute(t.campaign_sender.insert().values(**row))
    add(workspace, campaign, 9)
    assert people(workspace, campaign) == [12, 12, 12, 3]


def test_e1_removals_and_moves_neither_count_nor_rebalance(
    workspace: Workspace, campaign: StoredCampaign, boxes: list[Sender]
) -> None:
    add(workspace, campaign, 6)
    _, ben, cleo = workspace.senders(campaign)
    with workspace.store.writing() as connection:
        r = t.recipient.c
        connection.execute(update(t.recipient).where(r.campaign_sender_id == cleo).values(state="stopped"))
        moved = update(t.recipient).where(r.campaign_sender_id == ben).values(campaign_sender_id=cleo)
        connection.execute(moved)
    add(workspace, campaign, 3)
    assert people(workspace, campaign) == [3, 1, 5]


def test_e1_a_sender_that_left_and_came_back_keeps_its_place(
    workspace: Workspace, campaign: StoredCampaign, boxes: list[Sender]
) -> None:
    def let(left: bool) -> None:
        with workspace.store.writing() as connection:
            row = update(t.campaign_sender).where(t.campaign_sender.c.id == workspace.senders(campaign)[2])
            connection.execute(row.values(left_at=NOW if left else None))

    add(workspace, campaign, 5)
    let(True)
    let(False)
    add(workspace, campaign)
    assert people(workspace, campaign) == [2, 2, 2]
    let(True)
    add(workspace, campaign, 20)
    let(False)
    add(workspace, campaign, 4)
    assert people(workspace, campaign) == [13, 13, 4]


def test_e1_the_reason_of_an_assignment_is_kept_in_words(
    workspace: Workspace, campaign: StoredCampaign, boxes: list[Sender]
) -> None:
    add(workspace, campaign, 4)
    fail(workspace, boxes[2])
    add(workspace, campaign)
    with workspace.store.reading() as connection:
        query = select(t.assignment.c.words).order_by(t.assignment.c.id)
        assert connection.execute(query).scalars().all() == [
            "fewest assigned: anna@example.org 0, ben@example.org 0, cleo@example.org 0",
            "fewest assigned: anna@example.org 2, ben@example.org 1",
        ]


DAY = timedelta(days=1)


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def by_room(workspace: Workspace, boxes: list[Sender]) -> StoredCampaign:
    """A rotation by capacity: anna has room for 3 a day, ben for 10, cleo for 4."""
    made = workspace.add_campaign(mailboxes=boxes)
    with workspace.store.writing() as connection:
        campaigns.change(connection, made.id, rotation=Rotation.CAPACITY)
        for box, limit in zip(boxes, (3, 10, 4), strict=True):
            mailboxes.change_connection(connection, box.connection_id, daily_limit=limit, gap_seconds=0)
        return campaigns.by_id(connection, made.id)


def test_e2_by_capacity_recipients_wait_until_they_are_due_and_then_most_room_is_next(
    workspace: Workspace, context: Context, by_room: StoredCampaign
) -> None:
    add(workspace, by_room, 9)
    assert people(workspace, by_room) == [0, 0, 0]
    assert dealing.deal(context, NOW - timedelta(seconds=1)) == 0
    assert dealing.deal(context, NOW) == 9
    # Six for ben until all have as much as cleo, then cleo, and ben again, who was given more.
    assert people(workspace, by_room) == [1, 7, 1]
    assert dealing.deal(context, NOW) == 0


def test_e2_by_capacity_nobody_gets_more_than_today_has_room_for_and_the_others_wait(
    workspace: Workspace, context: Context, by_room: StoredCampaign
) -> None:
    add(workspace, by_room, 40)
    assert dealing.deal(context, NOW) == 17
    assert people(workspace, by_room) == [3, 10, 4]
    # What was assigned takes the room until it has left.
    assert dealing.deal(context, NOW + timedelta(hours=1)) == 0
    with workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=None))
        assigning.assign_waiting(connection, by_room.id, NOW + DAY)
    assert dealing.deal(context, NOW + DAY) == 17


@pytest.mark.parametrize(
    "trouble",
    [
        {"hold_reason": "limit", "hold_class": "limit", "hold_until": NOW + DAY},
        {"hold_reason": "refused", "hold_class": "sender"},
        {"paused_at": NOW},
    ],
)
def test_e2_field_49_a_held_or_resting_mailbox_has_no_room(
    workspace: Workspace,
    context: Context,
    by_room: StoredCampaign,
    boxes: list[Sender],
    trouble: dict[str, object],
) -> None:
    with workspace.store.writing() as connection:
        mailboxes.change(connection, boxes[1].id, **trouble)
    fail(workspace, boxes[2])
    add(workspace, by_room, 9)
    assert dealing.deal(context, NOW) == 3
    assert people(workspace, by_room) == [3, 0, 0]


def test_e2_due_follow_ups_and_what_was_sent_today_take_room(
    workspace: Workspace, context: Context, by_room: StoredCampaign, boxes: list[Sender]
) -> None:
    other = workspace.add_campaign("other", [boxes[1]])
    (sender,) = workspace.senders(other)
    for number in range(4):
        workspace.add_recipient(
            other, f"f{number}@example.com", sender_id=sender, state="active", next_step=2, next_at=NOW
        )
    later = {"next_step": 2, "next_at": NOW + 3 * DAY, "state": "active", "sender_id": sender}
    workspace.add_recipient(other, "later@example.com", **later)  # type: ignore[arg-type]  # by name
    workspace.add_sent(boxes[1], NOW)
    workspace.add_message(boxes[1])
    add(workspace, by_room, 40)
    assert dealing.deal(context, NOW) == 3 + 4 + 4
    assert people(workspace, by_room) == [3, 4, 4]


def test_e2_nobody_gets_a_mailbox_while_the_window_is_closed(
    workspace: Workspace, context: Context, by_room: StoredCampaign
) -> None:
    window = json.dumps({"blocks": [{"days": "mon-sun", "hours": "15:00-16:00"}]})
    with workspace.store.writing() as connection:
        connection.execute(update(t.campaign_version).values(window=window, timezone="UTC"))
    add(workspace, by_room, 2)
    assert dealing.deal(context, NOW) == 0
    assert dealing.deal(context, NOW.replace(hour=15)) == 2
    assert dealing.deal(context, NOW.replace(hour=16)) == 0


def test_e2_a_paused_campaign_deals_nobody_out(
    workspace: Workspace, context: Context, by_room: StoredCampaign
) -> None:
    add(workspace, by_room, 2)
    with workspace.store.writing() as connection:
        campaigns.change(connection, by_room.id, state="paused")
    assert dealing.deal(context, NOW) == 0


def test_e2_the_reason_of_a_choice_by_capacity_is_the_room(
    workspace: Workspace, context: Context, by_room: StoredCampaign
) -> None:
    add(workspace, by_room)
    dealing.deal(context, NOW)
    with workspace.store.reading() as connection:
        words = connection.execute(select(t.assignment.c.words)).scalar_one()
    assert words == "most room today: anna@example.org 3, ben@example.org 10, cleo@example.org 4"


def test_e2_one_statement_assigns_thousands_of_people_by_large_weights(
    workspace: Workspace, campaign: StoredCampaign
) -> None:
    weights, everyone = (997, 991, 983), range(1, 3001)
    with workspace.store.writing() as connection:
        for sender, weight in zip(workspace.senders(campaign), weights, strict=True):
            row = update(t.campaign_sender).where(t.campaign_sender.c.id == sender)
            connection.execute(row.values(weight=weight))
        campaigns.change(connection, campaign.id, rotation=Rotation.WEIGHTED)
        contacts = [{"id": n, "fields": "{}", "created_at": NOW} for n in everyone]
        connection.execute(insert(t.contact), contacts)
        row = {"campaign_id": campaign.id, "state": "queued", "fields": "{}", "next_step": 1}
        recipients = [{**row, "contact_id": n, "enrolled_at": NOW} for n in everyone]
        connection.execute(insert(t.recipient), recipients)
    with statements(workspace.store) as asked, workspace.store.writing() as connection:
        assert assigning.assign_waiting(connection, campaign.id, NOW) == len(everyone)
    assert len([one for one in asked if one.startswith("UPDATE recipient")]) == 1
    for count, weight in zip(people(workspace, campaign), weights, strict=True):
        assert abs(count - len(everyone) * weight / sum(weights)) <= 1
