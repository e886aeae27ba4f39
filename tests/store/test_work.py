"""H3: the work of a pass grows with what is due. SQLite's own plans say that no hot query walks a table."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection, event, update

from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.store import mailboxes, moves, progress
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.people import due_recipients, recipients
from mailrotate.core.store.sending import (
    claims,
    due,
    inboxes,
    kept_lanes,
    lane_fronts,
    liveness,
    outbox,
    outbox_lists,
)
from mailrotate.core.store.sending.lane_fronts import Front
from mailrotate.core.values.states import MessageKind, Priority, UserState
from tests.support.rows import NOW, Sender, Workspace

LATER = NOW + timedelta(days=1)


@contextmanager
def statements_of(connection: Connection) -> Iterator[list[tuple[str, object]]]:
    seen: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    yield seen
    event.remove(connection, "before_cursor_execute", note)


HOT: dict[str, Callable[[Connection], object]] = {
    "by hand": lambda c: outbox.earliest_by_hand(c, 1, NOW),
    "ready": lambda c: outbox.earliest_ready(c, 1, Priority.FOLLOW_UP, NOW, 1),
    "next ready": lambda c: outbox.next_ready_at(c, 1),
    "scheduled": lambda c: outbox.scheduled_count(c, 1, [1, 2], Priority.FIRST),
    "scheduled elsewhere": lambda c: outbox.scheduled_elsewhere(c, 1, 1, [1, 2], Priority.FIRST),
    "thread": lambda c: outbox.thread_before(c, 1, 2),
    "in flight": lambda c: (
        claims.in_flight_runners(c),
        claims.in_flight_of(c, 1),
        claims.in_flight_in(c, 1),
    ),
    "errors of a step": lambda c: outbox_lists.errors_of_step(c, 1, 1, "message"),
    "tokens": lambda c: outbox_lists.by_tokens(c, ["a", "b"]),
    "end of recipients": lambda c: moves.move_many(c, MESSAGE["cancel"], outbox.of_recipients([1])),
    "unsent": lambda c: outbox.unsent_of(c, 1),
    "attention": lambda c: outbox_lists.attention_counts(c),
    "overdue": lambda c: progress.overdue(c, [1]),
    "sent": lambda c: progress.sent(c, [1]),
    "retryable": lambda c: outbox_lists.retryable(c, mailbox_id=1),
    "waits": lambda c: outbox_lists.waits_in(c, 1),
    "sent today": lambda c: mailboxes.sent_since(c, 1, NOW),
    "slot sent today": lambda c: mailboxes.sent_through_slot_since(c, 1, NOW),
    "rolling limit": lambda c: mailboxes.nth_latest_send(c, 1, 5, NOW),
    "copies": lambda c: inboxes.pending_copies(c, 1, NOW, 10),
    "lanes with work": lambda c: due.lanes_with_work(c, NOW),
    "lanes ready": lambda c: due.lanes_ready(c, NOW),
    "lanes kept": lambda c: (kept_lanes.campaigns_kept(c, 1, 1), kept_lanes.any_cut_off(c, 1)),
    "last runner": liveness.latest_sender,
    "notices today": lambda c: mailboxes.sent_since_each(c, {1: NOW}, MessageKind.NOTICE),
    "first messages due": lambda c: due_recipients.due_in_lane(c, 1, NOW, False, 10),
    "follow-ups due": lambda c: due_recipients.due_in_lane(c, 1, NOW, True, 10),
    "people due, not late": lambda c: due_recipients.due_in_lane(c, 1, NOW, False, 10, NOW, lock=True),
    "fronts of lanes": lambda c: lane_fronts.first_in_lanes(c, [1, 2], Priority.NOTICE),
    "fronts of campaigns": lambda c: lane_fronts.first_of_campaigns(
        c, {Front(1, 1): None, Front(2, 1): NOW}, Priority.FIRST
    ),
    "first people": lambda c: lane_fronts.first_people(c, {1: None, 2: NOW}, follow_ups=False),
    "first people of follow-ups": lambda c: lane_fronts.first_people(c, {1: None}, follow_ups=True),
    "sent today of many": lambda c: mailboxes.sent_since_each(c, {1: NOW, 2: NOW}),
    "slots sent today": lambda c: mailboxes.sent_through_slots_since(c, [(1, NOW), (2, NOW)]),
    "rolling limits": lambda c: mailboxes.nth_latest_sends(c, [1, 2], 5, NOW),
    "recipient": lambda c: recipients.find(c, 1, "kim@example.com"),
    "open of an address": lambda c: recipients.open_of_address(c, "kim@example.com", None),
    "open of a domain": lambda c: recipients.open_of_address(c, None, "example.com"),
}  # fmt: skip


@pytest.mark.parametrize("query", HOT)
def test_h3_no_hot_query_walks_the_people_or_the_outbox(sqlite_store: Store, query: str) -> None:
    with sqlite_store.writing() as connection:
        connection.execute(t.plan.insert().values(
            id=1, slots_per_user=2, daily_cap=500, shared_mailboxes=False, role_addresses=False,
            approval_required=False, sync_every_seconds=300,
        ))  # fmt: skip
        with statements_of(connection) as seen:
            HOT[query](connection)
        assert seen
        for statement, parameters in seen:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]  # as the driver had them
            lines = [str(row[3]) for row in plan]
            walks = [
                line
                for line in lines
                if line.startswith("SCAN")
                and line.split()[1] in ("message", "recipient", "contact", "sent_copy")
                # Walking what is in flight, by its own small index, is what is meant.
                and "ix_message_in_flight" not in line
            ]
            assert walks == [], lines
            if "ORDER BY" in statement and "due" in query:
                assert not any("TEMP B-TREE" in line for line in lines), lines


def test_h3_the_progress_of_campaigns_is_counted_from_indexes_alone(sqlite_store: Store) -> None:
    with sqlite_store.reading() as connection:
        with statements_of(connection) as seen:
            progress.of_campaigns(connection, [1, 2], "mailbox_removed")
            progress.sent(connection, [1, 2])
            progress.replied_since(connection, [1, 2], NOW)
        lines = [
            str(row[3])
            for statement, parameters in seen
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]  # as the driver had them
        ]
    read = [line for line in lines if line.split()[1] in ("recipient", "message")]
    assert [line for line in read if "COVERING INDEX" not in line] == [
        # Those that failed, for the reason, and those that replied since.
        "SEARCH recipient USING INDEX ix_recipient_campaign (campaign_id=? AND state=?)",
        "SEARCH recipient USING INDEX ix_recipient_replied (ended_at>?)",
    ], lines


def planned(store: Store) -> list[int]:
    with store.reading() as connection:
        return due.lanes_with_work(connection, NOW)


@pytest.fixture
def box(workspace: Workspace) -> Sender:
    """A mailbox whose inbox was read a moment ago: nothing to do by itself."""
    return read_just_now(workspace, "anna@example.org")


def read_just_now(workspace: Workspace, address: str) -> Sender:
    made = workspace.add_mailbox(address)
    with workspace.store.writing() as connection:
        connection.execute(
            t.folder.insert().values(
                mailbox_id=made.id, name="INBOX", read_at=NOW, uid_validity=1, last_uid=1
            )
        )
    return made


def test_h3_a_lane_with_nothing_to_do_is_left_alone(store: Store, box: Sender) -> None:
    assert planned(store) == []


def test_h3_a_ready_message_makes_work_and_a_later_one_does_not(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    workspace.add_message(box, ready_at=NOW + timedelta(seconds=1))
    assert planned(store) == []
    workspace.add_message(box, ready_at=NOW)
    assert planned(store) == [box.id]


def test_h3_a_campaigns_message_makes_work_also_in_a_lane_that_is_no_sender(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    """E5, D9: a message may stand in the lane of a mailbox that the campaign does not have."""
    campaign = workspace.add_campaign(mailboxes=[read_just_now(workspace, "ben@example.org")])
    recipient = workspace.add_recipient(campaign, "kim@example.com")
    workspace.add_message(box, campaign, recipient, step=2)
    assert planned(store) == [box.id]


@pytest.mark.parametrize("next_step", [1, 2])
def test_h3_people_whose_step_is_due_make_work_for_their_sender_alone(
    store: Store, workspace: Workspace, box: Sender, next_step: int
) -> None:
    other = read_just_now(workspace, "ben@example.org")
    campaign = workspace.add_campaign(mailboxes=[other, box])
    _, sender = workspace.senders(campaign)
    workspace.add_recipient(campaign, "lee@example.com", sender_id=sender, next_at=LATER, next_step=next_step)
    assert planned(store) == []
    workspace.add_recipient(campaign, "kim@example.com", sender_id=sender, next_at=NOW, next_step=next_step)
    assert planned(store) == [box.id]


def test_c5_a_slots_people_make_work_for_the_mailbox_that_is_in_it(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    read_just_now(workspace, "ben@example.org")
    campaign = workspace.add_campaign(mailboxes=[box], rotates=False)
    (sender,) = workspace.senders(campaign)
    workspace.add_recipient(campaign, "kim@example.com", sender_id=sender, next_at=NOW)
    assert planned(store) == [box.id]


@pytest.mark.parametrize("state", ["paused", "finished", "draft"])
def test_h3_a_campaign_that_does_not_run_makes_no_work(
    store: Store, workspace: Workspace, box: Sender, state: str
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box], state=state)
    (sender,) = workspace.senders(campaign)
    recipient = workspace.add_recipient(campaign, "kim@example.com", sender_id=sender, next_at=NOW)
    workspace.add_message(box, campaign, recipient)
    assert planned(store) == []


@pytest.mark.parametrize(
    "values",
    [
        {"paused_at": NOW},
        {"hold_reason": "454 too many", "hold_class": "limit", "hold_until": LATER},
        {"hold_reason": "550 refused", "hold_class": "sender", "hold_until": None},
    ],
)
def test_h3_a_mailbox_that_may_not_send_makes_no_work(
    store: Store, workspace: Workspace, box: Sender, values: dict[str, object]
) -> None:
    workspace.add_message(box)
    with store.writing() as connection:
        mailboxes.change(connection, box.id, **values)
    assert planned(store) == []
    with store.reading() as connection:
        assert due.lanes_ready(connection, NOW) == [box.id]


def test_h3_a_lane_that_rests_makes_no_work_until_its_gap_is_over(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    workspace.add_message(box)
    with store.writing() as connection:
        connection.execute(update(t.lane).values(next_send_at=NOW + timedelta(seconds=1)))
    assert planned(store) == []
    with store.reading() as connection:
        assert due.lanes_with_work(connection, NOW + timedelta(seconds=1)) == [box.id]


def test_a10_a_locked_users_mailbox_is_read_but_sends_nothing(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    workspace.add_message(box)
    with store.writing() as connection:
        connection.execute(update(t.user).values(state=UserState.LOCKED))
    assert planned(store) == []
    with store.reading() as connection:
        assert due.lanes_with_work(connection, NOW + timedelta(minutes=5)) == [box.id]


def test_b10_an_inbox_is_due_as_often_as_the_plan_says(store: Store, box: Sender) -> None:
    with store.reading() as connection:
        assert due.lanes_with_work(connection, NOW + timedelta(seconds=299)) == []
        assert due.lanes_with_work(connection, NOW + timedelta(seconds=300)) == [box.id]


def test_f3_a_copy_to_be_filed_makes_work(store: Store, workspace: Workspace, box: Sender) -> None:
    sent = workspace.add_sent(box, NOW)
    with store.writing() as connection:
        inboxes.keep_copy(connection, sent, box.id, b"mail", LATER)
    assert planned(store) == []
    with store.writing() as connection:
        connection.execute(update(t.sent_copy).values(next_try_at=NOW))
    assert planned(store) == [box.id]


def test_f1_a_mailbox_that_is_not_connected_makes_no_work(store: Store, workspace: Workspace) -> None:
    for state in ("failed", "disconnected"):
        workspace.add_message(workspace.add_mailbox(f"{state}@example.org", state=state))
    assert planned(store) == []


@pytest.mark.parametrize(
    ("follow_ups", "index"), [(True, "ix_recipient_follow_up"), (False, "ix_recipient_first")]
)
def test_h3_follow_ups_and_first_messages_are_read_from_an_index_of_their_own(
    sqlite_store: Store, follow_ups: bool, index: str
) -> None:
    """A few follow-ups are not looked for among a million people who wait for their first message."""
    with sqlite_store.reading() as connection:
        with statements_of(connection) as seen:
            due_recipients.due_in_lane(connection, 1, NOW, follow_ups, 10)
        ((statement, parameters),) = seen
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]  # as the driver had them
        assert f"USING INDEX {index} (campaign_sender_id=? AND next_at" in str(plan.first())


def ready(store: Store, *, follow_ups: bool) -> list[int]:
    with store.reading() as connection:
        return due.lanes_ready(connection, NOW, follow_ups=follow_ups)


@pytest.mark.parametrize("values", [{"ready_at": LATER}, {"state": "held"}, {"overdue_at": NOW}])
def test_h3_a_campaigns_message_that_may_not_be_tried_now_makes_no_work(
    store: Store, workspace: Workspace, box: Sender, values: dict[str, object]
) -> None:
    campaign = workspace.add_campaign(mailboxes=[box])
    workspace.add_message(box, campaign, workspace.add_recipient(campaign, "kim@example.com"), **values)  # type: ignore[arg-type]  # columns by name
    assert planned(store) == []


def test_h3_a_paused_campaigns_message_makes_no_work_although_another_campaign_runs(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    paused = workspace.add_campaign("paused", [box], state="paused")
    workspace.add_campaign("running", [box])
    workspace.add_message(box, paused, workspace.add_recipient(paused, "kim@example.com"))
    assert planned(store) == []


@pytest.mark.parametrize("is_planned", [True, False])
def test_h5_lanes_with_follow_ups_alone_are_told_from_those_with_first_messages(
    store: Store, workspace: Workspace, box: Sender, is_planned: bool
) -> None:
    ben = read_just_now(workspace, "ben@example.org")
    for step, mailbox in ((2, box), (1, ben)):
        campaign = workspace.add_campaign(f"of step {step}", [mailbox])
        (sender,) = workspace.senders(campaign)
        person = workspace.add_recipient(
            campaign,
            "kim@example.com",
            sender_id=sender,
            next_step=step,
            next_at=None if is_planned else NOW,
            state="queued" if step == 1 else "active",
        )
        if is_planned:
            workspace.add_message(mailbox, campaign, person, step=step)
    assert ready(store, follow_ups=True) == [box.id, ben.id]
    assert ready(store, follow_ups=False) == [ben.id]
    with store.reading() as connection:
        assert due.lanes_ready(connection, NOW) == [box.id, ben.id]


def test_f1_a_connection_that_was_replaced_makes_no_work(
    store: Store, workspace: Workspace, box: Sender
) -> None:
    workspace.add_message(box)
    with store.writing() as connection:
        connection.execute(update(t.connection).values(superseded_at=NOW))
    assert (planned(store), ready(store, follow_ups=True)) == ([], [])


def test_h3_a_hold_is_over_at_its_very_end(store: Store, workspace: Workspace, box: Sender) -> None:
    workspace.add_message(box)
    with store.writing() as connection:
        mailboxes.change(connection, box.id, hold_reason="454", hold_class="limit", hold_until=NOW)
    assert planned(store) == [box.id]


def test_h5_an_inbox_that_was_never_read_is_due(store: Store, workspace: Workspace) -> None:
    box = workspace.add_mailbox("new@example.org")
    assert planned(store) == [box.id]


@pytest.mark.parametrize(("next_try_at", "is_due"), [(NOW, True), (NOW + timedelta(seconds=1), False)])
def test_h5_an_inbox_that_could_not_be_read_is_due_at_its_next_try(
    store: Store, box: Sender, next_try_at: datetime, is_due: bool
) -> None:
    with store.writing() as connection:
        connection.execute(update(t.folder).values(read_at=NOW - timedelta(days=1), next_try_at=next_try_at))
    assert planned(store) == ([box.id] if is_due else [])


def test_g3_a_folder_that_is_read_with_the_inbox_makes_no_work_of_its_own(store: Store, box: Sender) -> None:
    with store.writing() as connection:
        connection.execute(t.folder.insert().values(mailbox_id=box.id, name="Archive"))
    assert planned(store) == []
