"""A mailbox's link to the contact book, and what it records, on both databases (B9)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from mailrotate.core.ports import MailProvider
from mailrotate.core.rules.timeline_filter import Link, Whose
from mailrotate.core.services.contacts import contact_book, contact_records
from mailrotate.core.services.contacts.contact_book import LinkChange
from mailrotate.core.services.context import Context, secret_name
from mailrotate.core.services.mailboxes import mailbox_views
from mailrotate.core.services.running import passes
from mailrotate.core.services.sending import inbox_reading, settling
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.services.views import outbox_actions
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import Envelope, MailTrouble, ServerReply
from mailrotate.core.values.states import Phase
from tests.support.contexts import context_of
from tests.support.inbox import Inbox
from tests.support.rows import NOW, Sender, Workspace, contact_of
from tests.support.statements import statements

KIM = "kim@example.com"
LATER = NOW + timedelta(hours=1)
TAKEN = ServerReply(Phase.DOT, 250, None, "taken")


@dataclass
class Server(Inbox):
    """Takes every message, and has mail in its inbox."""

    inbox: list[bytes] = field(default_factory=list)
    usable: bool = True
    answer: ServerReply = field(default_factory=lambda: TAKEN)

    def open_sender(self, _account: object) -> "Server":
        return self

    def open_inbox(self, _account: object) -> "Server":
        return self

    def stage(self, envelope: Envelope) -> None:
        pass

    def commit(self) -> ServerReply:
        if self.answer.code == 250:
            return self.answer
        raise MailTrouble(self.answer)


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org", gap_seconds=0)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def context(workspace: Workspace, anna: Sender, server: Server) -> Context:
    context = replace(context_of(workspace), provider=lambda _name: cast(MailProvider, server))
    sealed = context.secrets.seal(secret_name(anna.connection_id), 1, b"secret")
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(secret=sealed))
    return context


def link(context: Context, **values: Any) -> None:
    contact_book.change(context, "anna@example.org", LinkChange(True, **values), NOW)


def mail(sender: str, number: int = 1, *lines: str) -> bytes:
    return "\r\n".join(
        [
            f"From: Somebody <{sender}>",
            f"Message-ID: <{number}@elsewhere.example>",
            f"Subject: Mail {number}",
            "Date: Tue, 1 Dec 2026 08:00:00 +0000",
            *lines,
            "",
            "",
        ]
    ).encode()


def read(context: Context, mailbox: Sender, mails: Iterable[bytes]) -> None:
    with context.store.reading() as connection:
        box = sending_mailboxes.by_id(connection, mailbox.id)
    inbox_reading.read_inbox(context, cast(Any, Server(list(mails))), box, NOW)


def send(context: Context, mailbox: Sender, runner_id: int) -> None:
    pace = Pace(clock=lambda: NOW, wait=lambda _seconds: True, stopping=lambda: False)
    passes.work_lane(context, runner_id, mailbox.id, pace, passes.Work.SEND)


def timeline(workspace: Workspace) -> list[tuple[str, str, str | None]]:
    query = (
        select(t.contact.c.address, t.timeline.c.direction, t.timeline.c.subject)
        .join(t.contact, t.contact.c.id == t.timeline.c.contact_id)
        .order_by(t.timeline.c.id)
    )
    with workspace.store.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]  # type: ignore[misc]  # three columns


def contacts_in(workspace: Workspace) -> set[str]:
    with workspace.store.reading() as connection:
        return set(connection.execute(select(t.contact.c.address)).scalars())


def logged(workspace: Workspace, action: str) -> list[dict[str, Any]]:
    query = select(t.event.c.data).where(t.event.c.action == action).order_by(t.event.c.id)
    with workspace.store.reading() as connection:
        return [json.loads(data) for data in connection.execute(query).scalars()]


def add_contacts(workspace: Workspace, *addresses: str) -> None:
    with workspace.store.writing() as connection:
        for address in addresses:
            contact_of(connection, address)


# --- the switches


def test_b9_a_link_is_switched_at_once_and_each_change_is_logged(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    def shown() -> tuple[object, str]:
        settings = mailbox_views.show(context, anna.address, NOW).settings
        return next((s.value, s.origin) for s in settings if s.name == "contact_book")

    assert shown() == ("off", "default")
    first = LinkChange(True, never=["@Bücher.example", "example.ORG", "example.org"])
    _, linked = contact_book.change(context, anna.address, first, NOW)
    assert linked == Link(True, Whose.KNOWN, Whose.KNOWN, ("example.org", "xn--bcher-kva.example"))
    assert shown() == ("incoming known, outgoing known, never example.org xn--bcher-kva.example", "own")
    second = LinkChange(incoming=Whose.ALL, outgoing=Whose.NONE, never_remove=["bücher.example"])
    contact_book.change(context, anna.address, second, NOW)
    contact_book.change(context, anna.address, second, LATER)
    contact_book.change(context, anna.address, LinkChange(False), LATER)
    assert contact_book.show(context, anna.address)[1] == Link(False, Whose.ALL, Whose.NONE, ("example.org",))
    events = logged(workspace, "mailbox.contact_book")
    assert len(events) == 3, "what changes nothing is no change"
    assert events[1]["before"]["incoming"] == "known"
    assert events[1]["after"] == {
        "on": True,
        "incoming": "all",
        "outgoing": "none",
        "never": ["example.org"],
    }


def test_b9_only_whose_seat_it_is_may_switch_it(workspace: Workspace, anna: Sender, context: Context) -> None:
    ben = workspace.add_user("ben@example.org")
    theirs = context_of(workspace, ben)
    with pytest.raises(Refused) as refused:
        contact_book.change(theirs, anna.address, LinkChange(True), NOW)
    assert refused.value.code == "user.not_allowed"
    assert not contact_book.show(context, anna.address)[1].is_on
    with pytest.raises(BadInput) as mistake:
        contact_book.change(context, anna.address, LinkChange(never=["no domain"]), NOW)
    assert mistake.value.code == "domain.invalid"


def test_b9_c4_a_disconnected_mailbox_has_no_link_to_switch_and_its_old_one_can_be_set_again(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    def reset() -> dict[str, Command]:
        with workspace.store.reading() as connection:
            return contact_book.reset_commands(connection, stored.by_id(connection, anna.id))

    assert reset() == {}
    link(context, incoming=Whose.ALL, never=["example.net"])
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(state="disconnected"))
    assert reset() == {
        "contact_book": Command(
            *("mailbox", "crm", "anna@example.org", "--on", "--incoming", "all", "--outgoing", "known"),
            *("--never", "example.net"),
        )
    }
    with pytest.raises(Refused) as refused:
        link(context)
    assert refused.value.code == "mailbox.disconnected"


# --- what comes in


def test_b9_mail_of_contacts_is_recorded_once_however_often_it_is_read(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    add_contacts(workspace, KIM)
    mails = [mail("Kim@Example.com"), mail(KIM, 2, "Cc: lee@example.com"), mail("lee@example.com", 3)]
    read(context, anna, mails)
    assert timeline(workspace) == [], "a mailbox that is not linked records nothing"
    link(context)
    read(context, anna, mails)
    read(context, anna, [*mails, mail(KIM, 4)])
    assert timeline(workspace) == [(KIM, "incoming", f"Mail {n}") for n in (1, 2, 4)]
    assert contacts_in(workspace) == {KIM}
    link(context, incoming=Whose.NONE)
    read(context, anna, [mail(KIM, 5)])
    assert len(timeline(workspace)) == 3


def test_b9_with_all_everybody_becomes_a_contact_of_the_seats_user(
    workspace: Workspace, context: Context
) -> None:
    """But who works here, what is never recorded, and what is no address of a person."""
    ben = workspace.add_user("ben@office.example")
    box = workspace.add_mailbox("ben@example.net", ben)
    workspace.add_mailbox("mixed.up@gmail.com")
    contact_book.change(
        context, box.address, LinkChange(True, incoming=Whose.ALL, never=["example.com"]), NOW
    )
    read(
        context,
        box,
        [
            mail(KIM),
            mail("eve@sub.example.com", 2),
            mail("anna@example.org", 3),
            mail("MixedUp+x@googlemail.com", 4),
            mail("lee@elsewhere.example", 5),
            mail("lee@elsewhere.example", 6),
            mail("no address@", 7),
            mail("lee@elsewhere.test", 8),
        ],
    )
    assert timeline(workspace) == [("lee@elsewhere.example", "incoming", f"Mail {n}") for n in (5, 6)]
    with workspace.store.reading() as connection:
        made = connection.execute(select(t.contact)).one()
    assert (made.owner_id, made.domain, made.created_at) == (ben.id, "elsewhere.example", NOW)
    (told,) = logged(workspace, "contacts.added")
    assert told == {"contacts": [f"k_{made.id}"]}


@pytest.mark.parametrize(
    "line",
    [
        "Auto-Submitted: auto-replied",
        "Content-Type: multipart/report; report-type=delivery-status",
        "Precedence: bulk",
        "Return-Path: <>",
    ],
)
def test_b9_machines_mail_is_on_no_timeline(
    workspace: Workspace, anna: Sender, context: Context, line: str
) -> None:
    add_contacts(workspace, KIM)
    link(context, incoming=Whose.ALL)
    read(context, anna, [mail(KIM, 1, line), mail("lee@example.com", 2, line)])
    assert timeline(workspace) == []
    assert contacts_in(workspace) == {KIM}


def test_b9_i3_what_strangers_write_is_kept_harmless_and_in_its_time(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    add_contacts(workspace, KIM)
    link(context)
    hostile = "\r\n".join(
        [
            f"From: {KIM}",
            "Subject: =?utf-8?q?a=00=1b[2J=e2=80=ae?= " + "x" * 3000,
            "Date: Fri, 1 Jan 2100 00:00:00 +0000",
        ]
    )
    read(context, anna, [hostile.encode(), f"From: {KIM}\r\nDate: 1 Nov 2026 08:00:00 +0100\r\n".encode()])
    shown = contact_records.show(context, KIM, 10).timeline
    assert [entry.subject and entry.subject[:9] for entry in shown] == ["a [2J x" + "xx", None]
    assert len(shown[0].subject or "") == 500
    assert [entry.at.isoformat() for entry in shown] == [NOW.isoformat(), "2026-11-01T07:00:00+00:00"]


def test_b9_suppressed_people_are_recorded_too(workspace: Workspace, anna: Sender, context: Context) -> None:
    from mailrotate.core.services.contacts import suppressing

    add_contacts(workspace, KIM)
    suppressing.add(context, KIM, "by_hand", NOW)
    link(context)
    read(context, anna, [mail(KIM)])
    shown = contact_records.show(context, KIM, 10)
    assert (len(shown.timeline), shown.suppressed) == (1, "by_hand")


def test_b9_an_erased_contact_gets_no_entry_and_comes_back_as_another(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    add_contacts(workspace, KIM)
    with workspace.store.writing() as connection:
        connection.execute(update(t.contact).values(address=None, domain=None, erased_at=NOW))
    link(context)
    read(context, anna, [mail(KIM)])
    link(context, incoming=Whose.ALL)
    read(context, anna, [mail(KIM)])
    with workspace.store.reading() as connection:
        erased = select(t.timeline.c.id).join(t.contact, t.contact.c.id == t.timeline.c.contact_id)
        erased = erased.where(t.contact.c.erased_at.is_not(None))
        assert connection.execute(erased).all() == []
    assert timeline(workspace) == [(KIM, "incoming", "Mail 1")]


def test_b9_h3_an_inbox_of_thousands_takes_few_statements(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    link(context, incoming=Whose.ALL)
    mails = [mail(f"p{n}@d{n % 7}.example.com", n) for n in range(1200)]
    with statements(workspace.store) as seen:
        read(context, anna, mails)
    assert len(timeline(workspace)) == len(contacts_in(workspace)) == 1200
    assert len([one for one in seen if "contact" in one or "timeline" in one]) <= 15
    assert [len(told["contacts"]) for told in logged(workspace, "contacts.added")] == [500, 500, 200]


# --- what goes out


def test_b9_what_leaves_is_recorded_with_one_statement_more(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    (sender_id,) = workspace.senders(campaign)
    lane = workspace.own_lane(anna, workspace.add_runner())
    counts = []
    for n, linked in enumerate((False, True, False, True)):
        person = workspace.add_recipient(campaign, f"p{n}@example.com", sender_id=sender_id)
        workspace.add_message(anna, campaign, person, to=f"p{n}@example.com")
        contact_book.change(context, anna.address, LinkChange(linked), NOW)
        claimed = Claims(context, lane).next(NOW)
        assert isinstance(claimed, Claim)
        with statements(workspace.store) as seen, workspace.store.sending() as block:
            settling.settle_sent(block, claimed, claimed.box, TAKEN, NOW)
        counts.append(len(seen))
    assert timeline(workspace) == [(f"p{n}@example.com", "outgoing", "Hello") for n in (1, 3)]
    assert counts == [counts[0], counts[0] + 1] * 2


def test_b9_a_campaign_is_recorded_as_it_is_sent(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    (sender_id,) = workspace.senders(campaign)
    workspace.add_recipient(campaign, KIM, sender_id=sender_id, next_at=NOW)
    link(context, outgoing=Whose.ALL)
    send(context, anna, workspace.add_runner())
    shown = contact_records.show(context, KIM, 10)
    assert [(entry.subject, entry.mailbox) for entry in shown.timeline] == [("Hello", anna.address)]
    assert [(one.campaign, one.state) for one in shown.campaigns] == [("autumn", "finished")]


@pytest.mark.parametrize(
    ("outgoing", "recorded", "made"),
    [(Whose.KNOWN, False, False), (Whose.ALL, True, True), (Whose.NONE, False, False)],
)
def test_b9_mail_by_hand_to_somebody_new(
    workspace: Workspace, anna: Sender, context: Context, outgoing: Whose, recorded: bool, made: bool
) -> None:
    """Settled by the operator's word, as by the server's."""
    link(context, outgoing=outgoing)
    message_id = workspace.add_message(anna, to=KIM, state="held", subject="By hand", marked_at=NOW)
    outbox_actions.resolve(context, [message_id], True, LATER)
    assert timeline(workspace) == ([(KIM, "outgoing", "By hand")] if recorded else [])
    assert contacts_in(workspace) == ({KIM} if made else set())


def test_b9_a_test_or_a_notice_is_no_correspondence(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    add_contacts(workspace, KIM)
    link(context, outgoing=Whose.ALL)
    for kind in ("test", "notice"):
        message_id = workspace.add_message(anna, to=KIM, state="held", kind=kind)
        outbox_actions.resolve(context, [message_id], True, LATER)
    assert timeline(workspace) == []


def test_b9_a_held_message_is_recorded_when_a_reply_proves_that_it_left(
    workspace: Workspace, anna: Sender, context: Context
) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    person = workspace.add_recipient(campaign, KIM)
    message_id = workspace.add_message(anna, campaign, person, to=KIM, state="held", subject="Hello")
    link(context)
    with workspace.store.reading() as connection:
        cited = connection.execute(
            select(t.message.c.message_id).where(t.message.c.id == message_id)
        ).scalar_one()
    read(context, anna, [mail(KIM, 1, f"In-Reply-To: {cited}")])
    assert set(timeline(workspace)) == {(KIM, "incoming", "Mail 1"), (KIM, "outgoing", "Hello")}


def test_b9_what_did_not_leave_is_not_recorded(
    workspace: Workspace, anna: Sender, context: Context, server: Server
) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    (sender_id,) = workspace.senders(campaign)
    workspace.add_recipient(campaign, KIM, sender_id=sender_id, next_at=NOW)
    link(context)
    server.answer = ServerReply(Phase.DOT, 550, "5.7.1", "not wanted")
    send(context, anna, workspace.add_runner())
    assert timeline(workspace) == []
