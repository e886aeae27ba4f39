"""Which message a lane claims, what the claim records, and what becomes of those that may not go."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from mailrotate.core.services.campaigns import campaign_life
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending.claiming import Claims, LaneLost, Nothing, may_send
from mailrotate.core.store import campaigns
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending import inboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.mail import FolderCursor
from mailrotate.core.values.states import MessageKind, Priority, SuppressionKind
from tests.support.contexts import context_of
from tests.support.people import row as recipient_row
from tests.support.rows import NOW, Sender, Workspace

EARLIER, SOON = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
TEST = {"kind": MessageKind.TEST, "priority": Priority.BY_HAND, "fields": "{}"}


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


@pytest.fixture
def lane(workspace: Workspace, anna: Sender) -> Lane:
    return workspace.own_lane(anna, workspace.add_runner())


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


def claimed(context: Context, lane: Lane) -> int | None:
    found = Claims(context, lane).next(NOW)
    return found.message.id if isinstance(found, Claim) else None


def row(workspace: Workspace, message_id: int) -> tuple[str, str | None]:
    query = select(t.message.c.state, t.message.c.error_text).where(t.message.c.id == message_id)
    with workspace.store.reading() as connection:
        return tuple(connection.execute(query).one())  # type: ignore[return-value]  # a row of these two


def test_d7_a_test_whose_draft_was_deleted_blocks_no_lane(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """It was held, its draft deleted, and then resolved as not sent."""
    orphan = workspace.add_message(anna, **TEST)
    campaign = workspace.add_campaign("autumn", [anna])
    kim = workspace.add_recipient(campaign, "kim@example.com")
    next_one = workspace.add_message(anna, campaign, kim)
    assert claimed(context, lane) == next_one
    assert row(workspace, orphan) == ("error", "its campaign was deleted")


def test_d7_a_test_of_a_step_that_is_gone_blocks_no_lane(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """It waited for the next day, and meanwhile the draft was edited to fewer steps."""
    draft = workspace.add_campaign("draft", [anna], state="draft")
    lost = workspace.add_message(anna, draft, step=2, **TEST)
    campaign = workspace.add_campaign("autumn", [anna])
    kim = workspace.add_recipient(campaign, "kim@example.com")
    next_one = workspace.add_message(anna, campaign, kim)
    assert claimed(context, lane) == next_one
    assert row(workspace, lost) == ("error", "its step was removed from the campaign")


def test_f4_the_third_content_error_stops_the_campaign_at_once(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context
) -> None:
    """Also within one look at the lane: the fourth message stays as it is, and another campaign goes on."""
    broken = workspace.add_campaign("broken", [anna], steps=((timedelta(), "Hello", "{{ missing }}"),))
    messages = [
        workspace.add_message(anna, broken, workspace.add_recipient(broken, f"p{n}@example.com"))
        for n in range(6)
    ]
    assert claimed(context, lane) is None
    assert [row(workspace, message)[0] for message in messages] == ["error"] * 3 + ["scheduled"] * 3
    with workspace.store.reading() as connection:
        assert campaigns.by_id(connection, broken.id).pause_reasons == ("content_errors",)


# --- which one is next


@pytest.fixture
def autumn(workspace: Workspace, anna: Sender) -> StoredCampaign:
    steps = ((timedelta(), "Hello", "Hello {{ name }}"), (timedelta(days=2), "Again", "Again"))
    return workspace.add_campaign("autumn", [anna], steps=steps)


def add(workspace: Workspace, box: Sender, campaign: StoredCampaign, name: str, **values: object) -> int:
    """A message to a new recipient of this name."""
    address = f"{name}@example.com"
    recipient = workspace.add_recipient(campaign, address)
    return workspace.add_message(box, campaign, recipient, to=address, **values)  # type: ignore[arg-type]  # columns by name


def read_inbox(workspace: Workspace, box: Sender) -> None:
    with workspace.store.writing() as connection:
        inboxes.note_read(connection, box.id, "INBOX", FolderCursor(1, 0), NOW)


def change(workspace: Workspace, message_id: int, **values: object) -> None:
    with workspace.store.writing() as connection:
        connection.execute(update(t.message).where(t.message.c.id == message_id).values(**values))


def test_e4_by_hand_goes_first_then_follow_ups_of_any_campaign_then_first_messages(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    winter = workspace.add_campaign("winter", [anna])
    read_inbox(workspace, anna)
    first = add(workspace, anna, winter, "lee", ready_at=EARLIER)
    follow_up = add(workspace, anna, autumn, "kim", step=2)
    by_hand = workspace.add_message(anna, autumn, **{**TEST, "fields": '{"name": "you"}'})
    assert [claimed(context, lane) for _ in range(4)] == [by_hand, follow_up, first, None]


def test_e4_of_two_campaigns_the_one_whose_turn_is_longer_ago_goes_first(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    """A campaign that has had no turn goes before all others."""
    winter, spring = (workspace.add_campaign(name, [anna]) for name in ("winter", "spring"))
    turns = {autumn.id: NOW, winter.id: EARLIER, spring.id: None}
    found = []
    for campaign in (autumn, winter, spring):
        (sender,) = workspace.senders(campaign)
        with workspace.store.writing() as connection:
            of_it = update(t.campaign_sender).where(t.campaign_sender.c.id == sender)
            connection.execute(of_it.values(turn_at=turns[campaign.id]))
        found.append(add(workspace, anna, campaign, campaign.name, campaign_sender_id=sender))
    assert [claimed(context, lane) for _ in range(3)] == [found[2], found[1], found[0]]


def test_e4_of_equal_turns_the_message_that_was_due_first_goes_first(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    winter = workspace.add_campaign("winter", [anna])
    late, early = add(workspace, anna, autumn, "kim"), add(workspace, anna, winter, "lee")
    change(workspace, early, due_at=EARLIER)
    assert [claimed(context, lane) for _ in range(2)] == [early, late]


def test_h5_follow_ups_stay_while_the_inbox_is_unread_and_first_messages_leave(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    follow_up, first = add(workspace, anna, autumn, "kim", step=2), add(workspace, anna, autumn, "lee")
    assert [claimed(context, lane) for _ in range(2)] == [first, None]
    read_inbox(workspace, anna)
    assert claimed(context, lane) == follow_up


def test_f3_a_lane_that_another_runner_has_taken_claims_nothing(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    add(workspace, anna, autumn, "kim")
    with pytest.raises(LaneLost):
        Claims(context, replace(lane, token=lane.token - 1)).next(NOW)


@pytest.mark.parametrize("has_message", [True, False])
def test_b4_a_mailbox_that_may_not_send_claims_nothing_and_says_which_gate_is_closed(
    workspace: Workspace,
    anna: Sender,
    lane: Lane,
    context: Context,
    autumn: StoredCampaign,
    has_message: bool,
) -> None:
    """Also while nothing is ready: a turn that waits out a gap must know of it."""
    if has_message:
        add(workspace, anna, autumn, "kim")
    with workspace.store.writing() as connection:
        connection.execute(update(t.mailbox).values(paused_at=NOW))
    found = Claims(context, lane).next(NOW)
    assert isinstance(found, Nothing)
    assert found.closed is not None
    assert found.closed.gate == "rest"


def test_f3_a_claim_records_who_has_it_and_what_exactly_is_sent(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    message_id = add(workspace, anna, autumn, "kim")
    change(workspace, message_id, from_address="old@example.org", marked_at=EARLIER)
    found = Claims(context, lane).next(NOW)
    assert isinstance(found, Claim)
    assert (found.message.id, found.claimed_at, found.box.id) == (message_id, NOW, anna.id)
    with workspace.store.reading() as connection:
        stored = connection.execute(select(t.message).where(t.message.c.id == message_id)).one()
    assert (stored.state, stored.claim_token, stored.runner_id) == (
        "sending",
        found.claim_token,
        lane.runner_id,
    )
    assert (stored.claimed_at, stored.marked_at, stored.slot_id) == (NOW, None, anna.slot_id)
    assert (stored.from_address, stored.subject) == (anna.address, "Hello")
    assert stored.content_hash == hashlib.sha256(found.raw).hexdigest()
    assert b"Hello you" in found.raw


def test_d5_a_claimed_follow_up_keeps_which_messages_it_answers(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    read_inbox(workspace, anna)
    with workspace.store.writing() as connection:
        connection.execute(
            update(t.step_version).where(t.step_version.c.body == "Again").values(subject=None)
        )
    kim = workspace.add_recipient(autumn, "kim@example.com")
    before = {
        "state": "sent",
        "subject": "Hello",
        "cited_ids": "<0@example.org>",
        "message_id": "<1@example.org>",
    }
    workspace.add_message(anna, autumn, kim, **before)  # type: ignore[arg-type]  # columns by name
    message_id = workspace.add_message(anna, autumn, kim, step=2)
    assert claimed(context, lane) == message_id
    with workspace.store.reading() as connection:
        stored = connection.execute(select(t.message).where(t.message.c.id == message_id)).one()
    assert (stored.in_reply_to, stored.cited_ids) == ("<1@example.org>", "<0@example.org> <1@example.org>")


# --- what may not go


def test_d6_a_message_to_a_suppressed_address_ends_its_recipient_and_the_next_one_goes(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    kim = workspace.add_recipient(autumn, "kim@example.com")
    forbidden = workspace.add_message(anna, autumn, kim)
    allowed = add(workspace, anna, autumn, "lee")
    with workspace.store.writing() as connection:
        suppressions.add(
            connection,
            SuppressionKind.ADDRESS,
            "kim@example.com",
            reason="by_hand",
            source="test",
            added_by=None,
            now=EARLIER,
        )
    assert claimed(context, lane) == allowed
    ended = recipient_row(workspace, kim)
    assert (ended.state, ended.reason, ended.ended_at) == ("unsubscribed", "suppressed", NOW)
    assert row(workspace, forbidden)[0] == "cancelled"


@pytest.mark.parametrize(
    ("kind", "value", "address"),
    [
        (SuppressionKind.DOMAIN, "at.example", "kim@a.sub.at.example"),
        (SuppressionKind.DOMAIN, "googlemail.com", "kim@gmail.com"),
        (SuppressionKind.ADDRESS, "ki.m@gmail.com", "kim+news@googlemail.com"),
    ],
)
def test_i4_a_claim_heeds_the_domains_above_and_every_spelling(
    workspace: Workspace,
    anna: Sender,
    lane: Lane,
    context: Context,
    autumn: StoredCampaign,
    kind: SuppressionKind,
    value: str,
    address: str,
) -> None:
    kim = workspace.add_recipient(autumn, address)
    forbidden = workspace.add_message(anna, autumn, kim, to_address=address)
    allowed = add(workspace, anna, autumn, "lee")
    with workspace.store.writing() as connection:
        how = {"reason": "by_hand", "source": "test", "added_by": None, "now": EARLIER}
        suppressions.add(connection, kind, value, **how)  # type: ignore[arg-type]  # by name
    assert claimed(context, lane) == allowed
    assert row(workspace, forbidden)[0] == "cancelled"


def test_d6_a_message_to_a_recipient_who_has_ended_is_cancelled_and_the_next_one_goes(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    replied = workspace.add_recipient(autumn, "kim@example.com", state="replied")
    forbidden = workspace.add_message(anna, autumn, replied)
    allowed = add(workspace, anna, autumn, "lee")
    assert claimed(context, lane) == allowed
    assert row(workspace, forbidden)[0] == "cancelled"


def test_d4_a_message_waits_for_its_recipients_window_and_the_next_one_goes(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    """It is 9:00 UTC: 4 in the morning in New York, and 10 in Berlin."""
    window = json.dumps({"blocks": [{"days": "mon-sun", "hours": "09:00-17:00"}]})
    with workspace.store.writing() as connection:
        connection.execute(update(t.campaign_version).values(window=window, timezone="recipient"))
    asleep, awake = add(workspace, anna, autumn, "kim"), add(workspace, anna, autumn, "lee")
    with workspace.store.writing() as connection:
        kim = select(t.message.c.recipient_id).where(t.message.c.id == asleep).scalar_subquery()
        in_new_york = update(t.recipient).where(t.recipient.c.id == kim).values(timezone="America/New_York")
        connection.execute(in_new_york)
    assert claimed(context, lane) == awake
    with workspace.store.reading() as connection:
        ready_at = connection.execute(
            select(t.message.c.ready_at).where(t.message.c.id == asleep)
        ).scalar_one()
    assert (ready_at, row(workspace, asleep)[0]) == (NOW.replace(hour=14, microsecond=0), "scheduled")


def test_e4_a_message_asked_for_by_name_goes_before_all_others_but_only_from_its_own_lane(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    elsewhere = add(workspace, ben, autumn, "mia")
    add(workspace, anna, autumn, "kim", ready_at=EARLIER)
    wanted = add(workspace, anna, autumn, "lee")
    assert isinstance(Claims(context, lane).next(NOW, elsewhere), Nothing)
    assert isinstance(Claims(context, lane).next(NOW, elsewhere + 100), Nothing)
    found = Claims(context, lane).next(NOW, wanted)
    assert isinstance(found, Claim)
    assert found.message.id == wanted


@pytest.mark.parametrize(
    ("of_mailbox", "of_message", "gate"),
    [
        ({"paused_at": NOW}, {}, "rest"),
        ({}, {"due_at": SOON}, "due"),
        ({}, {"overdue_at": EARLIER}, "overdue"),
    ],
)
def test_f5_a_message_asked_for_by_name_that_may_not_go_says_why_and_no_other_goes_instead(
    workspace: Workspace,
    anna: Sender,
    lane: Lane,
    context: Context,
    autumn: StoredCampaign,
    of_mailbox: Mapping[str, object],
    of_message: Mapping[str, object],
    gate: str,
) -> None:
    other, wanted = add(workspace, anna, autumn, "kim"), add(workspace, anna, autumn, "lee")
    if of_mailbox:
        with workspace.store.writing() as connection:
            connection.execute(update(t.mailbox).values(**of_mailbox))
    if of_message:
        change(workspace, wanted, **of_message)
    found = Claims(context, lane).next(NOW, wanted)
    assert isinstance(found, Nothing)
    assert found.closed is not None
    assert found.closed.gate == gate
    assert row(workspace, other)[0] == "scheduled"


def test_f5_a_message_of_a_paused_campaign_asked_for_by_name_names_the_pause(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    wanted = add(workspace, anna, autumn, "kim")
    campaign_life.pause(context, "autumn", NOW)
    found = Claims(context, lane).next(NOW, wanted)
    assert isinstance(found, Nothing)
    assert found.closed is not None
    assert found.closed.gate == "campaign"


# --- a notice beside a used-up limit


@pytest.fixture
def used_up(workspace: Workspace, anna: Sender) -> None:
    """The mailbox has sent all that it may today."""
    workspace.add_sent(anna, EARLIER)
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(daily_limit=1, gap_seconds=0))


@pytest.mark.usefixtures("used_up")
def test_c10_only_a_notice_leaves_beyond_the_days_limit(
    workspace: Workspace, anna: Sender, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    add(workspace, anna, autumn, "kim")
    closed = Claims(context, lane).next(NOW)
    assert isinstance(closed, Nothing)
    assert closed.closed is not None
    assert closed.closed.gate == "daily_limit"
    notice = workspace.add_notice(anna)
    assert claimed(context, lane) == notice
    assert claimed(context, lane) is None


@pytest.mark.usefixtures("used_up")
def test_f5_a_message_of_another_lane_asked_for_by_name_names_what_closes_this_one(
    workspace: Workspace, lane: Lane, context: Context, autumn: StoredCampaign
) -> None:
    elsewhere = add(workspace, workspace.add_mailbox("ben@example.org"), autumn, "mia")
    found = Claims(context, lane).next(NOW, elsewhere)
    assert isinstance(found, Nothing)
    assert found.closed is not None
    assert found.closed.gate == "daily_limit"


# --- whether a lane is worth a login


@pytest.mark.usefixtures("used_up")
def test_c10_a_lane_is_worth_a_login_for_a_notice_that_may_leave(
    workspace: Workspace, anna: Sender, context: Context, autumn: StoredCampaign
) -> None:
    add(workspace, anna, autumn, "kim")
    assert not may_send(context, anna.id, NOW)
    workspace.add_notice(anna, ready_at=SOON, due_at=SOON)
    assert not may_send(context, anna.id, NOW)
    assert may_send(context, anna.id, SOON)
    with workspace.store.writing() as connection:
        connection.execute(update(t.mailbox).values(paused_at=NOW))
    assert not may_send(context, anna.id, SOON), "a paused mailbox sends no notice either"


def test_b10_a_lane_may_send_while_a_campaign_of_its_mailbox_is_open(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    assert not may_send(context, anna.id, NOW)
    workspace.add_campaign("draft", [anna], state="draft")
    assert not may_send(context, anna.id, NOW)
    workspace.add_campaign("autumn", [anna])
    assert may_send(context, anna.id, NOW)
    with workspace.store.writing() as connection:
        connection.execute(update(t.mailbox).values(paused_at=NOW))
    assert not may_send(context, anna.id, NOW)


def test_b10_a_lane_may_send_what_was_written_by_hand_although_no_campaign_is_open(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    workspace.add_message(anna, workspace.add_campaign("draft", [anna], state="draft"), ready_at=SOON, **TEST)
    assert not may_send(context, anna.id, NOW)
    assert may_send(context, anna.id, SOON)


def test_d4_a_lane_may_not_send_outside_the_window_of_its_only_campaign(
    workspace: Workspace, anna: Sender, context: Context, autumn: StoredCampaign
) -> None:
    window = json.dumps({"blocks": [{"days": "mon-sun", "hours": "10:00-17:00"}], "zone": "UTC"})
    with workspace.store.writing() as connection:
        connection.execute(update(t.campaign_version).values(window=window, timezone="UTC"))
    assert not may_send(context, anna.id, NOW)
    assert may_send(context, anna.id, SOON)
