"""F4: a mailbox that is told three times in a row that nobody exists waits for a person, who can undo it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import mailbox_views, refusal_undoing
from mailrotate.core.services.mailboxes.refusal_undoing import Undone
from mailrotate.core.services.sending import settling
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.store import connections, events
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import Phase, SuppressionKind
from tests.support.contexts import context_of
from tests.support.people import row
from tests.support.rows import NOW, Sender, Workspace

KIM, LEE, MIA, NOA = "kim@example.com", "lee@example.net", "mia@example.edu", "noa@example.info"
UNKNOWN = ServerReply(Phase.RCPT, 550, "5.1.1", "550 5.1.1 user unknown")
ACCEPTED = ServerReply(Phase.DOT, 250, None, "250 queued")
SECOND = timedelta(seconds=1)
AFTERWARDS = NOW + timedelta(hours=1)


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org", gap_seconds=0)


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
def people(workspace: Workspace, anna: Sender, campaign: StoredCampaign) -> dict[str, int]:
    """Recipients by address, each with a planned message, in this order."""
    return {each: add_person(workspace, anna, campaign, each) for each in (KIM, LEE, MIA, NOA)}


def add_person(workspace: Workspace, anna: Sender, campaign: StoredCampaign, address: str) -> int:
    sender_id = workspace.senders(campaign)[0]
    recipient_id = workspace.add_recipient(campaign, address, sender_id=sender_id)
    workspace.add_message(anna, campaign, recipient_id, to=address)
    return recipient_id


def meet(context: Context, lane: Lane, reply: ServerReply, now: datetime) -> str | None:
    """Send the next message to a server that answers so; return to whom, or None if the mailbox waits."""
    claimed = Claims(context, lane).next(now)
    if not isinstance(claimed, Claim):
        return None
    if reply is ACCEPTED:
        with context.store.sending() as block:
            settling.settle_sent(block, claimed, claimed.box, reply, now)
    else:
        settling.settle_refused(context, claimed, claimed.box, reply, now)
    return claimed.message.to_address


def refuse(context: Context, lane: Lane, count: int) -> list[str | None]:
    return [meet(context, lane, UNKNOWN, NOW + number * SECOND) for number in range(count)]


def hold(workspace: Workspace, anna: Sender) -> tuple[str | None, str | None]:
    with workspace.store.reading() as connection:
        health = connections.health_of(connection, anna.id)
    return health.hold_class, health.hold_reason


def is_suppressed(workspace: Workspace, address: str) -> bool:
    with workspace.store.reading() as connection:
        return suppressions.covering(connection, address) is not None


def log(workspace: Workspace) -> list[str]:
    with workspace.store.reading() as connection:
        return [event.action for event in events.listing(connection)]


def suppress(workspace: Workspace, address: str, reason: str) -> None:
    with workspace.store.writing() as connection:
        suppressions.add(
            connection,
            SuppressionKind.ADDRESS,
            address,
            reason=reason,
            source="by hand",
            added_by=None,
            now=NOW,
        )


def test_f4_three_hard_answers_in_a_row_hold_the_mailbox_before_the_fourth(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    assert refuse(context, lane, 4) == [KIM, LEE, MIA, None]
    held_for, said = hold(workspace, anna)
    assert held_for == "refusals"
    assert said is not None
    assert said.startswith("3 recipients in a row were refused as unknown, at example.com, example.net and")
    assert row(workspace, people[NOA]).state == "queued"
    assert log(workspace).count("mailbox.held") == 1


def test_f4_an_accepted_message_between_starts_the_count_from_zero(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    assert refuse(context, lane, 2) == [KIM, LEE]
    assert meet(context, lane, ACCEPTED, NOW + 2 * SECOND) == MIA
    assert meet(context, lane, UNKNOWN, NOW + 3 * SECOND) == NOA
    assert hold(workspace, anna) == (None, None)


def test_f4_three_unknown_people_at_one_domain_do_not_hold_the_mailbox(
    workspace: Workspace, context: Context, anna: Sender, campaign: StoredCampaign, lane: Lane
) -> None:
    for name in ("kim", "lee", "mia", "noa"):
        add_person(workspace, anna, campaign, f"{name}@example.com")
    assert None not in refuse(context, lane, 4)
    assert hold(workspace, anna) == (None, None)


def test_f4_another_mailbox_has_a_count_of_its_own(
    workspace: Workspace, context: Context, anna: Sender, campaign: StoredCampaign, lane: Lane
) -> None:
    ben = workspace.add_mailbox("ben@example.org", gap_seconds=0)
    bens = workspace.own_lane(ben, workspace.add_runner())
    winter = workspace.add_campaign("winter", [ben])
    for address, sender, its in ((KIM, anna, campaign), (LEE, anna, campaign), (MIA, ben, winter)):
        add_person(workspace, sender, its, address)
    assert refuse(context, lane, 2) == [KIM, LEE]
    assert refuse(context, bens, 1) == [MIA]
    assert hold(workspace, anna) == hold(workspace, ben) == (None, None)


def test_f4_a_temporary_answer_between_breaks_no_row(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    refuse(context, lane, 2)
    greylisted = ServerReply(Phase.RCPT, 451, "4.7.1", "451 4.7.1 greylisted")
    assert meet(context, lane, greylisted, NOW + 2 * SECOND) == MIA
    assert meet(context, lane, UNKNOWN, NOW + 3 * SECOND) == NOA
    assert hold(workspace, anna)[0] == "refusals"


def test_f4_the_count_is_in_the_database_and_survives_the_end_of_the_process(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    refuse(context, lane, 2)
    # Nothing of the first process is left but the database.
    another = context_of(workspace)
    assert meet(another, lane, UNKNOWN, NOW + 2 * SECOND) == MIA
    assert meet(another, lane, UNKNOWN, NOW + 3 * SECOND) is None
    assert hold(workspace, anna)[0] == "refusals"


def test_f4_a_release_counts_from_zero_and_leaves_the_bounced_as_they_are(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    refuse(context, lane, 3)
    assert mailbox_views.release(context, anna.address, NOW + 5 * SECOND) is not None
    assert meet(context, lane, UNKNOWN, NOW + 6 * SECOND) == NOA
    assert hold(workspace, anna) == (None, None)
    assert row(workspace, people[KIM]).state == "bounced"
    assert is_suppressed(workspace, KIM)


def test_f4_undoing_opens_the_recipients_where_they_were_and_sends_to_each_of_them_once(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    refuse(context, lane, 3)
    assert refusal_undoing.release(context, anna.address, AFTERWARDS) == Undone(True, 3, 3, 3)
    assert hold(workspace, anna) == (None, None)
    for address in (KIM, LEE, MIA):
        found = row(workspace, people[address])
        assert (found.state, found.reason, found.ended_at) == ("queued", None, None)
        assert (found.next_step, found.next_at) == (1, AFTERWARDS)
        assert not is_suppressed(workspace, address)
    assert log(workspace)[-7:] == [
        "mailbox.released",
        *["suppression.removed"] * 3,
        *["recipient.requeued"] * 3,
    ]
    # Nothing is left to undo.
    assert refusal_undoing.release(context, anna.address, AFTERWARDS) == Undone(False, 0, 0, 0)


def test_f4_a_follow_up_that_is_undone_goes_on_with_the_same_step(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane
) -> None:
    steps = tuple((timedelta(days=2), "Hello" if first else None, "Hi") for first in (True, False, False))
    campaign = workspace.add_campaign("autumn", [anna], steps=steps)
    sender_id = workspace.senders(campaign)[0]
    people = {}
    for address in (KIM, LEE, MIA):
        kim = workspace.add_recipient(campaign, address, sender_id=sender_id, state="active", next_step=2)
        sent = {"campaign": campaign, "recipient_id": kim, "to": address, "sent_at": NOW - timedelta(days=2)}
        workspace.add_sent(anna, NOW - timedelta(days=2), **sent)
        message_id = workspace.add_message(anna, campaign, kim, to=address, step=2)
        people[address] = kim, message_id
    with workspace.store.writing() as connection:
        for recipient_id, message_id in people.values():
            bounced = {"state": "bounced", "reason": "hard_bounce", "ended_at": NOW}
            connection.execute(
                update(t.recipient).where(t.recipient.c.id == recipient_id).values(**bounced, next_at=None)
            )
            failed = {"state": "error", "error_class": "hard", "settled_at": NOW}
            connection.execute(update(t.message).where(t.message.c.id == message_id).values(**failed))
    assert refusal_undoing.release(context, anna.address, AFTERWARDS) == Undone(False, 3, 3, 0)
    for recipient_id, message_id in people.values():
        found = row(workspace, recipient_id)
        assert (found.state, found.next_step, found.next_at) == ("active", 2, AFTERWARDS)
        with workspace.store.reading() as connection:
            query = select(t.message.c.state).where(t.message.c.id == message_id)
            assert connection.execute(query).scalar_one() == "cancelled"


def test_f4_undoing_also_opens_the_same_person_in_other_campaigns(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    winter = workspace.add_campaign("winter", [anna])
    elsewhere = workspace.add_recipient(winter, KIM, sender_id=workspace.senders(winter)[0])
    stopped = workspace.add_recipient(winter, LEE, state="stopped")
    refuse(context, lane, 3)
    assert row(workspace, elsewhere).state == "unsubscribed"
    assert refusal_undoing.release(context, anna.address, AFTERWARDS) == Undone(True, 3, 4, 3)
    assert row(workspace, elsewhere).state == "queued"
    assert row(workspace, stopped).state == "stopped"


def test_f4_undoing_leaves_out_people_who_have_unsubscribed_since_or_were_suppressed_before(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    refuse(context, lane, 3)
    suppress(workspace, KIM, "unsubscribed")
    assert refusal_undoing.release(context, anna.address, AFTERWARDS) == Undone(True, 3, 2, 2)
    assert row(workspace, people[KIM]).state == "bounced"
    assert is_suppressed(workspace, KIM)
    assert row(workspace, people[LEE]).state == "queued"


def test_f4_undoing_leaves_out_people_whose_domain_is_suppressed_or_who_have_answered(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    refuse(context, lane, 3)
    with workspace.store.writing() as connection:
        told = {"reason": "by_hand", "source": "by hand", "added_by": None, "now": NOW}
        suppressions.add(connection, SuppressionKind.DOMAIN, "example.com", **told)  # type: ignore[arg-type]  # named
        about = About(anna.id, None, people[LEE])
        events.record(connection, RUNNER, "reply.received", NOW + timedelta(minutes=1), about)
    assert refusal_undoing.release(context, anna.address, AFTERWARDS) == Undone(True, 3, 1, 3)
    states = [row(workspace, people[address]).state for address in (KIM, LEE, MIA)]
    assert states == ["bounced", "bounced", "queued"]


def test_f4_undoing_reaches_no_further_back_than_the_last_accepted_message(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    refuse(context, lane, 1)
    meet(context, lane, ACCEPTED, NOW + 2 * SECOND)
    meet(context, lane, UNKNOWN, NOW + 3 * SECOND)
    assert refusal_undoing.release(context, anna.address, AFTERWARDS) == Undone(False, 1, 1, 1)
    states = [row(workspace, people[address]).state for address in (KIM, LEE, MIA)]
    assert states == ["bounced", "finished", "queued"]


def test_f4_a_stopped_campaign_opens_nobody(
    workspace: Workspace, context: Context, anna: Sender, campaign: StoredCampaign, lane: Lane, people: object
) -> None:
    refuse(context, lane, 3)
    with workspace.store.writing() as connection:
        connection.execute(update(t.campaign).where(t.campaign.c.id == campaign.id).values(state="finished"))
    assert refusal_undoing.release(context, anna.address, AFTERWARDS) == Undone(True, 3, 0, 3)


def test_f4_a_hold_for_a_limit_does_not_end_the_hold_for_refusals(
    workspace: Workspace, context: Context, anna: Sender, lane: Lane, people: dict[str, int]
) -> None:
    refuse(context, lane, 3)
    from mailrotate.core.rules.replies import classify
    from mailrotate.core.services.sending import health

    limit = ServerReply(Phase.RCPT, 450, "4.2.1", "450 4.2.1 daily sending limit exceeded")
    with workspace.store.writing() as connection:
        box = sending_mailboxes.by_id(connection, anna.id)
        health.note_trouble(connection, box, classify(limit, "imap"), limit, NOW)
    assert hold(workspace, anna)[0] == "refusals"
