"""Who of a rotation gets new recipients, on both databases (E1, E2)."""

from collections import Counter

import pytest
from sqlalchemy import func, select, update

from mailrotate.core.rules.replies import ReplyClass
from mailrotate.core.services.effects import assigning
from mailrotate.core.services.sending import health
from mailrotate.core.store import mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from tests.support.rows import NOW, Sender, Workspace


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
