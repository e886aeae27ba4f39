"""Steering the outbox: what each command does to a message, and to whoever it is for."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.services.views import outbox_actions
from mailrotate.core.services.views.outbox_actions import Which
from mailrotate.core.store import campaigns, mailboxes, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.errors import NotFound
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import MessageState
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

LATER = NOW + timedelta(minutes=5)
STEPS = ((timedelta(), "Hello", "Hello {{ name }}"), (timedelta(days=2), None, "Again"))
REFUSED = {
    "state": "error",
    "error_class": "soft",
    "error_phase": "rcpt",
    "error_code": 452,
    "error_enhanced": "4.2.2",
    "error_text": "4.2.2 over quota",
    "error_hint": Hint("see:", Command("why", "MESSAGE")).to_json(),
    "attempts": 12,
}


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


@pytest.fixture
def campaign(workspace: Workspace, anna: Sender) -> StoredCampaign:
    return workspace.add_campaign("autumn", [anna], steps=STEPS)


def planned(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, person: str = "queued", **values: object
) -> tuple[int, int]:
    """A message of the first step and its recipient; `person` is a state, or state and reason."""
    state, _, reason = person.partition(":")
    sender_id = workspace.senders(campaign)[0]
    address = f"kim{len(everyone(workspace))}@example.com"
    recipient_id = workspace.add_recipient(campaign, address, sender_id=sender_id, state=state)
    with workspace.store.writing() as connection:
        connection.execute(
            update(t.recipient).where(t.recipient.c.id == recipient_id).values(reason=reason or None)
        )
    return workspace.add_message(anna, campaign, recipient_id, to=address, **values), recipient_id  # type: ignore[arg-type]


def everyone(workspace: Workspace) -> list[int]:
    with workspace.store.reading() as connection:
        return list(connection.execute(select(t.recipient.c.id)).scalars())


def message(workspace: Workspace, message_id: int) -> object:
    with workspace.store.reading() as connection:
        return connection.execute(select(t.message).where(t.message.c.id == message_id)).one()


def person(workspace: Workspace, recipient_id: int) -> tuple[str, str | None, int, object]:
    r = t.recipient.c
    query = select(r.state, r.reason, r.next_step, r.next_at).where(r.id == recipient_id)
    with workspace.store.reading() as connection:
        return tuple(connection.execute(query).one())  # type: ignore[return-value]  # a row of these four


def actions(workspace: Workspace) -> list[str]:
    with workspace.store.reading() as connection:
        return list(connection.execute(select(t.event.c.action).order_by(t.event.c.id)).scalars())


def test_f2_a_retry_queues_an_error_at_once_with_a_fresh_count_of_tries(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    message_id, _ = planned(workspace, anna, campaign, **REFUSED)
    outcome = outbox_actions.retry(context_of(workspace), Which([message_id]), LATER)
    row = message(workspace, message_id)
    assert outcome.done == [message_id]
    assert (row.state, row.ready_at, row.attempts, row.error_class) == ("scheduled", LATER, 0, None)
    assert "message.retried" in actions(workspace)


def test_f2_somebody_who_failed_by_this_message_goes_on_with_its_retry(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    message_id, recipient_id = planned(workspace, anna, campaign, "failed:soft_bounces", **REFUSED)
    outbox_actions.retry(context_of(workspace), Which([message_id]), LATER)
    assert person(workspace, recipient_id)[:2] == ("active", None)
    assert message(workspace, message_id).state == "scheduled"


@pytest.mark.parametrize(
    "end", ["bounced:hard_bounce", "replied:reply", "failed:mailbox_removed", "stopped:grace"]
)
def test_f2_no_retry_brings_back_somebody_who_ended_for_another_reason(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, end: str
) -> None:
    message_id, recipient_id = planned(workspace, anna, campaign, end, **REFUSED)
    outcome = outbox_actions.retry(context_of(workspace), Which([message_id]), LATER)
    assert outcome.done == []
    assert end.partition(":")[0] in outcome.refused[0][1]
    assert message(workspace, message_id).state == "error"
    assert person(workspace, recipient_id)[0] == end.partition(":")[0]


def test_f2_a_bulk_retry_does_what_it_can_and_lists_the_rest(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    first, _ = planned(workspace, anna, campaign, **REFUSED)
    second, _ = planned(workspace, anna, campaign, "bounced:hard_bounce", **REFUSED)
    other, _ = planned(workspace, ben, campaign, **REFUSED)
    outcome = outbox_actions.retry(context_of(workspace), Which(mailbox="anna@example.org"), LATER)
    assert (outcome.done, [refused[0] for refused in outcome.refused]) == ([first], [second])
    assert message(workspace, other).state == "error"
    assert outbox_actions.retry(context_of(workspace), Which(campaign="autumn"), LATER).done == [other]


def test_f2_an_unknown_message_changes_nothing_for_the_others(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    message_id, _ = planned(workspace, anna, campaign, **REFUSED)
    with pytest.raises(NotFound) as refused:
        outbox_actions.retry(context_of(workspace), Which([message_id, 999]), LATER)
    assert refused.value.code == "message.none"
    assert message(workspace, message_id).state == "error"


def test_f1_cancelling_a_message_ends_its_recipient_so_that_nothing_is_planned_anew(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    message_id, recipient_id = planned(workspace, anna, campaign)
    context = context_of(workspace)
    assert outbox_actions.cancellable(context, [message_id]).done == [message_id]
    assert outbox_actions.cancel(context, [message_id], LATER).done == [message_id]
    assert message(workspace, message_id).state == "cancelled"
    assert person(workspace, recipient_id) == ("finished", "cancelled_by_operator", 1, None)


@pytest.mark.parametrize("state", ["sending", "sent", "held"])
def test_f3_what_may_have_left_is_not_cancelled(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, state: str
) -> None:
    message_id, recipient_id = planned(workspace, anna, campaign, state=state)
    outcome = outbox_actions.cancel(context_of(workspace), [message_id], LATER)
    assert outcome.done == []
    assert message(workspace, message_id).state == state
    assert person(workspace, recipient_id)[0] == "queued"


def test_f3_a_held_message_that_was_sent_takes_its_recipient_to_the_next_step(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    left_at = NOW - timedelta(hours=1)
    message_id, recipient_id = planned(
        workspace, anna, campaign, state="held", claimed_at=left_at, marked_at=left_at
    )
    outbox_actions.resolve(context_of(workspace), [message_id], True, LATER)
    row = message(workspace, message_id)
    assert (row.state, row.sent_at) == ("sent", left_at)
    assert person(workspace, recipient_id) == ("active", None, 2, left_at + timedelta(days=2))


def test_f3_a_held_message_that_was_not_sent_is_queued_and_can_be_claimed_again(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    message_id, _ = planned(
        workspace, anna, campaign, state="held", claimed_at=NOW, marked_at=NOW, claim_token="old"
    )
    before = message(workspace, message_id)
    context = context_of(workspace)
    outbox_actions.resolve(context, [message_id], False, LATER)
    row = message(workspace, message_id)
    assert (row.state, row.claimed_at, row.claim_token) == ("scheduled", None, None)
    assert row.message_id == before.message_id
    lane = workspace.own_lane(anna, workspace.add_runner())
    assert isinstance(Claims(context, lane).next(LATER, only=message_id), Claim)


def test_f3_a_held_message_that_was_not_sent_is_dropped_when_its_recipient_has_ended(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    message_id, recipient_id = planned(workspace, anna, campaign, "replied:reply", state="held")
    outbox_actions.resolve(context_of(workspace), [message_id], False, LATER)
    assert message(workspace, message_id).state == "cancelled"
    assert person(workspace, recipient_id)[:2] == ("replied", "reply")


def absent(workspace: Workspace, campaign: StoredCampaign) -> None:
    """Nobody ran for a month, until now; everything had been in order before."""
    with workspace.store.writing() as connection:
        workspaces.note_absence(connection, NOW - timedelta(days=30), NOW)
        campaigns.change(connection, campaign.id, started_at=NOW - timedelta(days=60))
        connection.execute(update(t.connection).values(connected_at=NOW - timedelta(days=60)))


def test_h4_a_late_message_waits_until_it_is_released_by_id(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    absent(workspace, campaign)
    message_id, _ = planned(workspace, anna, campaign, ready_at=NOW - timedelta(days=29))
    context = context_of(workspace)
    lane = workspace.own_lane(anna, workspace.add_runner())
    refused = Claims(context, lane).next(LATER, only=message_id)
    assert not isinstance(refused, Claim)
    assert refused.closed is not None
    assert refused.closed.gate == "overdue"
    assert outbox_actions.release(context, [message_id], LATER).done == [message_id]
    assert isinstance(Claims(context, lane).next(LATER, only=message_id), Claim)


def test_h4_releasing_a_campaign_also_releases_what_is_planned_only_later(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    absent(workspace, campaign)
    long_ago = NOW - timedelta(days=29)
    parked, _ = planned(workspace, anna, campaign, ready_at=long_ago, overdue_at=NOW)
    context = context_of(workspace)
    assert outbox_actions.release_campaign(context, "autumn", LATER) == 1
    later, _ = planned(workspace, anna, campaign, ready_at=long_ago)
    lane = workspace.own_lane(anna, workspace.add_runner())
    for message_id in (parked, later):
        assert isinstance(Claims(context, lane).next(LATER, only=message_id), Claim)


def test_h4_a_parked_message_stays_parked_when_its_campaign_is_merely_resumed(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    absent(workspace, campaign)
    message_id, _ = planned(workspace, anna, campaign, ready_at=NOW - timedelta(days=29), overdue_at=NOW)
    with workspace.store.writing() as connection:
        campaigns.change(connection, campaign.id, resumed_at=LATER)
    lane = workspace.own_lane(anna, workspace.add_runner())
    refused = Claims(context_of(workspace), lane).next(LATER, only=message_id)
    assert not isinstance(refused, Claim)
    assert refused.closed is not None
    assert refused.closed.gate == "overdue"


def test_e4_a_listing_expects_a_waiting_message_when_the_mailbox_has_a_new_day(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    with workspace.store.writing() as connection:
        mailboxes.change_connection(connection, anna.connection_id, daily_limit=1)
    workspace.add_sent(anna, NOW)
    message_id, _ = planned(workspace, anna, campaign)
    error_id, _ = planned(workspace, anna, campaign, **REFUSED)
    found = {each.message.id: each for each in outbox_actions.listing(context_of(workspace), Which(), LATER)}
    # Midnight in Berlin is 23:00 in UTC.
    assert found[message_id].expected_at == NOW.replace(hour=23, microsecond=0)
    assert found[error_id].expected_at is None
    assert found[error_id].hint == Hint("see:", Command("why", f"m_{error_id}"))


def test_a_hint_that_an_earlier_version_stored_as_text_is_still_told(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    told = "see: mailrotate why MESSAGE"
    planned(workspace, anna, campaign, **{**REFUSED, "error_hint": told})
    (found,) = outbox_actions.listing(context_of(workspace), Which(), LATER)
    assert found.hint == Hint(told)


def test_f2_a_listing_keeps_to_its_filters(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    ids = [planned(workspace, anna, campaign)[0] for _ in range(3)]
    context = context_of(workspace)

    def listed(which: Which, **only: object) -> list[int]:
        return [each.message.id for each in outbox_actions.listing(context, which, LATER, **only)]  # type: ignore[arg-type]

    assert listed(Which(campaign="autumn"), after=ids[0], limit=1) == [ids[1]]
    assert listed(Which(mailbox="anna@example.org"), state=MessageState.ERROR) == []
    with pytest.raises(NotFound):
        listed(Which(campaign="autum"))


def test_f2_the_whole_story_of_a_message_is_told_in_the_servers_words(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    message_id, _ = planned(workspace, anna, campaign, **REFUSED)
    context = context_of(workspace)
    outbox_actions.retry(context, Which([message_id]), LATER)
    with workspace.store.writing() as connection:
        connection.execute(update(t.message).where(t.message.c.id == message_id).values(**REFUSED))
    story = outbox_actions.show(context, message_id, LATER)
    assert story.detail.listed.error_text == "4.2.2 over quota"
    assert story.detail.listed.error_phase == "rcpt"
    assert [event.action for event in story.history] == ["message.retried"]
    assert "kim" not in json.dumps([dict(event.data) for event in story.history])
