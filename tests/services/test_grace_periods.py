"""For whom a slot is reserved, what is asked about it, and what ends that (A5, B8, C11)."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select

from mailrotate.core.services.effects import grace_periods
from mailrotate.core.store import tables as t
from mailrotate.core.values.errors import ConfirmationNeeded
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

LATER = NOW + timedelta(days=2)
SECOND = timedelta(seconds=1)


@pytest.fixture
def gone(workspace: Workspace) -> Sender:
    """A mailbox that may come back to its slot until LATER."""
    return leave(workspace, workspace.add_mailbox("gone@example.org", state="disconnected"))


def leave(workspace: Workspace, box: Sender) -> Sender:
    campaign = workspace.add_campaign(box.address.partition("@")[0], [box])
    row = {"mailbox_id": box.id, "campaign_id": campaign.id, "kind": "disconnect", "started_at": NOW}
    with workspace.store.writing() as connection:
        connection.execute(insert(t.deadline).values(ends_at=LATER, **row))
    return box


def ends(workspace: Workspace) -> list[datetime | None]:
    with workspace.store.reading() as connection:
        return list(connection.execute(select(t.deadline.c.ended_at).order_by(t.deadline.c.id)).scalars())


def test_a5_a_reserved_slot_is_refused_until_its_grace_is_over(workspace: Workspace, gone: Sender) -> None:
    with workspace.store.reading() as connection:
        with pytest.raises(ConfirmationNeeded) as refused:
            grace_periods.refuse_awaited(connection, gone.slot_id, "new@example.org", LATER - SECOND)
        grace_periods.refuse_awaited(connection, gone.slot_id, "new@example.org", LATER)
        grace_periods.refuse_awaited(connection, gone.slot_id, gone.address, NOW)
    assert refused.value.code == "slot.awaited"
    assert refused.value.message == (
        f"s_{gone.slot_id} is reserved for gone@example.org, whose campaigns can still resume there"
    )
    assert refused.value.hint == "add --yes to take it anyway"


def test_a5_the_question_is_about_the_slot_and_the_user_that_are_named(workspace: Workspace) -> None:
    ben = workspace.add_user("ben@example.org")
    mine = leave(workspace, workspace.add_mailbox("mine@example.org", state="disconnected"))
    second = leave(workspace, workspace.add_mailbox("second@example.org", state="disconnected"))
    his = leave(workspace, workspace.add_mailbox("his@example.org", ben, state="disconnected"))
    context = context_of(workspace)

    def awaited(user: str | None = None, slot_id: int | None = None) -> list[str]:
        found = grace_periods.awaited_returns(context, "new@example.org", user, slot_id, NOW)
        return [one.mailbox for one in found]

    assert awaited(slot_id=mine.slot_id) == ["mine@example.org"]
    assert awaited(slot_id=second.slot_id) == ["second@example.org"]
    assert awaited("ben@example.org", his.slot_id) == ["his@example.org"]


def test_b8_the_grace_periods_of_a_removed_mailbox_end_and_no_others(
    workspace: Workspace, gone: Sender
) -> None:
    leave(workspace, workspace.add_mailbox("other@example.org", state="disconnected"))
    with workspace.store.writing() as connection:
        grace_periods.end_with_mailbox(connection, gone.id, NOW)
    assert ends(workspace) == [NOW, None]
