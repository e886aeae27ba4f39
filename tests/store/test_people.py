"""Recipients, campaigns, suppressions and the log on both databases."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from mailrotate.core.rules.rotation import Seat, spread
from mailrotate.core.rules.steps import due_again
from mailrotate.core.rules.transitions import CAMPAIGN, RECIPIENT
from mailrotate.core.store import (
    campaigns,
    connections,
    events,
    mailboxes,
    moves,
    progress,
    removals,
    senders,
    workspaces,
)
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import NewStep
from mailrotate.core.store.engine import Store
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.people import assignments, due_recipients, recipients, suppressions
from mailrotate.core.store.sending import inboxes, sending_mailboxes
from mailrotate.core.values.mail import FolderCursor
from mailrotate.core.values.spread import EVERYONE, Assignment
from mailrotate.core.values.states import SuppressionKind
from tests.support.rows import NOW, Sender, Workspace

SOON = NOW + timedelta(minutes=1)


@pytest.fixture
def boxes(workspace: Workspace) -> list[Sender]:
    return [workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben", "cleo")]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts=st.lists(st.integers(0, 3), min_size=3, max_size=3), people=st.integers(1, 12))
def test_e1_one_statement_assigns_as_the_rule_says(
    store: Store, workspace: Workspace, counts: list[int], people: int
) -> None:
    """`assign` and `Spread.sender_of` agree for any head start and any number of people."""
    number = workspace.add_runner()
    mine = [workspace.add_mailbox(f"b{number}.{n}@example.org") for n in range(3)]
    campaign = workspace.add_campaign(f"c{number}", mine)
    senders = workspace.senders(campaign)
    seats = [Seat(s, n, count, True) for n, (s, count) in enumerate(zip(senders, counts, strict=True))]
    found = spread(seats, people)
    assert found is not None
    how = Assignment({EVERYONE: found}, "equal", {EVERYONE: None})
    elsewhere = workspace.add_recipient(campaign, f"{number}.here@example.com", sender_id=senders[0])
    for n in range(people):
        workspace.add_recipient(campaign, f"{number}.p{n}@example.com")
    with store.writing() as connection:
        assignments.assign(connection, campaign.id, how, SOON)
        assigned = list(recipients.listing(connection, campaign.id))
        assert assignments.unassigned_count(connection, campaign.id) == 0
    assert [person.campaign_sender_id for person in assigned[1:]] == [
        found.sender_of(n) for n in range(people)
    ]
    assert {person.next_at for person in assigned[1:]} == {SOON}
    assert (assigned[0].id, assigned[0].next_at) == (elsewhere, None)


def test_e1_a_sender_that_took_no_part_keeps_its_count_and_is_known_to_have_been_away(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    campaign = workspace.add_campaign(mailboxes=boxes)
    a, b, c = workspace.senders(campaign)
    with store.writing() as connection:
        senders.note_counts(connection, campaign.id, {a: (2, 1), b: (1, 3)})
        senders.note_counts(connection, campaign.id, {b: (4, 3), c: (2, 1)})
        known = senders.senders_of(connection, campaign.id)
    assert [(one.assigned_count, one.counted_weight) for one in known] == [(2, None), (4, 3), (2, 1)]


def test_h3_due_people_come_in_order_and_follow_ups_by_themselves(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    campaign = workspace.add_campaign(mailboxes=boxes)
    sender, other, _ = workspace.senders(campaign)
    late = workspace.add_recipient(campaign, "a@example.com", sender_id=sender, next_at=NOW)
    early = workspace.add_recipient(campaign, "b@example.com", sender_id=sender, next_at=NOW - timedelta(1))
    follow = workspace.add_recipient(campaign, "c@example.com", sender_id=sender, next_at=NOW, next_step=2)
    workspace.add_recipient(campaign, "d@example.com", sender_id=other, next_at=NOW)
    workspace.add_recipient(campaign, "e@example.com", sender_id=sender, next_at=SOON)
    with store.writing() as connection:
        first = due_recipients.due_in_lane(connection, sender, SOON, False, 10)
        assert [person.id for person in first] == [early, late]
        assert [person.id for person in due_recipients.due_in_lane(connection, sender, SOON, True, 10)] == [
            follow
        ]
        assert len(due_recipients.due_in_lane(connection, sender, SOON, False, 1)) == 1
        due_recipients.mark_planned(connection, [early, late])
        assert due_recipients.due_in_lane(connection, sender, SOON, False, 10) == []
        assert first[0].email == "b@example.com"


def test_recipients_are_listed_by_state_and_sender_in_pages(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    campaign = workspace.add_campaign(mailboxes=boxes)
    sender, other, _ = workspace.senders(campaign)
    ids = [
        workspace.add_recipient(campaign, f"p{n}@example.com", sender_id=by, state=state)
        for n, (by, state) in enumerate(((sender, "queued"), (other, "active"), (sender, "active")))
    ]
    workspace.add_message(boxes[0], campaign, ids[2], state="sent", sent_at=NOW)
    workspace.add_message(boxes[0], campaign, ids[2], step=2, ready_at=SOON)
    with store.reading() as connection:

        def listed(**which: object) -> list[int]:
            return [person.id for person in recipients.listing(connection, campaign.id, **which)]  # type: ignore[arg-type]  # by name

        assert listed() == ids
        assert listed(state="active") == ids[1:]
        assert listed(sender="anna@example.org") == [ids[0], ids[2]]
        assert listed(after=ids[0], limit=1) == [ids[1]]
        assert progress.people(connection, [campaign.id]) == {campaign.id: {"queued": 1, "active": 2}}
        assert recipients.counts_by_sender(connection, campaign.id) == {sender: 2, other: 1}
        third = recipients.find(connection, campaign.id, "p2@example.com")
    assert third is not None
    assert (third.sent_count, third.next_at, third.sender) == (1, SOON, "anna@example.org")


def test_a_recipient_changes_state_only_from_where_it_is_expected(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    person = workspace.add_recipient(workspace.add_campaign(mailboxes=boxes), "kim@example.com")
    with store.writing() as connection:
        assert not moves.move(connection, RECIPIENT["retried"], person)
        assert moves.move(connection, RECIPIENT["replied"], person, reason="reply")
        found = recipients.by_id(connection, person)
    assert found is not None
    assert (found.state, found.reason) == ("replied", "reply")


def test_d6_a_suppressed_domain_finds_its_open_people_and_those_below_it(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    autumn, winter = (workspace.add_campaign(name, boxes) for name in ("one", "two"))
    kim = workspace.add_recipient(autumn, "kim@example.com")
    again = workspace.add_recipient(winter, "kim@example.com")
    lee = workspace.add_recipient(autumn, "lee@example.com", state="active")
    workspace.add_recipient(winter, "lee@example.com", state="replied")
    moe = workspace.add_recipient(autumn, "moe@a.sub.example.com")
    workspace.add_recipient(autumn, "pia@otherexample.com")
    jo = workspace.add_recipient(autumn, "j.o@gmail.com")
    with store.reading() as connection:
        assert recipients.open_of_address(connection, None, "example.com") == [kim, again, lee, moe]
        assert recipients.open_of_address(connection, "kim@example.com", None) == [kim, again]
        assert recipients.open_of_address(connection, "jo+x@googlemail.com", None) == [jo]
        assert recipients.open_covered(connection, ["jo@gmail.com"], ["sub.example.com", "example.net"]) == [
            moe,
            jo,
        ]


# --- suppressions


def test_d6_an_address_is_covered_by_any_spelling_and_by_every_domain_above_it(store: Store) -> None:
    with store.writing() as connection:
        for kind, value in (
            (SuppressionKind.ADDRESS, "kim@example.com"),
            (SuppressionKind.ADDRESS, "p.ia@googlemail.com"),
            (SuppressionKind.DOMAIN, "example.net"),
        ):
            how = {"reason": "unsubscribed", "source": "test", "added_by": None, "now": NOW}
            assert suppressions.add(connection, kind, value, **how)  # type: ignore[arg-type]  # by name
            assert not suppressions.add(connection, kind, value, **how)  # type: ignore[arg-type]
        for address, covered in (
            ("kim@example.com", True),
            ("lee@example.com", False),
            ("lee@example.net", True),
            ("lee@a.sub.example.net", True),
            ("lee@otherexample.net", False),
            ("lee@net", False),
            ("pi.a+x@gmail.com", True),
        ):
            assert (suppressions.covering(connection, address) is not None) is covered
        connection.execute(update(t.suppression).values(value=None, canonical=None))
        assert suppressions.covering(connection, "kim@example.com") is not None
        assert suppressions.remove(connection, SuppressionKind.ADDRESS, "kim@example.com", SOON)
        assert suppressions.covering(connection, "kim@example.com") is None


# --- campaigns


def test_d1_steps_keep_their_ids_from_version_to_version(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    steps = [(timedelta(), "One", "1"), (timedelta(days=3), None, "2")]
    campaign = workspace.add_campaign(mailboxes=boxes, steps=steps)
    with store.writing() as connection:
        before = campaigns.steps_of(connection, campaign.id, 1)
        campaigns.insert_version(
            connection, campaign.id, 2, window=campaign.window, timezone=None, holidays=["2026-12-25"],
            on_auto_reply="wait", created_by=None, now=NOW,
            steps=[NewStep(2, timedelta(days=4), None, "new", None, [("a.pdf", "application/pdf", b"%PDF")])],
        )  # fmt: skip
        after = campaigns.steps_of(connection, campaign.id, 2)
        assert campaigns.attachments_of(connection, after[0].version_id) == [
            ("a.pdf", "application/pdf", b"%PDF")
        ]
        assert campaigns.by_id(connection, campaign.id).version == 2
        assert [step.body for step in campaigns.steps_of(connection, campaign.id, 1)] == ["1", "2"]
    assert (after[0].id, after[0].delay) == (before[1].id, timedelta(days=4))


def test_c6_field_25_a_campaign_holds_a_set_of_pause_reasons(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    campaign = workspace.add_campaign(mailboxes=boxes)
    with store.writing() as connection:
        assert moves.move(connection, CAMPAIGN["pause"], campaign.id)
        assert not moves.move(connection, CAMPAIGN["start"], campaign.id)
        for reason, mailbox in (("operator", 0), ("mailbox_failed", boxes[0].id), ("operator", 0)):
            campaigns.add_pause(connection, campaign.id, reason, mailbox, NOW)
        assert campaigns.by_id(connection, campaign.id).pause_reasons == ("operator", "mailbox_failed")
        campaigns.lift_pauses(connection, campaign.id)
        assert campaigns.by_id(connection, campaign.id).pause_reasons == ()


def test_c5_a_single_senders_mailbox_is_the_one_in_its_slot_now(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    campaign = workspace.add_campaign(mailboxes=boxes[:1], rotates=False)
    with store.writing() as connection:
        mailboxes.change_connection(connection, boxes[0].connection_id, state="disconnected")
        mailboxes.change_connection(connection, boxes[1].connection_id, slot_id=boxes[0].slot_id)
        (sender,) = senders.senders_of(connection, campaign.id)
        now_in_slot = mailboxes.on_slot(connection, boxes[0].slot_id)
    assert (sender.slot_id, sender.address) == (boxes[0].slot_id, "ben@example.org")
    assert now_in_slot is not None
    assert now_in_slot.id == boxes[1].id


def test_a_draft_is_erased_with_all_that_is_its_own(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    campaign = workspace.add_campaign(mailboxes=boxes, state="draft")
    workspace.add_recipient(campaign, "kim@example.com")
    tried = workspace.add_message(boxes[0], campaign, kind="test", state="sent")
    with store.writing() as connection:
        campaigns.erase_draft(connection, campaign.id)
        assert campaigns.find(connection, "autumn") is None
        kept = connection.execute(t.message.select().where(t.message.c.id == tried)).one()
        assert kept.campaign_id is None
        assert connection.execute(t.contact.select()).one().address == "kim@example.com"


# --- the workspace and its mailboxes


def test_a1_a_user_has_two_free_slots(store: Store, workspace: Workspace) -> None:
    with store.reading() as connection:
        slots = workspaces.slots_of(connection, workspace.admin.id)
        assert len(slots) == 2
        assert connections.free_slots(connection, workspace.admin.id) == slots
    workspace.add_mailbox("anna@example.org")
    workspace.add_mailbox("ben@example.org", state="disconnected")
    with store.reading() as connection:
        # A5: a disconnected mailbox's slot is free.
        assert connections.free_slots(connection, workspace.admin.id) == slots[1:]


def test_settings_are_set_and_set_anew(store: Store) -> None:
    with store.writing() as connection:
        workspaces.set_setting(connection, "lateness", "7d")
        workspaces.set_setting(connection, "lateness", "8d")
        assert workspaces.settings(connection) == {"lateness": "8d"}


def test_h5_an_inboxes_failure_is_kept_from_its_first_instant(store: Store, boxes: list[Sender]) -> None:
    (box, *_) = boxes
    with store.writing() as connection:
        assert inboxes.cursor_of(connection, box.id, "INBOX") is None
        inboxes.note_failure(connection, box.id, "INBOX", "no route", NOW)
        inboxes.note_failure(connection, box.id, "INBOX", "refused", SOON)
        failing = sending_mailboxes.by_id(connection, box.id)
        inboxes.note_read(connection, box.id, "INBOX", FolderCursor(2**32 - 1, 2**31), SOON)
        healthy = sending_mailboxes.by_id(connection, box.id)
        assert inboxes.cursor_of(connection, box.id, "INBOX") == FolderCursor(2**32 - 1, 2**31)
    assert (failing.inbox.failing_since, failing.inbox.error) == (NOW, "refused")
    assert (healthy.inbox.failing_since, healthy.inbox.read_at) == (None, SOON)


def test_c2_a_trouble_is_the_machines_when_no_other_server_was_reached(
    store: Store, workspace: Workspace
) -> None:
    here = workspace.add_mailbox("anna@example.org")
    there = workspace.add_mailbox("ben@example.net", smtp_host="smtp.example.net")
    with store.writing() as connection:
        for box in (here, there):
            connection.execute(insert(t.folder).values(mailbox_id=box.id, name="INBOX", read_at=NOW))
        assert mailboxes.others_reached_since(connection, "smtp.example.org", NOW)
        assert not mailboxes.others_reached_since(connection, "smtp.example.org", SOON)
        mailboxes.change_connection(connection, there.connection_id, trouble_since=NOW)
        assert not mailboxes.others_reached_since(connection, "smtp.example.org", NOW)


def test_c1_mailboxes_are_tested_that_were_not_for_a_while(store: Store, boxes: list[Sender]) -> None:
    with store.writing() as connection:
        mailboxes.change_connection(connection, boxes[0].connection_id, last_test_at=NOW)
        mailboxes.change_connection(connection, boxes[1].connection_id, last_test_at=SOON)
        assert mailboxes.not_tested_since(connection, NOW, NOW) == [boxes[0].id, boxes[2].id]


@pytest.mark.parametrize("released_at", [None, NOW - timedelta(days=1), NOW + timedelta(days=1)])
def test_h4_what_is_taken_out_of_a_lane_is_due_again_as_the_rule_says(
    store: Store, workspace: Workspace, boxes: list[Sender], released_at: datetime | None
) -> None:
    campaign = workspace.add_campaign(mailboxes=boxes)
    person = workspace.add_recipient(campaign, "kim@example.com")
    workspace.add_message(boxes[0], campaign, person, released_at=released_at)
    with store.writing() as connection:
        removals.unplan(connection, boxes[0].id)
        again = connection.execute(select(t.recipient.c.next_at)).scalar_one()
    assert again == due_again(NOW, released_at)


# --- the log


def test_the_log_gives_the_newest_in_the_order_of_time_and_follows(
    store: Store, workspace: Workspace, boxes: list[Sender]
) -> None:
    campaign = workspace.add_campaign(mailboxes=boxes)
    with store.writing() as connection:
        for n in range(5):
            about = About(mailbox_id=boxes[n % 2].id, campaign_id=campaign.id)
            events.record(connection, RUNNER, f"test.{n}", NOW + timedelta(seconds=n), about, n=n)

        def actions(**which: object) -> list[str]:
            return [event.action for event in events.listing(connection, **which)]  # type: ignore[arg-type]  # by name

        assert actions(limit=2) == ["test.3", "test.4"]
        assert actions(mailbox_id=boxes[1].id) == ["test.1", "test.3"]
        assert actions(since=NOW + timedelta(seconds=4)) == ["test.4"]
        newest = next(iter(events.listing(connection, limit=1)))
        assert (newest.campaign, newest.mailbox, newest.data) == ("autumn", "anna@example.org", {"n": 4})
        assert actions(after=newest.id - 2) == ["test.3", "test.4"]
