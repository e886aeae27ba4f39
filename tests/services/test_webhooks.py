"""Webhooks: how events are queued, and how they reach their endpoints (C10), on each database."""

import base64
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from mailrotate.adapters.key_change import KeyChange
from mailrotate.core.services.access import secrets
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import (
    health,
    recovery,
    webhook_endpoints,
    webhook_posting,
)
from mailrotate.core.store import events, mailboxes, webhooks
from mailrotate.core.store import tables as t
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.webhooks import Again, Queue
from mailrotate.core.values.errors import BadInput, NotFound, Refused, RemoteError
from mailrotate.core.values.states import ReplyClass, Role
from mailrotate.core.values.webhook import OFFERED
from tests.support.contexts import KeyInMemory, context_of
from tests.support.rows import NOW, Sender, Workspace
from tests.support.webhook_server import Answer, Receiver, receiving, status

HOUR = timedelta(hours=1)


@pytest.fixture
def key() -> KeyInMemory:
    return KeyInMemory()


@pytest.fixture
def context(workspace: Workspace, key: KeyInMemory) -> Context:
    first = context_of(workspace)
    # The box of the first is the workspace's; rekey tests need to see the ring.
    key.ring = first.secrets.load()  # type: ignore[attr-defined]  # a RingBox
    return context_of(workspace, key=key)


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


def add(context: Context, receiver: Receiver, *wanted: str) -> tuple[int, str]:
    made = webhook_endpoints.add(context, receiver.url, wanted or ("all",), NOW)
    return made.endpoint.hook.id, made.secret.reveal()


def happen(workspace: Workspace, box: Sender, at: datetime = NOW, action: str = "mailbox.failed") -> None:
    with workspace.store.writing() as connection:
        events.record(connection, RUNNER, action, at, About(box.id))


def post_at(context: Context, workspace: Workspace, now: datetime) -> int:
    """One pass's posts to every endpoint."""
    runner = workspace.add_runner()
    return sum(
        webhook_posting.post_due(context, runner, hook, lambda: now, lambda: False)
        for hook in webhook_posting.due(context, now)
    )


def logged(workspace: Workspace, action: str) -> list[dict[str, object]]:
    query = select(t.event.c.data).where(t.event.c.action == action).order_by(t.event.c.id)
    with workspace.store.reading() as connection:
        return [json.loads(data) for data in connection.execute(query).scalars()]


def queue(context: Context) -> Queue:
    (endpoint,) = webhook_endpoints.listing(context)
    return endpoint.queue


def test_c10_a_failure_is_told_with_its_state_and_id_and_its_end_has_the_same_id(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, secret = add(context, receiver)
    with workspace.store.writing() as connection:
        box = mailboxes.by_id(connection, anna.id)
        health.fail(connection, box, ReplyClass.AUTH, "auth: 535 no", NOW)
    assert post_at(context, workspace, NOW) == 1
    with workspace.store.writing() as connection:
        health.recover(connection, mailboxes.by_id(connection, anna.id), NOW + HOUR)
    assert post_at(context, workspace, NOW + HOUR) == 1
    failed, recovered = (one.json() for one in receiver.posted)
    failure = f"b_{anna.id}/2026-12-01T09:00:00.123456Z"
    box_said = {"id": f"b_{anna.id}", "address": anna.address}
    assert failed == {
        "id": receiver.posted[0].key,
        "type": "mailbox.failed",
        "sequence": failed["sequence"],
        "occurred_at": "2026-12-01T09:00:00.123456Z",
        "failure": failure,
        "mailbox": {**box_said, "state": "failed"},
        "campaign": None,
        "data": {"error_class": "auth", "reply": "auth: 535 no"},
    }
    assert recovered["failure"] == failure
    assert recovered["mailbox"] == {**box_said, "state": "connected"}
    assert recovered["sequence"] > failed["sequence"]
    assert all(one.signed_by(secret) for one in receiver.posted)
    assert webhook_id == 1


def test_c10_a_paused_campaign_is_told_with_the_failure_that_pauses_it(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    campaign = workspace.add_campaign("solo", [anna], rotates=False)
    add(context, receiver, "campaign.paused")
    with workspace.store.writing() as connection:
        health.fail(connection, mailboxes.by_id(connection, anna.id), ReplyClass.AUTH, "no", NOW)
    post_at(context, workspace, NOW)
    (told,) = (one.json() for one in receiver.posted)
    assert told["campaign"] == {"id": f"c_{campaign.id}", "name": "solo", "state": "paused"}
    assert told["failure"].startswith(f"b_{anna.id}/")
    assert told["data"] == {"reason": "mailbox_failed"}


def test_c10_an_endpoint_is_told_only_of_what_it_asked_for(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    add(context, receiver, "mailbox.recovered", "mailbox.disconnected")
    for action in ("mailbox.failed", "mailbox.recovered", "mailbox.set", "mailbox.disconnected"):
        happen(workspace, anna, action=action)
    post_at(context, workspace, NOW)
    assert receiver.types() == ["mailbox.recovered", "mailbox.disconnected"]


def test_c10_what_is_rolled_back_is_told_to_nobody(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    add(context, receiver)
    with suppress(KeyboardInterrupt), workspace.store.writing() as connection:
        events.record(connection, RUNNER, "mailbox.failed", NOW, About(anna.id))
        raise KeyboardInterrupt
    assert post_at(context, workspace, NOW) == 0


def test_c10_field_15_a_repeat_has_the_same_id_and_body_and_a_timestamp_of_its_own(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    _, secret = add(context, receiver)
    receiver.will(status(500), status(503), status(204))
    happen(workspace, anna)
    for minutes in (0, 1, 3):
        post_at(context, workspace, NOW + timedelta(minutes=minutes))
    assert len({(one.key, one.body) for one in receiver.posted}) == 1
    assert len({one.headers["webhook-timestamp"] for one in receiver.posted}) == 3
    assert all(one.signed_by(secret) for one in receiver.posted)
    assert queue(context) == Queue()


def test_c10_field_15_a_later_event_of_a_mailbox_waits_for_the_earlier_one_and_other_mailboxes_do_not(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    add(context, receiver)
    receiver.will(status(422), status(204))
    happen(workspace, anna)
    happen(workspace, anna, action="mailbox.recovered")
    happen(workspace, ben)
    post_at(context, workspace, NOW)
    told = [(one.json()["mailbox"]["address"], one.json()["type"]) for one in receiver.posted]
    assert told == [(anna.address, "mailbox.failed"), (ben.address, "mailbox.failed")]
    post_at(context, workspace, NOW + timedelta(minutes=1))
    assert receiver.types()[2:] == ["mailbox.failed", "mailbox.recovered"]


def hang(receiver: Receiver) -> Answer:
    return lambda handler: (receiver.ending.wait(20), None)[-1]


@pytest.mark.proof
def test_c10_field_14_a_dead_endpoint_with_a_thousand_events_is_tried_once_and_told_once(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    boxes = [anna, *(workspace.add_mailbox(f"m{n}@example.org") for n in range(9))]
    add(context, receiver)
    receiver.will(hang(receiver))
    with workspace.store.writing() as connection:
        for n in range(1000):
            events.record(connection, RUNNER, "mailbox.failed", NOW, About(boxes[n % 10].id))
    for seconds in (0, 10, 30, 31, 89):
        post_at(context, workspace, NOW + timedelta(seconds=seconds))
    # Now, after 30 seconds, and not yet after another minute.
    assert len(receiver.posted) == 2
    assert [told["reply"] for told in logged(workspace, "webhook.failing")] == ["no answer within 1 s"]
    (endpoint,) = webhook_endpoints.listing(context)
    assert (endpoint.state, endpoint.queue) == ("failing", Queue(1000, 0))
    receiver.will(status(204))
    again, stops = NOW + timedelta(minutes=5), iter([False] * 20 + [True])
    posted = webhook_posting.post_due(
        context, workspace.add_runner(), endpoint.hook.id, lambda: again, lambda: next(stops)
    )
    assert (posted, queue(context)) == (20, Queue(980, 0))
    assert [told["webhook"] for told in logged(workspace, "webhook.works")] == ["w_1"]
    assert len(logged(workspace, "webhook.failing")) == 1


def test_c10_an_endpoint_that_refuses_everything_rests_after_five(
    context: Context, workspace: Workspace, receiver: Receiver
) -> None:
    add(context, receiver)
    receiver.will(status(502))
    for n in range(20):
        happen(workspace, workspace.add_mailbox(f"m{n}@example.org"))
    post_at(context, workspace, NOW)
    post_at(context, workspace, NOW)
    assert len(receiver.posted) == 5
    receiver.will(status(204))
    assert post_at(context, workspace, NOW + timedelta(seconds=31)) == 20
    assert {one.json()["mailbox"]["address"] for one in receiver.posted[5:]} == {
        f"m{n}@example.org" for n in range(20)
    }


def test_c10_after_three_days_events_are_given_up_and_later_ones_go_on(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    add(context, receiver)
    receiver.will(status(500))
    happen(workspace, anna)
    tries = now = NOW
    while queue(context).waiting:
        assert now - NOW < timedelta(days=4)
        post_at(context, workspace, now)
        tries, now = now, now + timedelta(hours=1)
    assert timedelta(days=3) <= tries - NOW <= timedelta(days=3, hours=7)
    assert queue(context) == Queue(0, 1)
    assert logged(workspace, "webhook.given_up") == [{"deliveries": 1, "webhook": "w_1"}]
    receiver.will(status(204))
    happen(workspace, anna, now, "mailbox.recovered")
    assert post_at(context, workspace, now) == 1


def test_c10_of_a_dead_endpoint_only_what_has_waited_for_three_days_is_given_up(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    add(context, receiver)
    receiver.will(hang(receiver))
    happen(workspace, anna)
    happen(workspace, anna, action="mailbox.recovered")
    post_at(context, workspace, NOW)
    happen(workspace, anna, NOW + timedelta(days=2))
    post_at(context, workspace, NOW + timedelta(days=2))
    post_at(context, workspace, NOW + timedelta(days=3))
    assert queue(context) == Queue(1, 2)


def test_h4_an_absence_gives_nothing_up(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    add(context, receiver)
    receiver.will(status(500), status(204))
    happen(workspace, anna)
    later = NOW + timedelta(days=30)
    assert post_at(context, workspace, later) == 0
    assert post_at(context, workspace, later + timedelta(seconds=31)) == 1


def test_c10_field_16_gone_switches_off_and_what_happens_then_can_be_sent_again(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, _ = add(context, receiver)
    receiver.will(status(410, b"moved away"))
    happen(workspace, anna)
    happen(workspace, anna, action="mailbox.recovered")
    post_at(context, workspace, NOW)
    happen(workspace, anna, NOW + HOUR)
    (endpoint,) = webhook_endpoints.listing(context)
    assert (endpoint.state, endpoint.queue) == ("off", Queue(0, 3))
    assert logged(workspace, "webhook.off") == [{"reply": "410: moved away", "webhook": "w_1"}]
    assert post_at(context, workspace, NOW + timedelta(days=1)) == 0
    assert webhook_endpoints.resend(context, Again(webhook_id), NOW + 2 * HOUR) == 3
    assert post_at(context, workspace, NOW + 2 * HOUR) == 0
    assert len(receiver.posted) == 1
    receiver.will(status(204))
    assert webhook_endpoints.test(context, webhook_id, NOW).state == "working"
    assert post_at(context, workspace, NOW + 2 * HOUR) == 3
    assert receiver.posted[0].key == receiver.posted[2].key


def test_c10_a_test_that_works_ends_an_outage_at_once(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, secret = add(context, receiver)
    receiver.will(hang(receiver))
    happen(workspace, anna)
    for hours in (0, 1, 2):
        post_at(context, workspace, NOW + hours * HOUR)
    with pytest.raises(RemoteError, match="w_1 did not take the test: no answer within 1 s"):
        webhook_endpoints.test(context, webhook_id, NOW + 2 * HOUR)
    receiver.will(status(204))
    webhook_endpoints.test(context, webhook_id, NOW + 2 * HOUR)
    assert receiver.types()[-1] == "webhook.test"
    assert receiver.posted[-1].signed_by(secret)
    assert post_at(context, workspace, NOW + 2 * HOUR) == 1


@pytest.mark.parametrize("again", ["key", "since", "both"])
def test_c10_resend_repeats_what_was_delivered_with_the_same_id(
    again: str, context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    add(context, receiver)
    with receiving() as other:
        second, _ = add(context, other)
        happen(workspace, anna)
        happen(workspace, anna, NOW + HOUR, "mailbox.recovered")
        post_at(context, workspace, NOW + HOUR)
        wanted = {
            "key": Again(key=other.posted[1].key),
            "since": Again(since=NOW + HOUR),
            "both": Again(second, since=NOW + HOUR),
        }[again]
        count = webhook_endpoints.resend(context, wanted, NOW + HOUR)
        assert count == (2 if again == "since" else 1)
        assert post_at(context, workspace, NOW + HOUR) == count
        assert [one.key for one in other.posted[2:]] == [other.posted[1].key]
        assert len(receiver.posted) == (3 if again == "since" else 2)
        assert webhook_endpoints.resend(context, Again(second), NOW + HOUR) == 0


def test_c10_field_17_after_a_rotation_both_secrets_sign_for_a_day(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, first = add(context, receiver)
    # Made before the rotation, signed when it is posted.
    happen(workspace, anna)
    second = webhook_endpoints.rotate(context, webhook_id, NOW).secret.reveal()
    third = NOW + timedelta(hours=24)
    for at in (NOW, third - timedelta(seconds=1), third):
        happen(workspace, anna, at)
        post_at(context, workspace, at)
    assert [one.signed_by(second) for one in receiver.posted] == [True] * 4
    assert [one.signed_by(first) for one in receiver.posted] == [True, True, True, False]


def test_c10_of_three_secrets_within_a_day_the_last_two_sign(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, first = add(context, receiver)
    second, third = (webhook_endpoints.rotate(context, webhook_id, NOW).secret.reveal() for _ in range(2))
    happen(workspace, anna)
    post_at(context, workspace, NOW)
    (posted,) = receiver.posted
    assert [posted.signed_by(secret) for secret in (first, second, third)] == [False, True, True]


def test_i1_a_new_key_seals_signing_secrets_again_and_the_old_one_opens_none(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver, key: KeyInMemory
) -> None:
    webhook_id, first = add(context, receiver)
    second = webhook_endpoints.rotate(context, webhook_id, NOW).secret.reveal()
    assert secrets.rekey(context, KeyChange(key), NOW) == 2  # type: ignore[arg-type]  # load and store are all it needs
    assert len(key.ring.keys) == 1
    happen(workspace, anna)
    post_at(context_of(workspace, key=key), workspace, NOW)
    (posted,) = receiver.posted
    assert posted.signed_by(first)
    assert posted.signed_by(second)


def test_i1_the_database_has_no_signing_secret_in_clear(
    context: Context, workspace: Workspace, receiver: Receiver
) -> None:
    _, secret = add(context, receiver)
    with workspace.store.reading() as connection:
        (row,) = connection.execute(select(t.webhook)).all()
        log = list(connection.execute(select(t.event.c.data)).scalars())
    assert secret.removeprefix("whsec_") not in f"{row} {log}"
    assert base64.b64decode(secret.removeprefix("whsec_")) not in row.secret


@pytest.mark.parametrize("role", ["member", "manager"])
def test_a6_only_admins_may_touch_webhooks(
    role: str, context: Context, workspace: Workspace, receiver: Receiver
) -> None:
    add(context, receiver)
    other = workspace.add_user("ben@example.com", Role(role))
    theirs = context_of(workspace, other, key=KeyInMemory())
    deeds: list[Callable[[], object]] = [
        lambda: webhook_endpoints.add(theirs, receiver.url, ["all"], NOW),
        lambda: webhook_endpoints.listing(theirs),
        lambda: webhook_endpoints.remove(theirs, 1, NOW),
        lambda: webhook_endpoints.test(theirs, 1, NOW),
        lambda: webhook_endpoints.rotate(theirs, 1, NOW),
        lambda: webhook_endpoints.resend(theirs, Again(1), NOW),
    ]
    for deed in deeds:
        with pytest.raises(Refused) as refused:
            deed()
        assert refused.value.code == "user.not_allowed"
    assert receiver.posted == []


def test_c10_an_unknown_event_or_webhook_is_named(context: Context, receiver: Receiver) -> None:
    with pytest.raises(BadInput, match=r"'mailbox\.fell'") as refused:
        add(context, receiver, "mailbox.failed", "mailbox.fell")
    assert refused.value.hint == ", ".join(OFFERED)
    for deed in (webhook_endpoints.remove, webhook_endpoints.test, webhook_endpoints.rotate):
        with pytest.raises(NotFound, match="there is no webhook w_7"):
            deed(context, 7, NOW)
    with pytest.raises(NotFound):
        webhook_endpoints.resend(context, Again(7), NOW)


def test_c10_a_removed_webhook_takes_its_queue_along_and_its_number_is_not_used_again(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, _ = add(context, receiver)
    happen(workspace, anna)
    assert webhook_endpoints.remove(context, webhook_id, NOW).queue == Queue(1, 0)
    assert post_at(context, workspace, NOW) == 0
    assert add(context, receiver)[0] == webhook_id + 1
    assert queue(context) == Queue()


def test_f3_an_endpoint_that_a_dead_runner_was_posting_to_is_freed(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, _ = add(context, receiver)
    happen(workspace, anna)
    dead = workspace.add_runner()
    with workspace.store.writing() as connection:
        assert webhooks.take(connection, webhook_id, dead)
    assert post_at(context, workspace, NOW) == 0
    recovery.recover(context, NOW)
    assert post_at(context, workspace, NOW) == 1


def test_c10_two_runners_at_once_post_each_event_once_and_in_order(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, _ = add(context, receiver)
    for _ in range(20):
        happen(workspace, anna)
    runners = [workspace.add_runner() for _ in range(4)]
    threads = [
        threading.Thread(
            target=webhook_posting.post_due,
            args=(context, runner, webhook_id, lambda: NOW, lambda: False),
        )
        for runner in runners
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sequences = [one.json()["sequence"] for one in receiver.posted]
    assert len(sequences) == 20
    assert sequences == sorted(sequences)


def test_c10_a_runner_that_is_asked_to_stop_posts_nothing_more(
    context: Context, workspace: Workspace, anna: Sender, receiver: Receiver
) -> None:
    webhook_id, _ = add(context, receiver)
    for _ in range(3):
        happen(workspace, anna)
    stops = iter((False, True))
    posted = webhook_posting.post_due(
        context, workspace.add_runner(), webhook_id, lambda: NOW, lambda: next(stops)
    )
    assert (posted, len(receiver.posted)) == (1, 1)
    assert queue(context) == Queue(2, 0)
