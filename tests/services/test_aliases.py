"""Aliases, and what a mailbox that sends as one writes into its mail; on both databases (B11)."""

from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP

import pytest

from mailrotate.core.services.campaigns import previewing
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import alias_choice, mailbox_requests, plan_changes, reconnecting
from mailrotate.core.services.mailboxes.mailbox_views import show
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.services.sending import inbox_reading
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.store import events, seat_addresses
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.sending import inboxes, outbox, outbox_lists, sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import INBOX, FolderCursor
from tests.support.addresses import connect
from tests.support.contexts import context_of
from tests.support.inbox import Inbox
from tests.support.rows import NOW, Sender, Workspace

ADA, ALIAS = "ada@example.org", "ada.admin@example.net"
LATER = NOW + timedelta(days=1)


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def ada(workspace: Workspace) -> Sender:
    return workspace.add_mailbox(ADA, sender_name="Ada A.", gap_seconds=0)


@pytest.fixture
def campaign(workspace: Workspace, ada: Sender) -> StoredCampaign:
    steps = ((timedelta(), "Hello", "Hello {{ name }}"), (timedelta(days=1), None, "Again"))
    return workspace.add_campaign("autumn", [ada], steps=steps)


@pytest.fixture
def lane(workspace: Workspace, ada: Sender) -> Lane:
    return workspace.own_lane(ada, workspace.add_runner())


def claim(context: Context, lane: Lane, message_id: int) -> Claim:
    found = Claims(context, lane).next(NOW, only=message_id)
    assert isinstance(found, Claim)
    return found


def sender_in(claimed: Claim) -> str:
    return str(message_from_bytes(claimed.raw, policy=SMTP)["From"])


def refused(context: Context, alias: str, mailbox: str = ADA) -> Refused:
    with pytest.raises(Refused) as found:
        alias_choice.add(context, mailbox, alias, None, NOW)
    return found.value


def test_b11_from_and_sender_name_are_those_of_the_alias_from_the_next_claim_on(
    workspace: Workspace, context: Context, ada: Sender, campaign: StoredCampaign, lane: Lane
) -> None:
    first, second, third, fourth = (
        workspace.add_message(ada, campaign, workspace.add_recipient(campaign, f"p{n}@example.com"))
        for n in range(4)
    )
    assert sender_in(claim(context, lane, first)) == f'"Ada A." <{ADA}>'
    alias_choice.add(context, ADA, ALIAS, None, NOW, use=True)
    assert sender_in(claim(context, lane, second)) == f'"Ada A." <{ALIAS}>'
    alias_choice.add(context, ADA, "ada.b@example.net", "Ada of Books", NOW)
    alias_choice.use(context, ADA, "ada.b@example.net", NOW)
    claimed = claim(context, lane, third)
    assert sender_in(claimed) == "Ada of Books <ada.b@example.net>"
    # What the server and the thread know of stays the mailbox's own.
    assert claimed.box.address == ADA
    assert claimed.message.message_id.endswith("@example.org>")
    assert alias_choice.remove(context, ADA, "ada.b@example.net", NOW).sends_as is None
    assert sender_in(claim(context, lane, fourth)) == f'"Ada A." <{ADA}>'


def test_b11_the_outbox_shows_what_a_message_was_sent_as(
    workspace: Workspace, context: Context, ada: Sender, campaign: StoredCampaign, lane: Lane
) -> None:
    message = workspace.add_message(ada, campaign, workspace.add_recipient(campaign, "kim@example.com"))
    alias_choice.add(context, ADA, ALIAS, None, NOW, use=True)
    raw = claim(context, lane, message).raw
    with workspace.store.reading() as connection:
        shown = outbox_lists.detail(connection, message)
    assert shown is not None
    assert shown.listed.from_address == ALIAS
    assert f"mailto:{ADA}?" in str(message_from_bytes(raw, policy=SMTP)["List-Unsubscribe"])


def test_b11_whoever_names_an_alias_or_another_spelling_is_told_the_mailbox(
    workspace: Workspace, context: Context, ada: Sender
) -> None:
    workspace.add_mailbox("z.oe@gmail.com")
    alias_choice.add(context, ADA, ALIAS, None, NOW)
    for name, told in (
        (ALIAS, f"an alias of {ADA}"),
        ("zoe@gmail.com", "another spelling of z.oe@gmail.com"),
    ):
        with pytest.raises(NotFound, match=told):
            show(context, name, NOW)


def test_b11_a_preview_shows_what_it_is_sent_as(context: Context, campaign: StoredCampaign) -> None:
    alias_choice.add(context, ADA, ALIAS, "Ada of Sales", NOW, use=True)
    shown = previewing.preview(context, campaign.name, None, 1, NOW)
    assert (shown.from_name, shown.from_address) == ("Ada of Sales", ALIAS)


def test_b11_a_follow_up_as_an_alias_stays_in_the_thread(
    workspace: Workspace, context: Context, ada: Sender, campaign: StoredCampaign, lane: Lane
) -> None:
    kim = workspace.add_recipient(campaign, "kim@example.com", state="active", next_step=2)
    first = workspace.add_message(ada, campaign, kim, state="sent", sent_at=NOW, subject="Hello")
    follow_up = workspace.add_message(ada, campaign, kim, step=2)
    with workspace.store.writing() as connection:
        inboxes.note_read(connection, ada.id, INBOX, FolderCursor(1, 0), NOW)
        sent = outbox.by_id(connection, first)
    assert sent is not None
    alias_choice.add(context, ADA, ALIAS, None, NOW, use=True)
    mail = message_from_bytes(claim(context, lane, follow_up).raw, policy=SMTP)
    assert (mail["In-Reply-To"], mail["References"]) == (sent.message_id, sent.message_id)
    assert mail["Subject"] == "Re: Hello"


class OneMail(Inbox):
    """An inbox into which one mail came."""

    def __init__(self, raw: bytes) -> None:
        self.inbox = [raw]


def test_b11_a_reply_to_the_alias_is_known_by_its_thread(
    workspace: Workspace, context: Context, ada: Sender, campaign: StoredCampaign
) -> None:
    alias_choice.add(context, ADA, ALIAS, None, NOW, use=True)
    kim = workspace.add_recipient(campaign, "kim@example.com", state="active")
    first = workspace.add_message(ada, campaign, kim, state="sent", sent_at=NOW)
    with workspace.store.reading() as connection:
        sent, box = outbox.by_id(connection, first), sending_mailboxes.by_id(connection, ada.id)
    assert sent is not None
    raw = f"From: kim@example.com\r\nTo: {ALIAS}\r\nIn-Reply-To: {sent.message_id}\r\n\r\n".encode()
    assert inbox_reading.read_inbox(context, OneMail(raw), box, NOW).replies == 1


def test_b11_a7_a8_a9_an_alias_is_an_address_on_a_seat(
    workspace: Workspace, context: Context, ada: Sender
) -> None:
    ben = workspace.add_user("ben@example.org")
    workspace.add_mailbox("b.en@gmail.com", ben)
    assert refused(context, "info@example.org").code == "address.role"
    assert refused(context, "ben@example.org").code == "address.another_user"
    assert refused(context, "ben@gmail.com").code == "mailbox.elsewhere"
    assert refused(context, ADA).code == "alias.own"
    (warning,) = alias_choice.add(context, ADA, "zoe@gmail.com", None, NOW).warnings
    assert "does not look like an address of" in warning
    twice = refused(context, "z.oe@gmail.com")
    assert (twice.code, twice.hint) == (
        "alias.exists",
        Command("mailbox", "alias", "use", ADA, "zoe@gmail.com"),
    )

    taken = refused(context, "z.oe@gmail.com", "b.en@gmail.com")
    assert taken.code == "mailbox.elsewhere"
    assert "as zoe@gmail.com (an alias of ada@example.org)" in taken.message
    assert taken.hint == Command("mailbox", "alias", "remove", ADA, "zoe@gmail.com")
    with pytest.raises(Refused) as connecting:
        connect(context, "z.oe@gmail.com", "ben@example.org")
    assert connecting.value.message == taken.message
    alias_choice.remove(context, ADA, "z.oe@gmail.com", NOW)
    assert alias_choice.add(context, "b.en@gmail.com", "z.oe@gmail.com", None, NOW).aliases[0].address == (
        "z.oe@gmail.com"
    )


def test_b11_a7_an_alias_needs_the_plans_approval_too_and_loses_it_when_it_leaves(
    workspace: Workspace, context: Context, ada: Sender
) -> None:
    plan_changes.change(context, PlanChange(approval_required=True), NOW)
    assert refused(context, ALIAS).code == "request.needed"
    mailbox_requests.request(context, ALIAS, None, NOW)
    mailbox_requests.approve(context, ALIAS, None, NOW)
    alias_choice.add(context, ADA, ALIAS, None, NOW)
    alias_choice.remove(context, ADA, ALIAS, NOW)
    assert refused(context, ALIAS).code == "request.needed"


def test_b11_c4_a_disconnect_and_connect_begins_without_aliases_and_says_how_to_have_them_again(
    workspace: Workspace, context: Context
) -> None:
    connect(context, ADA)
    alias_choice.add(context, ADA, ALIAS, None, NOW)
    alias_choice.add(context, ADA, "ada.b@example.net", "Ada of Books", NOW, use=True)
    reconnecting.disconnect(context, ADA, NOW)
    assert refused(context, "ada.c@example.net").code == "mailbox.disconnected"
    with workspace.store.reading() as connection:
        assert seat_addresses.holding(connection, ALIAS) is not None
    reset = connect(context, ADA, now=LATER).reset
    assert list(reset.values()) == [
        Command("mailbox", "alias", "add", ADA, ALIAS),
        Command(
            *("mailbox", "alias", "add", ADA, "ada.b@example.net", "--sender-name", "Ada of Books", "--use")
        ),
    ]
    shown = show(context, ADA, LATER)
    assert (shown.aliases, shown.sends_as) == ([], None)
    assert alias_choice.add(context, ADA, ALIAS, None, LATER).aliases[0].address == ALIAS


def test_b11_whoever_names_the_mailbox_itself_sends_as_it_again(context: Context, ada: Sender) -> None:
    alias_choice.add(context, ADA, ALIAS, None, NOW, use=True)
    assert alias_choice.use(context, ADA, ADA.upper(), NOW).sends_as is None


def test_b11_what_makes_no_sense_is_refused(context: Context, ada: Sender) -> None:
    with pytest.raises(NotFound) as none:
        alias_choice.use(context, ADA, ALIAS, NOW)
    assert none.value.hint == Command("mailbox", "alias", "list", ADA)
    with pytest.raises(BadInput):
        alias_choice.add(context, ADA, "nobody", None, NOW)
    with pytest.raises(BadInput):
        alias_choice.add(context, ADA, ALIAS, "two\nlines", NOW)
    assert alias_choice.listing(context, ADA).aliases == []


def test_b11_every_change_is_in_the_log(workspace: Workspace, context: Context, ada: Sender) -> None:
    alias_choice.add(context, ADA, ALIAS, None, NOW, use=True)
    alias_choice.remove(context, ADA, ALIAS, NOW)
    with workspace.store.reading() as connection:
        told = [(e.action, e.data.get("before"), e.data.get("after")) for e in events.listing(connection)]
    assert told == [
        ("alias.added", None, ALIAS),
        ("mailbox.set", None, ALIAS),
        ("mailbox.set", ALIAS, None),
        ("alias.removed", ALIAS, None),
    ]
