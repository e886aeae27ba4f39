"""What each kind of refusal leaves of a message, its recipient and its campaign (F2, F4, D6)."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import settling
from mailrotate.core.services.sending.claiming import claim_next
from mailrotate.core.services.sending.rendering import StepCache
from mailrotate.core.services.sending.settling import Settled
from mailrotate.core.store import events
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import MessageKind, MessageState, Phase, Priority, ReplyClass
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
    found = claim_next(context, lane, StepCache(), NOW)
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


@pytest.mark.parametrize("reply", [NO_ROUTE, ServerReply(Phase.AUTH, 550, "5.1.1", NO_SUCH_USER.text)])
def test_f4_trouble_before_the_message_was_named_harms_neither_message_nor_recipient(
    workspace: Workspace, context: Context, claimed: Claim, reply: ServerReply
) -> None:
    settled = refuse(context, claimed, reply)
    assert (settled.state, settled.lane_goes_on) == (MessageState.SCHEDULED, False)
    waits = message(workspace, claimed)
    assert (waits.state, waits.attempts, waits.error_class) == ("scheduled", 0, None)
    assert recipient(workspace, claimed) == ("queued", None, False)
    assert ("message.deferred", settled.reply_class, reply.text) in logged(workspace)


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
