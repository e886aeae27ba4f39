"""What the next process does with the messages and lanes of runners that died (F3)."""

import pytest
from sqlalchemy import select

from mailrotate.core.services.context import Context
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.services.sending.recovery import recover
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.sending import lanes, liveness
from mailrotate.core.store.sending.outbox import Claim
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

# A runner of these tests is dead from the start, because no process holds its life lock.


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def campaign(workspace: Workspace) -> StoredCampaign:
    boxes = [workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben", "clara", "dora")]
    return workspace.add_campaign("autumn", boxes)


def claimed_by(
    workspace: Workspace, context: Context, campaign: StoredCampaign, box: Sender, runner_id: int
) -> int:
    """A message that this runner has claimed in this mailbox."""
    address = f"for-{box.id}@example.com"
    workspace.add_message(box, campaign, workspace.add_recipient(campaign, address), to=address)
    claimed = Claims(context, workspace.own_lane(box, runner_id)).next(NOW)
    assert isinstance(claimed, Claim)
    return claimed.message.id


def box_of(workspace: Workspace, address: str) -> Sender:
    m, c = t.mailbox.c, t.connection.c
    query = select(m.id, m.address, c.slot_id, c.id).join(t.connection, c.mailbox_id == m.id)
    with workspace.store.reading() as connection:
        return Sender(*connection.execute(query.where(m.address == address)).one())


def states(workspace: Workspace) -> list[str]:
    with workspace.store.reading() as connection:
        return list(connection.execute(select(t.message.c.state).order_by(t.message.c.id)).scalars())


def test_f3_a_dead_runners_messages_are_settled_and_its_lanes_are_free(
    workspace: Workspace, context: Context, campaign: StoredCampaign
) -> None:
    """What it had marked may have left and is held; the rest goes back."""
    one, two = workspace.add_runner(), workspace.add_runner()
    claimed_by(workspace, context, campaign, box_of(workspace, "anna@example.org"), one)
    marked = [
        claimed_by(workspace, context, campaign, box_of(workspace, f"{name}@example.org"), runner_id)
        for name, runner_id in (("ben", one), ("clara", one), ("dora", two))
    ]
    with workspace.store.writing() as connection:
        of_these = t.message.update().where(t.message.c.id.in_(marked))
        connection.execute(of_these.values(marked_at=NOW))
    assert recover(context, NOW) == 3
    assert states(workspace) == ["scheduled", "held", "held", "held"]
    with workspace.store.reading() as connection:
        assert lanes.owners(connection) == []
        assert liveness.living_runners(connection) == []
    assert recover(context, NOW) == 0


def test_f3_a_dead_runner_that_only_left_messages_is_found_by_them(
    workspace: Workspace, context: Context, campaign: StoredCampaign
) -> None:
    """Its end was noted and its lane is free, but it has not settled what it had claimed."""
    runner_id = workspace.add_runner()
    claimed_by(workspace, context, campaign, box_of(workspace, "anna@example.org"), runner_id)
    with workspace.store.writing() as connection:
        lanes.free_lanes_of(connection, runner_id)
        liveness.note_end(connection, runner_id, NOW)
    recover(context, NOW)
    assert states(workspace) == ["scheduled"]


def test_f3_a_dead_runner_that_only_owns_a_lane_is_found_by_it(
    workspace: Workspace, context: Context, campaign: StoredCampaign
) -> None:
    runner_id = workspace.add_runner()
    workspace.own_lane(box_of(workspace, "anna@example.org"), runner_id)
    with workspace.store.writing() as connection:
        liveness.note_end(connection, runner_id, NOW)
    recover(context, NOW)
    with workspace.store.reading() as connection:
        assert lanes.owners(connection) == []


def test_f3_a_living_runner_keeps_its_messages_and_its_lane(
    workspace: Workspace, context: Context, campaign: StoredCampaign
) -> None:
    runner = liveness.register(workspace.store, "run", NOW, "here")
    claimed_by(workspace, context, campaign, box_of(workspace, "anna@example.org"), runner.id)
    assert recover(context, NOW) == 0
    assert states(workspace) == ["sending"]
    with workspace.store.reading() as connection:
        assert lanes.owners(connection) == [runner.id]
    runner.end(NOW)
