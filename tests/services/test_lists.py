"""How much is asked of the database to show a list, for few and for many, on both databases."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import insert

from mailrotate.core.services.campaigns import campaign_views
from mailrotate.core.services.contacts import contact_records
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import mailbox_requests, mailbox_views, slot_pool
from mailrotate.core.services.team import user_admin
from mailrotate.core.services.views import overview
from mailrotate.core.store import tables as t
from mailrotate.core.values.states import Role
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace, contact_of
from tests.support.statements import statements

FEW, MANY = 3, 30


def list_contacts(context: Context) -> list[object]:
    with contact_records.listing(context, contact_records.Wanted()) as found:
        return list(found)


LISTS: dict[str, Callable[[Context], object]] = {
    "user list": user_admin.listing,
    "slot list": lambda c: slot_pool.listing(c, NOW),
    "mailbox list": lambda c: mailbox_views.listing(c, NOW),
    "mailbox requests": mailbox_requests.listing,
    "contact list": list_contacts,
    "campaign list": lambda c: campaign_views.listing(c, NOW),
}


def grow(workspace: Workspace, start: int, end: int) -> None:
    """A user more for each number, with a mailbox that has sent, a request, a contact, a running grace and a
    campaign that is paused."""
    for n in range(start, end):
        user = workspace.add_user(f"u{n}@example.org")
        box = workspace.add_mailbox(f"b{n}@example.org", user, timezone=("Asia/Tokyo", None)[n % 2])
        campaign = workspace.add_campaign(f"c{n}", [box], owner=user, state="paused")
        (sender_id,) = workspace.senders(campaign)
        person = workspace.add_recipient(campaign, f"p{n}@example.com", sender_id=sender_id, state="active")
        workspace.add_sent(box, NOW, campaign=campaign, recipient_id=person, campaign_sender_id=sender_id)
        with workspace.store.writing() as connection:
            contact_of(connection, f"k{n}@example.com")
            connection.execute(
                insert(t.deadline).values(
                    campaign_id=campaign.id,
                    mailbox_id=box.id,
                    kind="failure",
                    started_at=NOW,
                    ends_at=NOW + timedelta(hours=1),
                )
            )
        mailbox_requests.request(context_of(workspace, user), f"new{n}@example.org", None, NOW)


def asked(workspace: Workspace, show: Callable[[Context], object]) -> int:
    context = context_of(workspace)
    with statements(workspace.store) as seen:
        show(context)
    return len(seen)


@pytest.fixture
def counts(workspace: Workspace) -> dict[str, tuple[int, int]]:
    grow(workspace, 0, FEW)
    few = {name: asked(workspace, show) for name, show in LISTS.items()}
    grow(workspace, FEW, MANY)
    return {name: (few[name], asked(workspace, show)) for name, show in LISTS.items()}


def test_campaigns_that_run_ask_more_for_their_next_send_alone(workspace: Workspace) -> None:
    """What the gates say of each lane and campaign is asked one by one, as when it is sent."""

    def look() -> int:
        return asked(workspace, lambda c: campaign_views.listing(c, NOW))

    box = workspace.add_mailbox("anna@example.org")
    counts = []
    for n in range(5):
        workspace.add_campaign(f"c{n}", [box])
        counts.append(look())
    assert {more - few for few, more in pairwise(counts)} == {5}


def test_a_list_asks_as_much_for_many_as_for_few(counts: dict[str, tuple[int, int]]) -> None:
    assert {name: many for name, (_, many) in counts.items()} == {
        name: few for name, (few, _) in counts.items()
    }


def test_status_asks_as_much_for_many_users_and_campaigns_as_for_few(workspace: Workspace) -> None:
    def look() -> int:
        return asked(workspace, lambda c: overview.look(c, NOW))

    box = workspace.add_mailbox("anna@example.org")
    workspace.add_campaign("autumn", [box], state="paused")
    few = look()
    for n in range(MANY):
        workspace.add_user(f"u{n}@example.org", Role.MEMBER)
        workspace.add_campaign(f"c{n}", [box], state="paused")
    assert look() == few


def test_a3_b4_a_list_of_mailboxes_counts_each_ones_own_day_and_shows_its_deadlines(
    workspace: Workspace,
) -> None:
    grow(workspace, 0, 2)
    workspace.add_mailbox("idle@example.org")
    context = context_of(workspace)
    listed = mailbox_views.listing(context, NOW)
    assert [(box.sent_today, len(box.deadlines)) for box in listed] == [(1, 1), (1, 1), (0, 0)]
    assert listed == [mailbox_views.show(context, box.address, NOW).listed for box in listed]
    seats = {seat.email: seat for seat in user_admin.listing(context)}
    assert seats == {email: user_admin.show(context, email) for email in seats}
    assert [(seat.connected, seat.total) for seat in seats.values()] == [(1, 2)] * 3
