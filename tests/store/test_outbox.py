"""The outbox on both databases: plan, claim, mark, settle, and what people see of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import DBAPIError

from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.store import mailboxes, moves, progress
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.portions import portions
from mailrotate.core.store.sending import claims, lane_fronts, lanes, outbox, outbox_lists, sending_mailboxes
from mailrotate.core.store.sending.lane_fronts import Front
from mailrotate.core.store.sending.outbox import Candidate, Claim
from mailrotate.core.values.states import MessageKind, MessageState, Priority
from tests.support.rows import NOW, Sender, Workspace

SOON = NOW + timedelta(minutes=1)


@pytest.fixture
def box(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


def found(store: Store, message_id: int) -> Candidate:
    with store.reading() as connection:
        message = outbox.by_id(connection, message_id)
    assert message is not None
    return message


def claim(workspace: Workspace, box: Sender, message_id: int, runner: int, token: str = "c1") -> bool:
    with workspace.store.writing() as connection:
        return claims.claim(
            connection,
            MESSAGE["claim"],
            message_id,
            claim_token=token,
            runner_id=runner,
            slot_id=box.slot_id,
            subject="Hello",
            in_reply_to="<a@example.org>",
            cited_ids=["<a@example.org>", "<b@example.org>"],
            content_hash="00",
            from_address="anna@example.org",
            now=NOW,
        )


def test_f1_a_planned_row_holds_sender_recipient_and_message_id(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    message = found(store, workspace.add_message(box, ready_at=SOON))
    assert (message.state, message.kind) == (MessageState.SCHEDULED, MessageKind.COMPOSE)
    assert (message.due_at, message.ready_at) == (SOON, SOON)
    assert message.from_address == box.address
    assert message.message_id == f"<{message.token}@example.org>"


def test_f3_one_step_of_a_recipient_is_planned_once(store: Store, workspace: Workspace, box: Sender) -> None:
    """The wall is the unique index; a cancelled row makes room for a new one."""
    campaign = workspace.add_campaign(mailboxes=[box])
    recipient = workspace.add_recipient(campaign, "kim@example.com")
    first = workspace.add_message(box, campaign, recipient)
    with pytest.raises(DBAPIError):
        workspace.add_message(box, campaign, recipient)
    with store.writing() as connection:
        assert moves.move(connection, MESSAGE["cancel"], first)
    workspace.add_message(box, campaign, recipient)


def test_f3_a_message_is_claimed_once(store: Store, workspace: Workspace, box: Sender) -> None:
    message = workspace.add_message(box)
    one, two = workspace.add_runner(), workspace.add_runner()
    assert claim(workspace, box, message, one)
    assert not claim(workspace, box, message, two, "c2")
    with store.reading() as connection:
        assert claims.in_flight_runners(connection) == [one]
        assert claims.in_flight_of(connection, one) == [(message, "c1", False)]
        assert claims.in_flight_of(connection, two) == []


def test_f3_the_mark_needs_the_claim_and_the_lane(store: Store, workspace: Workspace, box: Sender) -> None:
    message, runner = workspace.add_message(box), workspace.add_runner()
    lane = workspace.own_lane(box, runner)
    claim(workspace, box, message, runner)
    with store.writing() as connection:
        ours = Claim(
            found(store, message), "c1", NOW, sending_mailboxes.by_id(connection, lane.mailbox_id), b""
        )
        assert not claims.mark(connection, replace(ours, claim_token="c2"), lane, NOW)
        assert not claims.mark(connection, ours, replace(lane, token=lane.token - 1), NOW)
        assert not claims.mark(connection, ours, replace(lane, runner_id=runner + 1), NOW)
        assert claims.in_flight_of(connection, runner) == [(message, "c1", False)]
        assert claims.mark(connection, ours, lane, NOW)
        assert claims.in_flight_of(connection, runner) == [(message, "c1", True)]


def test_f3_only_the_claims_owner_settles(store: Store, workspace: Workspace, box: Sender) -> None:
    message, runner = workspace.add_message(box), workspace.add_runner()
    claim(workspace, box, message, runner)
    with store.writing() as connection:
        assert not claims.settle(connection, MESSAGE["settle_sent"], message, "c2", sent_at=NOW)
        assert claims.settle(connection, MESSAGE["settle_sent"], message, "c1", sent_at=NOW)
        assert not claims.settle(connection, MESSAGE["settle_error"], message, "c1")
        detail = outbox_lists.detail(connection, message)
    assert detail is not None
    assert (detail.listed.state, detail.listed.sent_at, detail.listed.subject) == ("sent", NOW, "Hello")
    assert detail.cited_ids == ("<a@example.org>", "<b@example.org>")
    assert (detail.claimed_at, detail.marked_at, detail.content_hash) == (NOW, None, "00")


def test_f3_a_message_that_is_put_back_forgets_its_claim(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    message, runner = workspace.add_message(box), workspace.add_runner()
    claim(workspace, box, message, runner)
    with store.writing() as connection:
        assert claims.settle(connection, MESSAGE["put_back"], message, "c1", claim_token=None, runner_id=None)
        assert claims.in_flight_runners(connection) == []
    assert claim(workspace, box, message, runner, "c2")


def test_e4_by_hand_then_follow_ups_then_first_messages(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    people = [workspace.add_recipient(campaign, f"p{n}@example.com") for n in range(4)]
    first = workspace.add_message(box, campaign, people[0], ready_at=NOW - timedelta(hours=2))
    late = workspace.add_message(box, campaign, people[1], ready_at=SOON)
    follow_up = workspace.add_message(box, campaign, people[2], step=2)
    by_hand = workspace.add_message(box)
    with store.reading() as connection:
        ready = [
            outbox.earliest_by_hand(connection, box.id, NOW),
            outbox.earliest_ready(connection, box.id, Priority.FOLLOW_UP, NOW, campaign.id),
            outbox.earliest_ready(connection, box.id, Priority.FIRST, NOW, campaign.id),
        ]
        assert [message and message.id for message in ready] == [by_hand, follow_up, first]
        assert outbox.scheduled_count(connection, box.id, [campaign.id], Priority.FIRST) == 2
        assert outbox.scheduled_count(connection, box.id, [], Priority.FIRST) == 0
        assert outbox.next_ready_at(connection, box.id) == NOW - timedelta(hours=2)
    with store.writing() as connection:
        outbox.postpone(connection, first, SOON + timedelta(hours=1))
        after = outbox.earliest_ready(connection, box.id, Priority.FIRST, SOON, campaign.id)
    assert after is not None
    assert after.id == late


def test_h4_a_parked_message_waits_for_a_word(store: Store, workspace: Workspace, box: Sender) -> None:
    message = workspace.add_message(box)
    with store.writing() as connection:
        outbox.set_overdue(connection, message, NOW)
        assert outbox.earliest_by_hand(connection, box.id, NOW) is None
        assert outbox.next_ready_at(connection, box.id) is None
        assert outbox.release(connection, NOW, message_id=message) == 1
        again = outbox.earliest_by_hand(connection, box.id, NOW)
    assert again is not None
    assert again.released_at == NOW


def test_d5_a_follow_up_answers_the_message_before_that_was_sent(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    recipient = workspace.add_recipient(campaign, "kim@example.com")
    workspace.add_message(box, campaign, recipient, state="sent", subject="One", cited_ids="<0@example.org>")
    second = workspace.add_message(box, campaign, recipient, step=2, state="held", subject="Two")
    workspace.add_message(box, campaign, recipient, step=3, state="error", subject="Three")
    with store.reading() as connection:
        thread = outbox.thread_before(connection, recipient, 4)
        first = outbox.thread_before(connection, recipient, 2)
        assert outbox.thread_before(connection, recipient, 1) is None
    assert thread is not None
    assert first is not None
    assert (thread.subject, thread.message_id) == ("Two", found(store, second).message_id)
    assert (first.subject, first.cited_ids) == ("One", ("<0@example.org>",))


def test_d5_a_message_without_a_subject_is_answered_as_well(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    recipient = workspace.add_recipient(campaign, "kim@example.com")
    workspace.add_message(box, campaign, recipient, state="sent", subject=None)
    with store.reading() as connection:
        thread = outbox.thread_before(connection, recipient, 2)
    assert thread is not None
    assert (thread.subject, thread.cited_ids) == ("", ())


def test_b3_the_next_ready_message_is_the_lanes_own(store: Store, workspace: Workspace, box: Sender) -> None:
    workspace.add_message(workspace.add_mailbox("ben@example.org"), ready_at=NOW)
    workspace.add_message(box, ready_at=SOON)
    with store.reading() as connection:
        assert outbox.next_ready_at(connection, box.id) == SOON


def test_c15_many_recipients_messages_are_cancelled_and_held_ones_stay(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    states = ("scheduled", "error", "held", "sent")
    people = [workspace.add_recipient(campaign, f"{state}@example.com") for state in states]
    messages = [
        workspace.add_message(box, campaign, person, state=state)
        for person, state in zip(people, states, strict=True)
    ]
    with store.writing() as connection:
        # More ids than one statement may have parameters.
        everybody = [*people, *range(10_000, 80_000)]
        cancelled = [
            moves.move_many(connection, MESSAGE["cancel"], outbox.of_recipients(some))
            for some in portions(everybody)
        ]
        assert sum(cancelled) == 2
    after = [found(store, message).state for message in messages]
    assert after == ["cancelled", "cancelled", "held", "sent"]


# --- what counts against the limits


def test_b4_sent_sending_and_held_count_and_the_rest_does_not(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    for state in ("sending", "sent", "held", "error", "scheduled", "cancelled", "draft"):
        workspace.add_sent(box, NOW, state=state)
    workspace.add_sent(box, NOW - timedelta(microseconds=1))
    workspace.add_sent(workspace.add_mailbox("ben@example.org"), NOW)
    with store.reading() as connection:
        assert mailboxes.sent_since(connection, box.id, NOW) == 3
        assert mailboxes.sent_through_slot_since(connection, box.slot_id, NOW) == 3


def test_b4_the_slots_count_holds_under_any_address(store: Store, workspace: Workspace, box: Sender) -> None:
    other = workspace.add_mailbox("ben@example.org")
    workspace.add_sent(box, NOW)
    workspace.add_sent(other, NOW, slot_id=box.slot_id)
    with store.reading() as connection:
        assert mailboxes.sent_since(connection, box.id, NOW) == 1
        assert mailboxes.sent_through_slot_since(connection, box.slot_id, NOW) == 2


def test_b4_the_nth_latest_send_says_when_a_rolling_limit_has_room(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    instants = [NOW - timedelta(minutes=minutes) for minutes in (50, 30, 10)]
    for instant in instants:
        workspace.add_sent(box, instant)
    hour = NOW - timedelta(hours=1)
    with store.reading() as connection:
        assert mailboxes.nth_latest_send(connection, box.id, 1, hour) == instants[2]
        assert mailboxes.nth_latest_send(connection, box.id, 3, hour) == instants[0]
        assert mailboxes.nth_latest_send(connection, box.id, 4, hour) is None
        assert mailboxes.nth_latest_send(connection, box.id, 3, instants[0]) is None


# --- listings


def test_outbox_is_listed_by_state_mailbox_and_campaign_in_pages(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    other = workspace.add_mailbox("ben@example.org")
    campaign = workspace.add_campaign(mailboxes=[box, other])
    person = workspace.add_recipient(campaign, "kim@example.com")
    ids = [
        workspace.add_message(box),
        workspace.add_message(box, state="error", error_class="hard", error_code=550, error_text="no"),
        workspace.add_message(other, campaign, person),
        workspace.add_message(other, state="held"),
    ]
    with store.reading() as connection:

        def listed(**which: object) -> list[int]:
            return [message.id for message in outbox_lists.listing(connection, **which)]  # type: ignore[arg-type]  # by name

        assert listed() == ids
        assert listed(after=ids[0], limit=2) == ids[1:3]
        assert listed(state=MessageState.ERROR) == [ids[1]]
        assert listed(mailbox_id=other.id) == ids[2:]
        assert listed(campaign_id=campaign.id) == [ids[2]]
        assert listed(mailbox_id=other.id, state=MessageState.HELD) == [ids[3]]
        assert outbox_lists.retryable(connection) == [ids[1]]
        assert outbox_lists.retryable(connection, mailbox_id=other.id) == []
        (refused,) = outbox_lists.listing(connection, state=MessageState.ERROR)
        assert (refused.mailbox, refused.error_class, refused.error_code) == (box.address, "hard", 550)
        (planned,) = outbox_lists.listing(connection, campaign_id=campaign.id)
        assert (planned.campaign, planned.step) == ("autumn", 1)
        assert outbox_lists.detail(connection, 999) is None


def test_a_campaigns_messages_are_counted_by_state_sender_and_step(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    (sender,) = workspace.senders(campaign)
    one, two = (workspace.add_recipient(campaign, f"p{n}@example.com") for n in range(2))
    for person, step, state in ((one, 1, "sent"), (one, 2, "sent"), (two, 1, "sent"), (two, 2, "scheduled")):
        workspace.add_message(box, campaign, person, step=step, state=state, campaign_sender_id=sender)
    with store.reading() as connection:
        done = progress.of_campaigns(connection, [campaign.id], "mailbox_removed")[campaign.id]
        assert (done.sent_by_sender, done.sent_by_step) == ({sender: 3}, {1: 2, 2: 1})
        assert outbox_lists.waits_in(connection, campaign.id)


def test_g1_our_own_messages_are_known_by_their_tokens(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    message = found(store, workspace.add_message(box))
    with store.reading() as connection:
        (ours,) = outbox_lists.by_tokens(connection, [message.token, "unknown"])
    assert (ours.id, ours.message_id, ours.kind) == (message.id, message.message_id, MessageKind.COMPOSE)


def test_b3_a_lane_rests_until_its_gap_is_over(store: Store, workspace: Workspace, box: Sender) -> None:
    with store.writing() as connection:
        lanes.rest(connection, box.id, SOON)
        assert sending_mailboxes.by_id(connection, box.id).next_send_at == SOON


# --- which rows a question means


def test_f3_a_recipients_unsent_message_is_the_one_of_the_latest_step(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    kim, lee = (workspace.add_recipient(campaign, f"{name}@example.com") for name in ("kim", "lee"))
    workspace.add_message(box, campaign, kim, state="error")
    workspace.add_message(box, campaign, kim, step=2, state="held")
    workspace.add_message(box, campaign, kim, step=3, state="sent")
    workspace.add_message(box, campaign, kim, step=4, state="cancelled")
    workspace.add_message(box, campaign, lee, step=5)
    with store.reading() as connection:
        unsent = outbox.unsent_of(connection, kim)
        assert outbox.unsent_of(connection, lee + 1) is None
    assert unsent is not None
    assert (unsent.recipient_id, unsent.state, unsent.kind) == (kim, "held", "campaign")
    assert (unsent.recipient_state, unsent.priority) == ("queued", Priority.FOLLOW_UP)


@pytest.mark.parametrize("state", ["scheduled", "sending", "error", "held"])
def test_f3_each_state_before_sent_is_unsent(
    store: Store, workspace: Workspace, box: Sender, state: str
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    kim = workspace.add_recipient(campaign, "kim@example.com")
    message = workspace.add_message(box, campaign, kim, state=state)
    with store.reading() as connection:
        unsent = outbox.unsent_of(connection, kim)
    assert unsent is not None
    assert unsent.id == message


def test_f1_messages_are_chosen_by_lane_sender_recipient_and_id(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    other = workspace.add_mailbox("ben@example.org")
    campaign = workspace.add_campaign(mailboxes=[box, other])
    senders = workspace.senders(campaign)
    kim, lee = (
        workspace.add_recipient(campaign, f"{name}@example.com", sender_id=sender)
        for name, sender in zip(("kim", "lee"), senders, strict=True)
    )
    by_hand = workspace.add_message(box)
    first = workspace.add_message(box, campaign, kim)
    elsewhere = workspace.add_message(other, campaign, kim, step=2)
    of_lee = workspace.add_message(box, campaign, lee)
    test = workspace.add_message(box, campaign, kim, step=3, kind="test")
    winter = workspace.add_campaign("winter", [box])
    of_winter = workspace.add_message(box, winter, workspace.add_recipient(winter, "mia@example.com"))

    def chosen(which: ColumnElement[bool]) -> list[int]:
        with store.reading() as connection:
            return sorted(connection.execute(select(t.message.c.id).where(which)).scalars())

    assert chosen(outbox.in_lane(box.id)) == sorted([by_hand, first, of_lee, test, of_winter])
    assert chosen(outbox.in_lane_for(box.id, senders[:1])) == [first]
    assert chosen(outbox.of_recipients([kim])) == [first, elsewhere]
    assert chosen(outbox.of_campaign(campaign.id)) == [first, elsewhere, of_lee]
    assert chosen(outbox.of_campaign(campaign.id, tests=True)) == [first, elsewhere, of_lee, test]
    with store.reading() as connection:
        known = outbox.by_ids(connection, [first, of_lee])
    assert {message_id: message.recipient_id for message_id, message in known.items()} == {
        first: kim,
        of_lee: lee,
    }


def test_d9_people_whose_step_names_another_sender_are_counted_with_their_slot(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    chief = workspace.add_mailbox("chief@example.org")
    campaign = workspace.add_campaign(mailboxes=[box], rotates=False)
    (sender,) = workspace.senders(campaign)
    for number, mailbox in enumerate((box, chief, chief)):
        person = workspace.add_recipient(campaign, f"p{number}@example.com", sender_id=sender)
        workspace.add_message(mailbox, campaign, person, campaign_sender_id=sender)
    with store.reading() as connection:

        def elsewhere(slot_id: int, campaign_id: int, priority: Priority) -> int:
            return outbox.scheduled_elsewhere(connection, box.id, slot_id, [campaign_id], priority)

        assert elsewhere(box.slot_id, campaign.id, Priority.FIRST) == 2
        assert elsewhere(box.slot_id, campaign.id, Priority.FOLLOW_UP) == 0
        assert elsewhere(box.slot_id, campaign.id + 1, Priority.FIRST) == 0
        assert elsewhere(chief.slot_id, campaign.id, Priority.FIRST) == 0


def test_h4_releasing_a_campaign_releases_its_parked_messages_alone(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    one, two = (workspace.add_campaign(name, [box]) for name in ("autumn", "winter"))
    messages = [
        workspace.add_message(
            box, campaign, workspace.add_recipient(campaign, f"{number}@example.com"), **values
        )
        for number, (campaign, values) in enumerate(
            [
                (one, {"overdue_at": NOW}),
                (one, {}),
                (one, {"overdue_at": NOW, "state": "cancelled"}),
                (two, {"overdue_at": NOW}),
            ]
        )
    ]
    with store.writing() as connection:
        assert outbox.release(connection, SOON, campaign_id=one.id) == 1
    after = [found(store, message) for message in messages]
    assert [message.released_at for message in after] == [SOON, None, None, None]
    assert [message.overdue_at for message in after] == [None, None, NOW, NOW]


def test_h4_releasing_one_message_releases_it_parked_or_not(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    one, other = workspace.add_message(box), workspace.add_message(box)
    with store.writing() as connection:
        assert outbox.release(connection, SOON, message_id=one) == 1
        outbox.set_overdue(connection, other, NOW)
    assert found(store, one).released_at == SOON
    assert (found(store, one).overdue_at, found(store, other).overdue_at) == (None, NOW)


def test_f1_postponing_moves_one_waiting_message_and_keeps_what_it_was_due_for(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    one, other, sent = (
        workspace.add_message(box, state=state) for state in ("scheduled", "scheduled", "sent")
    )
    with store.writing() as connection:
        outbox.postpone(connection, one, SOON)
        outbox.postpone(connection, sent, SOON)
    assert [found(store, message).ready_at for message in (one, other, sent)] == [SOON, NOW, NOW]
    assert found(store, one).due_at == NOW


def test_f3_a_message_takes_the_identity_of_the_mail_that_was_sent(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    other = workspace.add_mailbox("ben@example.org")
    one, two = workspace.add_message(box), workspace.add_message(box)
    with store.writing() as connection:
        outbox.identify(connection, one, other.id, "abc", "<abc@example.org>")
    known = found(store, one)
    assert (known.mailbox_id, known.token, known.message_id) == (other.id, "abc", "<abc@example.org>")
    assert found(store, two).mailbox_id == box.id


def test_e5_a_message_leaves_from_another_mailbox_unless_it_changed_meanwhile(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    campaign = workspace.add_campaign(mailboxes=[box, ben])
    _, sender = workspace.senders(campaign)
    one, two = workspace.add_message(box), workspace.add_message(box)

    def change(message: Candidate) -> bool:
        with store.writing() as connection:
            return outbox.change_sender(connection, message, ben.id, ben.address, "<new@example.org>", sender)

    before = found(store, one)
    assert not change(replace(before, state=MessageState.ERROR))
    assert not change(replace(before, mailbox_id=ben.id))
    assert found(store, one) == before
    assert change(before)
    after = found(store, one)
    assert (after.mailbox_id, after.from_address, after.message_id, after.campaign_sender_id) == (
        ben.id, ben.address, "<new@example.org>", sender,
    )  # fmt: skip
    assert found(store, two).mailbox_id == box.id


def test_h4_the_earliest_message_that_is_not_late_is_found_behind_those_that_are(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    late, due_now = (
        workspace.add_message(
            box, campaign, workspace.add_recipient(campaign, f"{number}@example.com"), due_at=due_at
        )
        for number, due_at in enumerate((NOW - timedelta(days=9), NOW))
    )
    with store.reading() as connection:
        front = Front(box.id, campaign.id)
        for since, expected in ((None, late), (NOW, due_now), (SOON, None)):
            first = lane_fronts.first_of_campaigns(connection, {front: since}, Priority.FIRST).get(front)
            assert (first and first.id) == expected
