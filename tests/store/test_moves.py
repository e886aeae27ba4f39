"""Writing a change of state on both databases: whatever a row is in, only what is legal changes it."""

import pytest
from sqlalchemy import CheckConstraint, insert, select, update

from mailrotate.core.rules import transitions
from mailrotate.core.rules.transitions import CAMPAIGN, DEADLINE, MESSAGE, RECIPIENT
from mailrotate.core.store import deadlines, moves
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.people import recipients
from mailrotate.core.store.rows import METADATA
from mailrotate.core.store.sending import outbox
from mailrotate.core.values.transition import Transition
from tests.support.rows import NOW, Workspace
from tests.support.statements import statements

MACHINES = (
    transitions.CAMPAIGN,
    transitions.RECIPIENT,
    transitions.MESSAGE,
    transitions.CONNECTION,
    transitions.USER,
    transitions.REQUEST,
)
MOVING = [moving for machine in MACHINES for moving in machine.values() if moving.origins]


def states_of(machine: str) -> list[str]:
    """Those that the table's CHECK allows."""
    table = METADATA.tables[machine]
    (check,) = (
        str(each.sqltext)
        for each in table.constraints
        if isinstance(each, CheckConstraint) and str(each.sqltext).startswith("state ")
    )
    return check.split("'")[1::2]


@pytest.fixture
def row_ids(store: Store, workspace: Workspace) -> dict[str, int]:
    """A row of each machine."""
    box = workspace.add_mailbox("anna@example.org")
    campaign = workspace.add_campaign(mailboxes=[box])
    person = workspace.add_recipient(campaign, "kim@example.com")
    admin = workspace.admin.id
    request = {"address": "a@b.example", "canonical": "a@b.example", "user_id": admin, "requested_by": admin}
    with store.writing() as connection:
        new = {**moves.born(transitions.REQUEST["request"]), **request, "checks": "[]", "requested_at": NOW}
        made = connection.execute(insert(t.mailbox_request).values(**new))
    return {
        "campaign": campaign.id,
        "recipient": person,
        "message": workspace.add_message(box, campaign, person),
        "connection": box.connection_id,
        "user": admin,
        "mailbox_request": int(made.inserted_primary_key[0]),
    }


def test_every_pair_of_state_and_event_changes_a_row_or_leaves_it(
    store: Store, row_ids: dict[str, int]
) -> None:
    for moving in MOVING:
        table = t.METADATA.tables[moving.machine]
        this = table.c.id == row_ids[moving.machine]
        for state in states_of(moving.machine):
            with store.writing() as connection:
                savepoint = connection.begin_nested()
                connection.execute(update(table).where(this).values(state=state))
                assert moves.move(connection, moving, row_ids[moving.machine]) == (state in moving.origins)
                after = connection.execute(select(table.c.state).where(this)).scalar_one()
                assert after == (moving.target if state in moving.origins else state)
                savepoint.rollback()


def test_the_set_form_changes_those_that_may_change_and_says_how_many(
    store: Store, workspace: Workspace
) -> None:
    campaign = workspace.add_campaign(mailboxes=[workspace.add_mailbox("anna@example.org")])
    for state in states_of("recipient"):
        workspace.add_recipient(campaign, f"{state}@example.com", state=state, next_at=NOW)
    ended = RECIPIENT["campaign_stopped"]
    with statements(store) as asked, store.writing() as connection:
        all_of_it = recipients.of_campaign(campaign.id)
        assert recipients.end_many(connection, ended, "enough", all_of_it, NOW) == len(ended.origins)
        assert recipients.end_many(connection, ended, "enough", all_of_it, NOW) == 0
    assert len([statement for statement in asked if statement.startswith("UPDATE")]) == 2
    with store.reading() as connection:
        r = t.recipient.c
        reasons = connection.execute(
            select(r.reason, r.next_at, r.ended_at).where(r.reason.is_not(None))
        ).all()
    assert [tuple(row) for row in reasons] == [("enough", None, NOW)] * len(ended.origins)


def test_f1_what_is_cancelled_is_a_set_of_a_campaign_with_or_without_its_tests(
    store: Store, workspace: Workspace
) -> None:
    box = workspace.add_mailbox("anna@example.org")
    campaign = workspace.add_campaign(mailboxes=[box])
    workspace.add_message(box, campaign, workspace.add_recipient(campaign, "kim@example.com"))
    workspace.add_message(box, campaign, kind="test")
    cancel = MESSAGE["cancel"]
    with store.writing() as connection:
        assert moves.move_many(connection, cancel, outbox.of_campaign(campaign.id)) == 1
        assert moves.move_many(connection, cancel, outbox.of_campaign(campaign.id, tests=True)) == 1


def test_a_statement_is_made_once_for_each_transition() -> None:
    same = Transition("campaign", "start", CAMPAIGN["start"].origins, CAMPAIGN["start"].target)
    assert moves.moving(CAMPAIGN["start"]) is moves.moving(same)


def test_b8_a_deadline_ends_once(store: Store, workspace: Workspace) -> None:
    box = workspace.add_mailbox("anna@example.org")
    campaign = workspace.add_campaign(mailboxes=[box])
    row = {
        "mailbox_id": box.id,
        "campaign_id": campaign.id,
        "kind": "disconnect",
        "started_at": NOW,
        "ends_at": NOW,
    }
    with store.writing() as connection:
        deadline_id = connection.execute(insert(t.deadline).values(**row)).inserted_primary_key[0]
        assert deadlines.end(connection, DEADLINE["mailbox_removed"], [deadline_id], NOW) == 1
        assert deadlines.end(connection, DEADLINE["mailbox_removed"], [deadline_id], NOW) == 0
        assert deadlines.running(connection, [box.id]) == {}
