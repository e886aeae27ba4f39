"""A message that cannot be written is an error of its own: nobody else waits for it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailrotate.core.services.context import Context
from mailrotate.core.services.sending.claiming import claim_next
from mailrotate.core.services.sending.rendering import StepCache
from mailrotate.core.store import campaigns
from mailrotate.core.store import tables as t
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.states import MessageKind, Priority
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

TEST = {"kind": MessageKind.TEST, "priority": Priority.BY_HAND, "fields": "{}"}


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


@pytest.fixture
def lane(workspace: Workspace, anna: Sender) -> Lane:
    return workspace.own_lane(anna, workspace.add_runner())


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


def claimed(context: Context, lane: Lane) -> int | None:
    found = claim_next(context, lane, StepCache(), NOW)
    return found.message.id if isinstance(found, Claim) else None


def row(workspace: Workspace, message_id: int) -> tuple[str, str | None]:
    query = select(t.message.c.state, t.message.c.error_text).where(t.message.c.id == message_id)
    with workspace.store.reading() as connection:
        return tuple(connection.execute(query).one())  # type: ignore[return-value]  # a row of these two


def test_d7_a_test_whose_draft_was_deleted_blocks_no_lane(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """It was held, its draft deleted, and then resolved as not sent."""
    orphan = workspace.add_message(anna, **TEST)
    campaign = workspace.add_campaign("autumn", [anna])
    kim = workspace.add_recipient(campaign, "kim@example.com")
    next_one = workspace.add_message(anna, campaign, kim)
    assert claimed(context, lane) == next_one
    assert row(workspace, orphan) == ("error", "its campaign was deleted")


def test_d7_a_test_of_a_step_that_is_gone_blocks_no_lane(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """It waited for the next day, and meanwhile the draft was edited to fewer steps."""
    draft = workspace.add_campaign("draft", [anna], state="draft")
    lost = workspace.add_message(anna, draft, step=2, **TEST)
    campaign = workspace.add_campaign("autumn", [anna])
    kim = workspace.add_recipient(campaign, "kim@example.com")
    next_one = workspace.add_message(anna, campaign, kim)
    assert claimed(context, lane) == next_one
    assert row(workspace, lost) == ("error", "its step was removed from the campaign")


def test_f4_the_third_content_error_stops_the_campaign_at_once(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """Also within one look at the lane: the fourth message stays as it is, and another campaign goes on."""
    broken = workspace.add_campaign("broken", [anna], steps=((timedelta(), "Hello", "{{ missing }}"),))
    messages = [
        workspace.add_message(anna, broken, workspace.add_recipient(broken, f"p{n}@example.com"))
        for n in range(6)
    ]
    assert claimed(context, lane) is None
    assert [row(workspace, message)[0] for message in messages] == ["error"] * 3 + ["scheduled"] * 3
    with workspace.store.reading() as connection:
        assert campaigns.by_id(connection, broken.id).pause_reasons == ("content_errors",)
