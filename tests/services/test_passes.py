"""What a pass says at its end of the mail that it had to leave."""

from datetime import timedelta

import pytest

from mailrotate.core.services.running import passes
from mailrotate.core.store import workspaces
from mailrotate.core.store.sending import inboxes
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org", gap_seconds=0)


def break_inbox(workspace: Workspace, *senders: Sender) -> None:
    with workspace.store.writing() as connection:
        for sender in senders:
            inboxes.note_failure(connection, sender.id, "INBOX", "no route", NOW)


def add_due(workspace: Workspace, sender: Sender, step: int, name: str = "autumn") -> None:
    """One person who waits for this step's message, which a campaign of that name sends."""
    campaign = workspace.add_campaign(name, [sender])
    person = workspace.add_recipient(campaign, "kim@example.com", next_step=step, state="active")
    workspace.add_message(sender, campaign, person, step=step)


@pytest.mark.parametrize("planned", [True, False])
def test_h5_follow_ups_behind_an_inbox_that_cannot_be_read_have_nobody_who_can_send_them(
    workspace: Workspace, anna: Sender, planned: bool
) -> None:
    if planned:
        add_due(workspace, anna, 2)
    else:
        campaign = workspace.add_campaign("autumn", [anna], steps=[(timedelta(), "Hi", "One")] * 2)
        sender_id = workspace.senders(campaign)[0]
        workspace.add_recipient(
            campaign, "kim@example.com", sender_id=sender_id, next_step=2, state="active", next_at=NOW
        )
    assert passes.outlook(context_of(workspace), NOW) == passes.Outlook()
    break_inbox(workspace, anna)
    assert passes.outlook(context_of(workspace), NOW) == passes.Outlook(True, (anna.address,))


def test_h5_first_messages_can_still_go(workspace: Workspace, anna: Sender) -> None:
    break_inbox(workspace, anna)
    add_due(workspace, anna, 1)
    add_due(workspace, anna, 2, "winter")
    assert passes.outlook(context_of(workspace), NOW) == passes.Outlook()


def test_h5_one_mailbox_that_can_send_is_enough(workspace: Workspace, anna: Sender) -> None:
    """The other is named all the same: its follow-ups wait for somebody."""
    ben = workspace.add_mailbox("ben@example.org", gap_seconds=0)
    add_due(workspace, anna, 2)
    add_due(workspace, ben, 2, "winter")
    break_inbox(workspace, anna)
    assert passes.outlook(context_of(workspace), NOW) == passes.Outlook(False, (anna.address,))
    break_inbox(workspace, ben)
    assert passes.outlook(context_of(workspace), NOW) == passes.Outlook(True, (anna.address, ben.address))


def test_h4_passes_that_do_not_send_are_part_of_an_absence(workspace: Workspace, anna: Sender) -> None:
    context, back = context_of(workspace), NOW + timedelta(days=9)
    passes.begin(context, NOW)
    for days in range(1, 9):
        passes.begin(context, NOW + timedelta(days=days), passes.Work.SYNC)
        passes.conclude(context, NOW + timedelta(days=days), passes.Work.SYNC)
    with workspace.store.reading() as connection:
        assert workspaces.absences(connection) == []
    passes.begin(context, back, passes.Work.SEND)
    with workspace.store.reading() as connection:
        assert workspaces.absences(connection) == [(NOW, back)]
        known = workspaces.find(connection)
    assert known is not None
    assert (known.last_pass_at, known.last_sending_pass_at) == (back, back)
