"""A person in the sandbox reads, answers and unsubscribes as a mail program would."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from imap_tools import MailboxLoginError

from mailrotate.core.values.errors import NotFound
from mailrotate.sandbox.person import ReceivedMail, answer, read_mailbox, unsubscribe
from mailrotate.sandbox.server import SandboxInfo
from tests.sandbox.clients import letter, opened, send

PIA = "pia@firm.example.com"
ANNA = "anna@sandbox.example.org"


def test_reading_a_mailbox_shows_each_mail_and_leaves_it_unread(info: SandboxInfo) -> None:
    headers = (
        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        "In-Reply-To: <a@example.org>",
        "References: <0@example.org>\r\n <a@example.org>",
        "Date: Tue, 24 Nov 2026 10:00:00 +0000",
    )
    send(info, PIA, letter("<1@example.org>"), letter("<2@example.org>", *headers, body="Hello\r\nthere\r\n"))
    first, second = read_mailbox(info, PIA)
    assert first.message_id == "<1@example.org>"
    assert second == ReceivedMail(
        from_address=ANNA,
        to_address=PIA,
        subject="Grüße",
        message_id="<2@example.org>",
        in_reply_to="<a@example.org>",
        references=("<0@example.org>", "<a@example.org>"),
        date=datetime(2026, 11, 24, 10, tzinfo=UTC),
        text="Hello\nthere\n",
    )
    with opened(info, PIA) as mailbox:
        assert mailbox.folder.status("INBOX")["UNSEEN"] == 2


def test_who_never_had_mail_has_read_nothing(info: SandboxInfo) -> None:
    assert read_mailbox(info, PIA) == []
    assert read_mailbox(info, ANNA) == []
    assert read_mailbox(info, ANNA, "Sent") == []


def test_a_wrong_password_is_not_taken_for_an_empty_mailbox(info: SandboxInfo) -> None:
    with pytest.raises(MailboxLoginError):
        read_mailbox(replace(info, password="wrong"), PIA)


def test_a_folder_that_is_not_there_is_named(info: SandboxInfo) -> None:
    with pytest.raises(NotFound) as trouble:
        read_mailbox(info, ANNA, "Elsewhere")
    assert trouble.value.code == "sandbox.no_folder"


def test_an_answer_goes_to_the_sender_of_the_newest_mail_in_its_thread(info: SandboxInfo) -> None:
    """RFC 5322 section 3.6.4."""
    thread = ("In-Reply-To: <1@example.org>", "References: <1@example.org>", "Subject: A question")
    send(info, PIA, letter("<1@example.org>", "Subject: Older"), letter("<2@example.org>", *thread))
    message_id = answer(info, PIA, "Yes, please.")
    (reply,) = read_mailbox(info, ANNA)
    assert (reply.from_address, reply.to_address, reply.message_id) == (PIA, ANNA, message_id)
    assert reply.in_reply_to == "<2@example.org>"
    assert reply.references == ("<1@example.org>", "<2@example.org>")
    assert reply.subject == "Re: A question"
    assert reply.text.startswith("Yes, please.\n")
    assert "\n> Hello,\n> .with a dot\n" in reply.text


def test_an_answer_to_an_answer_keeps_one_re_and_the_whole_thread(info: SandboxInfo) -> None:
    send(info, PIA, letter("<1@example.org>", "Subject: Hello"))
    first = answer(info, PIA, "Who are you?")
    second = answer(info, ANNA, "Anna.")
    reply = read_mailbox(info, PIA)[-1]
    assert (reply.message_id, reply.subject) == (second, "Re: Hello")
    assert (reply.in_reply_to, reply.references) == (first, ("<1@example.org>", first))


def test_references_are_made_of_in_reply_to_where_the_mail_has_none(info: SandboxInfo) -> None:
    """RFC 5322 section 3.6.4, for a parent without References."""
    send(info, PIA, letter("<2@example.org>", "In-Reply-To: <1@example.org>"))
    answer(info, PIA, "Hm.")
    assert read_mailbox(info, ANNA)[0].references == ("<1@example.org>", "<2@example.org>")


def test_an_answer_survives_long_ids_and_a_folded_subject(info: SandboxInfo) -> None:
    long_id = f"<{'x' * 150}@example.org>"
    subject = "Subject: " + "\r\n ".join(["a long subject"] * 8)
    send(info, PIA, letter(long_id, subject, f"References: {long_id.replace('x', 'y')}"))
    answer(info, PIA, "Über alles.")
    (reply,) = read_mailbox(info, ANNA)
    assert reply.in_reply_to == long_id
    assert reply.references == (long_id.replace("x", "y"), long_id)
    assert reply.subject == "Re: " + " ".join(["a long subject"] * 8)
    assert reply.text.startswith("Über alles.\n")


def test_an_answer_goes_where_reply_to_points(info: SandboxInfo) -> None:
    send(info, PIA, letter("<1@example.org>", "Reply-To: Ben <ben@sandbox.example.org>"))
    answer(info, PIA, "Hello Ben")
    assert [mail.to_address for mail in read_mailbox(info, info.senders[1])] == [info.senders[1]]
    assert read_mailbox(info, ANNA) == []


def test_unsubscribing_sends_the_mail_that_the_header_asks_for(info: SandboxInfo) -> None:
    """RFC 2369 section 3.2 and RFC 6068: percent signs are decoded, a plus is a plus."""
    link = "mailto:ben%40sandbox.example.org?subject=unsubscribe%20a+b&body=token%3Dc+d"
    send(info, PIA, letter("<1@example.org>", f"List-Unsubscribe: <https://example.org/u>,\r\n <{link}>"))
    message_id = unsubscribe(info, PIA)
    (mail,) = read_mailbox(info, "ben@sandbox.example.org")
    assert (mail.from_address, mail.message_id) == (PIA, message_id)
    assert (mail.subject, mail.text) == ("unsubscribe a+b", "token=c+d\n")


def test_unsubscribing_by_an_address_alone_says_so_in_the_subject(info: SandboxInfo) -> None:
    send(info, PIA, letter("<1@example.org>", f"List-Unsubscribe: <MAILTO:{ANNA}>"))
    unsubscribe(info, PIA)
    assert read_mailbox(info, ANNA)[0].subject == "unsubscribe"


def test_nothing_can_be_answered_or_unsubscribed_without_the_mail_for_it(info: SandboxInfo) -> None:
    for act in (lambda: answer(info, PIA, "Hello?"), lambda: unsubscribe(info, PIA)):
        with pytest.raises(NotFound) as trouble:
            act()
        assert trouble.value.code == "sandbox.no_mail"
    send(info, PIA, letter("<1@example.org>", "List-Unsubscribe: <https://example.org/u>"))
    with pytest.raises(NotFound) as trouble:
        unsubscribe(info, PIA)
    assert trouble.value.code == "sandbox.no_unsubscribe"
