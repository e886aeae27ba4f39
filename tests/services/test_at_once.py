"""Several processes on one campaign at once: on PostgreSQL nothing but locks keeps them in order."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, select, update

from mailrotate.core.rules.inbound import InboundMail
from mailrotate.core.rules.timeline_filter import Link, Whose, as_document
from mailrotate.core.services.campaigns import campaign_life
from mailrotate.core.services.contacts import contact_book
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import mailbox_removal
from mailrotate.core.services.sending import recovery
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.store import mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import recipients, suppressions, timeline
from mailrotate.core.store.sending import claims, sending_mailboxes
from mailrotate.core.store.sending.claims import InFlight
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.states import SuppressionKind
from tests.support.contexts import context_of
from tests.support.people import DUE, STEPS, name_step, person, row
from tests.support.rows import NOW, Sender, Workspace, contact_of


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@contextmanager
def before(workspace: Workspace, second: Callable[[], object]) -> Iterator[tuple[Connection, list[object]]]:
    """A transaction that is open while `second` begins in another thread; and what that came to."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(second())
        except Refused as refusal:
            results.append(refusal.code)

    thread = threading.Thread(target=run)
    with workspace.store.writing() as connection:
        yield connection, results
        thread.start()
        thread.join(0.5)
    thread.join(30)


def enrol(connection: Connection, campaign: StoredCampaign, address: str) -> None:
    """What an import does: everything after the lock."""
    recipients.lock_enrolment(connection)
    contact_id = contact_of(connection, address)
    connection.execute(
        t.recipient.insert().values(
            campaign_id=campaign.id, contact_id=contact_id, state="queued", fields="{}", enrolled_at=NOW
        )
    )


def states(workspace: Workspace) -> list[tuple[str, bool]]:
    r = t.recipient.c
    with workspace.store.reading() as connection:
        rows = connection.execute(select(r.state, r.campaign_sender_id).order_by(r.id)).all()
    return [(state, sender is not None) for state, sender in rows]


def test_e1_who_is_imported_while_the_draft_is_started_has_a_sender(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    draft = workspace.add_campaign("autumn", [anna], state="draft")
    workspace.add_recipient(draft, "kim@example.com")
    with before(workspace, lambda: campaign_life.start(context, "autumn", (), None, NOW)) as (connection, _):
        enrol(connection, draft, "lee@example.com")
    assert states(workspace) == [("queued", True), ("queued", True)]


def test_d3_who_is_imported_while_the_campaign_is_stopped_does_not_stay_open(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    with before(workspace, lambda: campaign_life.stop(context, "autumn", NOW)) as (connection, _):
        enrol(connection, campaign, "lee@example.com")
    assert states(workspace) == [("finished", False)]


def test_e3_a_campaign_is_started_once(workspace: Workspace, anna: Sender, context: Context) -> None:
    """The second start does not get to replace the senders that people have already."""
    draft = workspace.add_campaign("autumn", [anna], state="draft")
    workspace.add_recipient(draft, "kim@example.com")

    def again() -> object:
        return campaign_life.start(context, "autumn", ("anna@example.org",), None, NOW)

    with before(workspace, again) as (connection, results):
        recipients.lock_enrolment(connection)
        connection.execute(update(t.campaign).values(state="active"))
    assert results == ["campaign.not_draft"]


def test_d6_two_runners_suppress_the_same_address_at_once(workspace: Workspace, context: Context) -> None:
    """The loser goes on: what else it had to record, a server's answer say, is recorded."""

    def suppress(connection: Connection) -> bool:
        return suppressions.add(
            connection,
            SuppressionKind.ADDRESS,
            "kim@example.com",
            reason="unsubscribed",
            source="test",
            added_by=None,
            now=NOW,
        )

    def second() -> tuple[bool, int]:
        with context.store.writing() as connection:
            return suppress(connection), contact_of(connection, "lee@example.com")

    with before(workspace, second) as (connection, results):
        assert suppress(connection)
    assert results == [(False, 1)]


def linked(workspace: Workspace, mailbox: Sender) -> SendingMailbox:
    with workspace.store.writing() as connection:
        told = json.dumps(as_document(Link(True, Whose.ALL, Whose.ALL)))
        mailboxes.change_connection(connection, mailbox.connection_id, contact_book=told)
        return sending_mailboxes.by_id(connection, mailbox.id)


def test_b9_two_mailboxes_hear_from_the_same_stranger_at_once(workspace: Workspace, anna: Sender) -> None:
    boxes = [linked(workspace, box) for box in (anna, workspace.add_mailbox("ben@example.org"))]
    mail = InboundMail(None, None, (), "kim@example.com", "<1@example.com>")

    def second() -> None:
        with workspace.store.writing() as connection:
            contact_book.note_received(connection, boxes[1], [mail], NOW)

    with before(workspace, second) as (connection, _):
        contact_book.note_received(connection, boxes[0], [mail], NOW)
    with workspace.store.reading() as connection:
        (kim,) = connection.execute(select(t.contact.c.id)).scalars()
        seen = connection.execute(select(t.timeline.c.contact_id, t.timeline.c.mailbox_id)).all()
    assert seen == [(kim, box.id) for box in boxes]


def test_b9_i4_nothing_is_put_on_the_timeline_of_who_is_being_erased(
    workspace: Workspace, anna: Sender
) -> None:
    box = linked(workspace, anna)
    with workspace.store.writing() as connection:
        contact_of(connection, "kim@example.com")
    message_id = workspace.add_message(anna, to="kim@example.com", subject="Hello")
    mail = InboundMail(None, None, (), "kim@example.com", "<1@example.com>")

    def second() -> None:
        with workspace.store.writing() as connection:
            timeline.note_sent(connection, message_id, "example.com", NOW)
            contact_book.note_received(connection, box, [mail], NOW)

    with before(workspace, second) as (connection, _):
        connection.execute(update(t.contact).values(address=None, domain=None, erased_at=NOW))
    with workspace.store.reading() as connection:
        erased = select(t.timeline.c.id).join(t.contact, t.contact.c.id == t.timeline.c.contact_id)
        erased = erased.where(t.contact.c.erased_at.is_not(None))
        assert connection.execute(erased).all() == []


def test_f3_a_runner_taken_for_dead_cannot_mark_a_message_that_is_being_put_back(
    workspace: Workspace, anna: Sender, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it could, it would send the message, and so would the next runner."""
    campaign = workspace.add_campaign("autumn", [anna])
    workspace.add_message(anna, campaign, workspace.add_recipient(campaign, "kim@example.com"))
    lane = workspace.own_lane(anna, workspace.add_runner())
    claimed = Claims(context, lane).next(NOW)
    assert isinstance(claimed, Claim)
    marked: list[bool] = []

    def mark() -> None:
        with workspace.store.writing() as connection:
            marked.append(claims.mark(connection, claimed, lane, NOW))

    late = threading.Thread(target=mark)
    look = claims.in_flight_of

    def look_while_the_runner_marks(connection: Connection, runner_id: int) -> list[InFlight]:
        found = look(connection, runner_id)
        late.start()
        late.join(0.5)
        return found

    monkeypatch.setattr(claims, "in_flight_of", look_while_the_runner_marks)
    assert recovery.recover(context, NOW) == 0
    late.join(30)
    assert marked == [False]
    with workspace.store.reading() as connection:
        assert connection.execute(select(t.message.c.state)).scalars().all() == ["scheduled"]


def test_b8_d9_a_removal_is_refused_when_a_message_is_claimed_meanwhile(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    """Another mailbox sends the message, so holding the removed mailbox's lane does not prevent the claim."""
    ben = workspace.add_mailbox("ben@example.org")
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    name_step(workspace, campaign, 2, ben)
    kim = person(workspace, campaign, "kim@example.com", "active", anna)
    follow_up = workspace.add_message(ben, campaign, kim, step=2, ready_at=DUE)
    claimed = {"state": "sending", "runner_id": workspace.add_runner(), "claim_token": "c", "claimed_at": NOW}
    assert mailbox_removal.consequences(context, anna.address, None).campaigns[0].failed == 1
    with before(workspace, lambda: mailbox_removal.remove(context, anna.address, now=NOW)) as (
        connection,
        results,
    ):
        connection.execute(update(t.message).where(t.message.c.id == follow_up).values(**claimed))
    assert results == ["mailbox.sending"]
    assert row(workspace, kim).state == "active"
    with workspace.store.reading() as connection:
        assert mailboxes.by_id(connection, anna.id).removed_at is None
