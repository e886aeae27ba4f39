"""How much is asked of the database to show a list, for few and for many, on both databases."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import insert

from mailrotate.core.rules.transitions import DEADLINE
from mailrotate.core.services.campaigns import campaign_views
from mailrotate.core.services.contacts import contact_records
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.deciding.next_send import Prospects
from mailrotate.core.services.mailboxes import mailbox_requests, mailbox_views, slot_pool
from mailrotate.core.services.team import user_admin
from mailrotate.core.services.views import overview
from mailrotate.core.store import deadlines, mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.values.states import DeadlineKind, Role, SuppressionKind
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace, contact_of
from tests.support.statements import statements

FEW, MANY = 3, 30
STEPS = ((timedelta(), "Hello", "Hello {{ name }}"), (timedelta(days=2), None, "Again"))


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


def fill_lanes(workspace: Workspace, start: int, end: int) -> None:
    """A running campaign and a mailbox more for each number, and what can be in its lane: recipients who
    wait, a suppressed one, planned messages that are late or not, one written by hand; each mailbox is
    connected, failed, paused, away for an hour, or has used up its day."""
    for n in range(start, end):
        kind = n % 5
        state = {1: "failed", 3: "disconnected"}.get(kind, "connected")
        provider, zone = ("imap", "google", "microsoft")[n % 3], ("Asia/Tokyo", None)[n % 2]
        values = {"state": state, "provider": provider, "timezone": zone, "daily_limit": 1}
        box = workspace.add_mailbox(f"b{n}@example.org", **values)
        campaign = workspace.add_campaign(f"c{n}", [box], steps=STEPS)
        (sender_id,) = workspace.senders(campaign)
        for step, at in ((1, NOW), (2, NOW - timedelta(days=9)), (2, NOW)):
            workspace.add_recipient(
                campaign, f"p{n}.{step}.{at:%d}@example.com", sender_id=sender_id, next_step=step, next_at=at,
                state="queued" if step == 1 else "active",
            )  # fmt: skip
        person = workspace.add_recipient(campaign, f"planned{n}@example.com", sender_id=sender_id)
        workspace.add_message(box, campaign, person, to=f"planned{n}@example.com")
        with workspace.store.writing() as connection:
            if kind == 0:
                suppressions.add(
                    connection, SuppressionKind.ADDRESS, f"planned{n}@example.com",
                    reason="by_hand", source="test", added_by=None, now=NOW,
                )  # fmt: skip
            if kind == 2:
                mailboxes.change(connection, box.id, paused_at=NOW)
            if kind == 3:
                deadlines.begin(
                    connection, DEADLINE["begin"], box.id, [campaign.id], DeadlineKind.DISCONNECT, NOW,
                    NOW + timedelta(hours=1),
                )  # fmt: skip
        if kind == 4:
            sent_to = workspace.add_recipient(campaign, f"sent{n}@example.com", sender_id=sender_id)
            workspace.add_sent(box, NOW, campaign=campaign, recipient_id=sent_to)
            workspace.add_message(box, to="kim@example.com")


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


def test_campaigns_that_run_ask_as_much_for_many_as_for_few(workspace: Workspace) -> None:
    def look() -> int:
        return asked(workspace, lambda c: campaign_views.listing(c, NOW))

    fill_lanes(workspace, 0, 5)
    few = look()
    fill_lanes(workspace, 5, 15)
    assert look() == few


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


def test_status_asks_as_much_for_200_mailboxes_as_for_5(workspace: Workspace) -> None:
    def look() -> int:
        return asked(workspace, lambda c: overview.look(c, NOW))

    fill_lanes(workspace, 0, 5)
    few = look()
    fill_lanes(workspace, 5, 10)
    boxes = [workspace.add_mailbox(f"rotated{n}@example.org") for n in range(190)]
    campaign = workspace.add_campaign("rotated", boxes)
    for n, sender_id in enumerate(workspace.senders(campaign)):
        workspace.add_recipient(campaign, f"rotated{n}@example.com", sender_id=sender_id, next_at=NOW)
    assert look() == few


def test_many_lanes_together_are_decided_like_each_alone(workspace: Workspace) -> None:
    fill_lanes(workspace, 0, 15)
    context = context_of(workspace)
    with workspace.store.reading() as connection:
        ids = [box.id for box in mailboxes.listing(connection)]

        def prospects() -> Prospects:
            return Prospects(context, connection, NOW)

        together = prospects()
        assert together.of_lanes(ids) == {one: prospects().of_lane(one) for one in ids}
        assert sum(decision is not None for decision in together.of_lanes(ids).values()) > 5
        as_sent = {
            one: facts.mailbox_facts(connection, sending_mailboxes.by_id(connection, one), NOW) for one in ids
        }
        assert {one: together.mailbox_facts(one) for one in ids} == as_sent
        assert {known.sent_today for known in as_sent.values()} == {0, 1}


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
