"""What each kind of refusal leaves of a message, its recipient and its campaign (F2, F4, D6)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from mailrotate.core.rules.quota import rest_until
from mailrotate.core.rules.replies import hint_for
from mailrotate.core.rules.transitions import DEADLINE
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import settling
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.services.sending.settling import Settled
from mailrotate.core.store import deadlines, events
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending import inboxes, lanes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import DeadlineKind, MessageKind, MessageState, Phase, Priority, ReplyClass
from tests.support.contexts import context_of
from tests.support.people import campaign_of, row
from tests.support.rows import NOW, Sender, Workspace

KIM = "kim@example.com"
LATER = NOW + timedelta(seconds=30)
LONG_AGO = NOW - timedelta(days=3)
NO_SUCH_USER = ServerReply(Phase.RCPT, 550, "5.1.1", "550 5.1.1 no such user")
GREYLISTED = ServerReply(Phase.RCPT, 451, "4.7.1", "451 4.7.1 greylisted")
VIRUS = ServerReply(Phase.DOT, 554, "5.6.0", "554 5.6.0 message contains a virus")
NO_ROUTE = ServerReply(Phase.CONNECT, None, None, "no route to host")


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


@pytest.fixture
def campaign(workspace: Workspace, anna: Sender) -> StoredCampaign:
    return workspace.add_campaign("autumn", [anna])


@pytest.fixture
def lane(workspace: Workspace, anna: Sender) -> Lane:
    return workspace.own_lane(anna, workspace.add_runner())


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def claimed(
    workspace: Workspace, context: Context, anna: Sender, campaign: StoredCampaign, lane: Lane
) -> Claim:
    """A campaign's message to Kim, claimed for the first time."""
    workspace.add_message(anna, campaign, workspace.add_recipient(campaign, KIM), to=KIM)
    return claim(context, lane)


def claim(context: Context, lane: Lane) -> Claim:
    found = Claims(context, lane).next(NOW)
    assert isinstance(found, Claim)
    return found


def refuse(context: Context, claimed: Claim, reply: ServerReply) -> Settled:
    return settling.settle_refused(context, claimed, claimed.box, reply, LATER)


def message(workspace: Workspace, claimed: Claim) -> Any:
    with workspace.store.reading() as connection:
        return connection.execute(select(t.message).where(t.message.c.id == claimed.message.id)).one()


def recipient(workspace: Workspace, claimed: Claim) -> tuple[str, str | None, bool]:
    """State, reason, and whether it ended at the refusal."""
    assert claimed.message.recipient_id is not None
    found = row(workspace, claimed.message.recipient_id)
    return found.state, found.reason, found.ended_at == LATER and found.next_at is None


def logged(workspace: Workspace) -> list[tuple[str, object, object]]:
    """Action, and what it says of the class of the answer or the reason, and of the answer itself."""
    with workspace.store.reading() as connection:
        return [
            (event.action, event.data.get("error_class") or event.data.get("reason"), event.data.get("reply"))
            for event in events.listing(connection)
        ]


def is_suppressed(workspace: Workspace) -> bool:
    with workspace.store.reading() as connection:
        found = suppressions.covering(connection, KIM)
    return found is not None and (found.reason, found.source[:2], found.added_at) == (
        "hard_bounce",
        "m_",
        LATER,
    )


def test_d6_a_hard_refusal_ends_the_recipient_and_suppresses_the_address(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    """F2: the message stays in `error`, with the server's words and what to do."""
    assert refuse(context, claimed, NO_SUCH_USER) == Settled(MessageState.ERROR, ReplyClass.HARD, True)
    failed = message(workspace, claimed)
    assert (failed.state, failed.error_class, failed.error_phase) == ("error", "hard", "rcpt")
    assert (failed.error_code, failed.error_enhanced) == (550, "5.1.1")
    assert failed.error_text == NO_SUCH_USER.text
    assert failed.error_hint
    assert (failed.attempts, failed.first_failed_at, failed.settled_at) == (1, LATER, LATER)
    assert failed.claimed_at is None, "what did not leave counts for no limit"
    assert recipient(workspace, claimed) == ("bounced", "hard_bounce", True)
    assert is_suppressed(workspace)
    assert logged(workspace) == [
        ("recipient.bounced", "hard_bounce", None),
        ("suppression.added", "hard_bounce", None),
        ("message.error", "hard", NO_SUCH_USER.text),
    ]
    with workspace.store.reading() as connection:
        refusal = list(events.listing(connection))[-1].data
    assert (refusal["code"], refusal["enhanced"]) == (550, "5.1.1")


def test_d6_a_hard_refusal_of_a_test_message_suppresses_nobody(
    workspace: Workspace, context: Context, anna: Sender, campaign: StoredCampaign, lane: Lane
) -> None:
    test = {"kind": MessageKind.TEST, "priority": Priority.BY_HAND, "fields": '{"name": "Kim"}'}
    workspace.add_message(anna, campaign, to=KIM, **test)
    claimed = claim(context, lane)
    assert refuse(context, claimed, NO_SUCH_USER).state is MessageState.ERROR
    assert not is_suppressed(workspace)


def test_f4_a_temporary_refusal_is_tried_again_after_a_pause(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    assert refuse(context, claimed, GREYLISTED) == Settled(MessageState.SCHEDULED, ReplyClass.SOFT, True)
    waits = message(workspace, claimed)
    assert (waits.state, waits.attempts, waits.first_failed_at) == ("scheduled", 1, LATER)
    assert LATER + timedelta(minutes=5) <= waits.ready_at < LATER + timedelta(minutes=5, seconds=1)
    assert (waits.claimed_at, waits.claim_token, waits.runner_id, waits.marked_at) == (None,) * 4
    assert (waits.error_class, waits.error_text) == ("soft", GREYLISTED.text)
    assert recipient(workspace, claimed) == ("queued", None, False)
    assert logged(workspace) == [("message.deferred", "soft", GREYLISTED.text)]


@pytest.mark.parametrize("before", [{"attempts": 11, "first_failed_at": NOW}, {"first_failed_at": LONG_AGO}])
def test_f4_a_refusal_that_stays_temporary_fails_the_recipient_in_the_end(
    workspace: Workspace,
    context: Context,
    anna: Sender,
    campaign: StoredCampaign,
    lane: Lane,
    before: dict[str, object],
) -> None:
    """After twelve tries or three days; the address itself may be good."""
    workspace.add_message(anna, campaign, workspace.add_recipient(campaign, KIM), to=KIM, **before)
    claimed = claim(context, lane)
    assert refuse(context, claimed, GREYLISTED).state is MessageState.ERROR
    failed = message(workspace, claimed)
    assert (failed.attempts, failed.first_failed_at) == (
        claimed.message.attempts + 1,
        before["first_failed_at"],
    )
    assert recipient(workspace, claimed) == ("failed", "soft_bounces", True)
    assert not is_suppressed(workspace)
    assert logged(workspace)[0] == ("recipient.failed", "soft_bounces", None)


def test_f4_the_third_content_error_of_a_step_pauses_the_campaign(
    workspace: Workspace, context: Context, anna: Sender, campaign: StoredCampaign, lane: Lane
) -> None:
    for number in range(3):
        assert campaign_of(workspace).pause_reasons == ()
        person = workspace.add_recipient(campaign, f"p{number}@example.com")
        workspace.add_message(anna, campaign, person)
        claimed = claim(context, lane)
        assert refuse(context, claimed, VIRUS) == Settled(MessageState.ERROR, ReplyClass.MESSAGE, True)
        assert recipient(workspace, claimed) == ("queued", None, False)
    assert campaign_of(workspace).pause_reasons == ("content_errors",)


@pytest.mark.parametrize(
    "reply",
    [
        NO_ROUTE,
        ServerReply(Phase.AUTH, 550, "5.1.1", NO_SUCH_USER.text),
        ServerReply(Phase.AUTH, 451, "4.3.0", "451 4.3.0 try later"),
    ],
)
def test_f4_trouble_before_the_message_was_named_harms_neither_message_nor_recipient(
    workspace: Workspace, context: Context, claimed: Claim, reply: ServerReply
) -> None:
    settled = refuse(context, claimed, reply)
    assert (settled.state, settled.lane_goes_on) == (MessageState.SCHEDULED, False)
    waits = message(workspace, claimed)
    # A refused login fails the mailbox, and all its messages wait for it (C15).
    fails = settled.reply_class is ReplyClass.AUTH
    assert (waits.state, waits.error_class) == (("error", "connection") if fails else ("scheduled", None))
    assert waits.attempts == 0
    assert recipient(workspace, claimed) == ("queued", None, False)
    assert ("message.deferred", settled.reply_class, reply.text) in logged(workspace)


def test_f4_a_refusal_of_the_mailbox_itself_puts_the_message_back_and_ends_the_turn(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    refused = ServerReply(Phase.MAIL, 550, "5.1.1", "550 5.1.1 sender refused")
    assert refuse(context, claimed, refused) == Settled(MessageState.SCHEDULED, ReplyClass.SENDER, False)
    waits = message(workspace, claimed)
    assert (waits.state, waits.attempts) == ("scheduled", 0)


def test_f4_a_servers_own_trouble_that_lasts_fails_the_message_but_not_the_recipient(
    workspace: Workspace, context: Context, anna: Sender, campaign: StoredCampaign, lane: Lane
) -> None:
    workspace.add_message(anna, campaign, workspace.add_recipient(campaign, KIM), to=KIM, attempts=11)
    claimed = claim(context, lane)
    overloaded = ServerReply(Phase.RCPT, 451, "4.3.0", "451 4.3.0 try later")
    assert refuse(context, claimed, overloaded) == Settled(MessageState.ERROR, ReplyClass.RETRY, True)
    assert recipient(workspace, claimed) == ("queued", None, False)


def test_f3_a_refusal_changes_nothing_once_the_claim_is_lost(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    with workspace.store.writing() as connection:
        settling.put_back(connection, claimed.message.id, claimed.claim_token)
    before = message(workspace, claimed)
    settled = refuse(context, claimed, NO_SUCH_USER)
    assert settled == Settled(MessageState.SCHEDULED, ReplyClass.HARD, False)
    assert message(workspace, claimed) == before
    assert (is_suppressed(workspace), logged(workspace)) == (False, [])


@pytest.mark.parametrize(("is_marked", "state"), [(False, "scheduled"), (True, "held")])
def test_f3_a_dead_runners_claim_goes_back_and_its_marked_message_is_held(
    workspace: Workspace, context: Context, claimed: Claim, lane: Lane, is_marked: bool, state: str
) -> None:
    with workspace.store.writing() as connection:
        if is_marked:
            connection.execute(t.message.update().values(marked_at=NOW))
        held = settling.recover_orphans(connection, lane.runner_id, LATER)
    assert held == (1 if is_marked else 0)
    assert message(workspace, claimed).state == state
    told = [action for action, _, _ in logged(workspace)]
    assert told == (["message.held"] if is_marked else [])
    with workspace.store.reading() as connection:
        assert connection.execute(select(t.lane.c.runner_id)).scalars().all() == [None]


# --- what a sent message leaves

TAKEN = ServerReply(Phase.DOT, 250, None, "250 taken as 17")


def settle_sent(context: Context, claimed: Claim, **of_box: object) -> Settled:
    box = replace(claimed.box, **of_box)  # type: ignore[arg-type]  # fields by name
    return context.store.send(lambda block: settling.settle_sent(block, claimed, box, TAKEN, LATER))


def lane_rests_until(workspace: Workspace, mailbox_id: int) -> datetime | None:
    query = select(t.lane.c.next_send_at).where(t.lane.c.mailbox_id == mailbox_id)
    with workspace.store.reading() as connection:
        found: datetime | None = connection.execute(query).scalar_one()
    return found


def test_d1_a_sent_message_is_recorded_and_its_recipient_waits_for_the_next_step(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane
) -> None:
    """Counted from the instant of sending; earlier refusals are forgotten, but their tries are counted."""
    steps = ((timedelta(), "Hello", "Hello"), (timedelta(days=2), None, "Again"))
    campaign = workspace.add_campaign("autumn", [anna], steps=steps)
    (sender,) = workspace.senders(campaign)
    kim = workspace.add_recipient(campaign, KIM, sender_id=sender)
    refused = {"attempts": 1, "error_class": "soft", "error_code": 451, "error_enhanced": "4.7.1",
               "error_text": "451 4.7.1 greylisted", "error_hint": "[]"}  # fmt: skip
    workspace.add_message(anna, campaign, kim, to=KIM, campaign_sender_id=sender, **refused)  # type: ignore[arg-type]  # columns by name
    claimed = claim(context, lane)
    assert settle_sent(context, claimed) == Settled(MessageState.SENT, None, True)
    sent = message(workspace, claimed)
    assert (sent.state, sent.sent_at, sent.settled_at, sent.attempts) == ("sent", LATER, LATER, 2)
    assert (sent.error_class, sent.error_code, sent.error_enhanced) == (None,) * 3
    assert (sent.error_text, sent.error_hint) == (None, None)
    waits = row(workspace, kim)
    assert (waits.state, waits.next_step, waits.next_at) == ("active", 2, LATER + timedelta(days=2))
    assert [(action, reply) for action, _, reply in logged(workspace)] == [("message.sent", TAKEN.text)]
    with workspace.store.reading() as connection:
        turn = connection.execute(select(t.campaign_sender.c.turn_at)).scalar_one()
        (event,) = events.listing(connection)
    assert turn == LATER, "the other campaigns of the mailbox come next (E4)"
    assert event.at == LATER
    assert (event.mailbox, event.campaign) == (anna.address, "autumn")
    assert (event.recipient_id, event.message_id) == (kim, claimed.message.id)


def test_d1_the_last_step_finishes_its_recipient(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    settle_sent(context, claimed)
    assert recipient(workspace, claimed) == ("finished", "all_steps_sent", True)
    assert claimed.message.recipient_id is not None
    assert row(workspace, claimed.message.recipient_id).next_step == 2


@pytest.mark.parametrize("others", [0, 1])
def test_c12_a_deadline_ends_with_the_last_recipient_who_waited_for_its_mailbox(
    workspace: Workspace, context: Context, anna: Sender, campaign: StoredCampaign, lane: Lane, others: int
) -> None:
    """Kim's message was in flight when the mailbox was disconnected."""
    (sender,) = workspace.senders(campaign)
    kim = workspace.add_recipient(campaign, KIM, sender_id=sender)
    for number in range(others):
        workspace.add_recipient(campaign, f"p{number}@example.com", sender_id=sender)
    workspace.add_message(anna, campaign, kim, to=KIM, campaign_sender_id=sender)
    claimed = claim(context, lane)
    with workspace.store.writing() as connection:
        ends_at = NOW + timedelta(hours=1)
        kind = DeadlineKind.DISCONNECT
        deadlines.begin(connection, DEADLINE["begin"], anna.id, [campaign.id], kind, NOW, ends_at)
    settle_sent(context, claimed)
    with workspace.store.reading() as connection:
        (ended,) = connection.execute(select(t.deadline.c.ended_by, t.deadline.c.ended_at))
    assert tuple(ended) == ((None, None) if others else ("campaign_ended", LATER))


def test_f3_an_answer_that_comes_late_settles_the_held_message_as_sent(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    """Another process has taken its sender for dead; the sender knows better."""
    with workspace.store.writing() as connection:
        settling.hold(connection, claimed.message.id, claimed.claim_token, "silence", NOW)
    settle_sent(context, claimed)
    assert message(workspace, claimed).state == "sent"
    assert recipient(workspace, claimed)[0] == "finished"


def test_f3_an_answer_about_a_message_that_is_no_longer_ours_changes_nothing(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    with workspace.store.writing() as connection:
        settling.put_back(connection, claimed.message.id, claimed.claim_token)
    settle_sent(context, claimed)
    assert message(workspace, claimed).state == "scheduled"
    assert recipient(workspace, claimed) == ("queued", None, False)
    assert logged(workspace) == []
    assert lane_rests_until(workspace, claimed.box.id) is None
    with workspace.store.reading() as connection:
        assert inboxes.pending_copies(connection, claimed.box.id, LATER + timedelta(days=1), 10) == []


@pytest.mark.parametrize(
    ("setting", "server_files", "due_at"),
    [
        (None, None, LATER + timedelta(minutes=1)),
        (None, False, LATER),
        (None, True, None),
        ("on", True, LATER + timedelta(minutes=1)),
        ("on", False, LATER),
        ("off", None, None),
        ("off", False, None),
    ],
)
def test_f3_a_copy_is_kept_unless_the_server_files_it_and_an_unknown_server_gets_a_minute(
    workspace: Workspace,
    context: Context,
    claimed: Claim,
    setting: str | None,
    server_files: bool | None,
    due_at: datetime | None,
) -> None:
    settings = claimed.box.settings
    own = replace(settings.own, sent_copy=setting)
    settle_sent(context, claimed, files_sent_copy=server_files, settings=replace(settings, own=own))
    with workspace.store.reading() as connection:
        kept = connection.execute(select(t.sent_copy)).all()
    assert [(copy.message_id, copy.mailbox_id, copy.raw, copy.next_try_at) for copy in kept] == (
        [] if due_at is None else [(claimed.message.id, claimed.box.id, claimed.raw, due_at)]
    )


@pytest.mark.parametrize("seconds", [0, 600])
def test_b3_the_gap_after_a_message_is_the_one_that_is_set_when_it_leaves(
    workspace: Workspace, context: Context, claimed: Claim, seconds: int
) -> None:
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(gap_seconds=seconds))
    settle_sent(context, claimed)
    expected = rest_until(LATER, claimed.message.token, timedelta(seconds=seconds))
    assert lane_rests_until(workspace, claimed.box.id) == expected


def test_b3_a_gap_that_has_not_changed_since_the_claim_counts_from_the_answer(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    settle_sent(context, claimed)
    expected = rest_until(LATER, claimed.message.token, claimed.box.settings.gap)
    assert expected is not None
    assert lane_rests_until(workspace, claimed.box.id) == expected


# --- what is not known


def test_f3_silence_after_the_dot_holds_the_message_with_a_hint(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    silence = ServerReply(Phase.DOT, None, None, "timed out")
    settled = settling.settle_unknown(context, claimed, silence, LATER)
    assert settled == Settled(MessageState.HELD, ReplyClass.UNKNOWN, False)
    held = message(workspace, claimed)
    assert (held.state, held.error_class, held.error_text) == ("held", "unknown", "timed out")
    assert (held.settled_at, held.error_hint) == (LATER, hint_for(ReplyClass.UNKNOWN).to_json())
    assert held.claimed_at == NOW, "it may have left, so it counts for the limits"
    assert [(action, reply) for action, _, reply in logged(workspace)] == [("message.held", "timed out")]


def test_f3_silence_about_a_message_that_is_no_longer_ours_ends_the_turn(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    with workspace.store.writing() as connection:
        settling.put_back(connection, claimed.message.id, claimed.claim_token)
    silence = ServerReply(Phase.DOT, None, None, "timed out")
    settled = settling.settle_unknown(context, claimed, silence, LATER)
    assert settled == Settled(MessageState.SCHEDULED, ReplyClass.UNKNOWN, False)
    assert message(workspace, claimed).state == "scheduled"


def test_f3_a_message_that_is_put_back_is_as_it_was_before_its_claim(
    workspace: Workspace, context: Context, claimed: Claim, lane: Lane
) -> None:
    with workspace.store.writing() as connection:
        connection.execute(t.message.update().values(marked_at=NOW))
        assert settling.put_back(connection, claimed.message.id, claimed.claim_token)
        assert not settling.put_back(connection, claimed.message.id, claimed.claim_token)
    waits = message(workspace, claimed)
    assert (waits.state, waits.attempts) == ("scheduled", 0)
    assert (waits.claimed_at, waits.claim_token, waits.runner_id, waits.marked_at) == (None,) * 4


def test_c15_a_message_that_is_put_back_to_a_recipient_who_has_ended_is_cancelled(
    workspace: Workspace, context: Context, claimed: Claim
) -> None:
    with workspace.store.writing() as connection:
        connection.execute(t.recipient.update().values(state="replied"))
        assert settling.put_back(connection, claimed.message.id, claimed.claim_token)
    assert message(workspace, claimed).state == "cancelled"


@pytest.mark.parametrize(("is_marked", "state"), [(False, "scheduled"), (True, "held")])
def test_f3_whoever_takes_a_lane_settles_what_its_last_owner_left_there(
    workspace: Workspace, context: Context, claimed: Claim, lane: Lane, is_marked: bool, state: str
) -> None:
    """The last owner released it and may still run; a lane that it still owns is not taken."""
    other = workspace.add_runner()
    with workspace.store.writing() as connection:
        if is_marked:
            connection.execute(t.message.update().values(marked_at=NOW))
        assert settling.take_lane(connection, lane.mailbox_id, other, LATER) is None
    assert message(workspace, claimed).state == "sending"
    with workspace.store.writing() as connection:
        lanes.release(connection, lane)
        taken = settling.take_lane(connection, lane.mailbox_id, other, LATER)
    assert taken == Lane(lane.mailbox_id, other, lane.token + 1)
    left = message(workspace, claimed)
    assert left.state == state
    if is_marked:
        said = "the runner ended between the final dot and the server's answer"
        assert (left.error_text, left.settled_at) == (said, LATER)
        with workspace.store.reading() as connection:
            (event,) = events.listing(connection)
        assert (event.action, event.at, event.message_id) == ("message.held", LATER, claimed.message.id)
        assert event.data["reply"] == said
