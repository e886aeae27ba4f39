"""What mail programs may expect of the sandbox, asked by the clients that mailrotate uses."""

import smtplib
from concurrent.futures import ThreadPoolExecutor

import pytest
from imap_tools import MailboxLoginError, MailMessageFlags

from mailrotate.sandbox.server import SandboxInfo
from tests.sandbox.clients import letter, opened, send

PIA = "pia@firm.example.com"


def test_a_wrong_password_is_refused_by_both_servers(info: SandboxInfo) -> None:
    for wrong in ("wrong", "", info.password + "x"):
        with smtplib.SMTP(info.smtp.host, info.smtp.port, timeout=30) as server:
            with pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
                server.login(info.senders[0], wrong)
            assert refusal.value.smtp_code == 535
        with pytest.raises(MailboxLoginError, match="AUTHENTICATIONFAILED"), opened(info, PIA, wrong):
            pass


def test_an_address_without_a_mailbox_is_refused_by_both_servers(info: SandboxInfo) -> None:
    with (
        smtplib.SMTP(info.smtp.host, info.smtp.port, timeout=30) as server,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        server.login(PIA, info.password)
    with pytest.raises(MailboxLoginError, match="AUTHORIZATIONFAILED"), opened(info, PIA):
        pass


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_each_sender_logs_in_with_either_mechanism(info: SandboxInfo, mechanism: str) -> None:
    for sender in info.senders:
        with smtplib.SMTP(info.smtp.host, info.smtp.port, timeout=30) as server:
            server.ehlo()
            assert mechanism in server.esmtp_features["auth"].split()
            server.user, server.password = sender, info.password
            answer = server.auth(mechanism, getattr(server, f"auth_{mechanism.lower()}"))
            assert answer[0] == 235


def test_mail_without_a_login_is_refused(info: SandboxInfo) -> None:
    with smtplib.SMTP(info.smtp.host, info.smtp.port, timeout=30) as server:
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            server.sendmail(info.senders[0], [PIA], letter("<1@example.org>"))
        assert refusal.value.smtp_code == 530
        assert server.rcpt(PIA)[0] == 503
        assert server.docmd("DATA")[0] == 503


def test_mail_for_anybody_is_delivered_as_it_was_sent_and_found_by_its_message_id(info: SandboxInfo) -> None:
    raw = letter("<wanted@example.org>")
    send(info, PIA, letter("<other@example.org>"), raw, letter("<wanted@example.org.more>"))
    send(info, "someone.else@another.example.net", letter("<third@example.org>"))
    with opened(info, PIA) as mailbox:
        mailbox.folder.set("INBOX", readonly=True)
        (uid,) = mailbox.uids('HEADER Message-ID "<wanted@example.org>"')
        status, answer = mailbox.client.uid("FETCH", uid, "(BODY.PEEK[])")
        assert (status, answer[0][1]) == ("OK", raw)
        assert mailbox.uids('HEADER Message-ID "<third@example.org>"') == []
    with opened(info, "someone.else@another.example.net") as mailbox:
        mailbox.folder.set("INBOX")
        assert len(mailbox.uids()) == 1


def test_an_address_is_the_same_mailbox_in_any_case(info: SandboxInfo) -> None:
    with smtplib.SMTP(info.smtp.host, info.smtp.port, timeout=30) as server:
        server.login(info.senders[0].upper(), info.password)
        server.sendmail(info.senders[0], [PIA, PIA.upper()], letter("<1@example.org>"))
    with opened(info, PIA.title()) as mailbox:
        assert mailbox.folder.status("INBOX")["MESSAGES"] == 1


def test_mail_arrives_in_a_folder_that_a_client_has_open(info: SandboxInfo) -> None:
    send(info, PIA, letter("<before@example.org>"))
    with opened(info, PIA) as mailbox:
        mailbox.folder.set("INBOX", readonly=True)
        (last,) = mailbox.uids()
        assert mailbox.uids(f"UID {int(last) + 1}:*") == [last]  # RFC 3501 section 6.4.8: `*` is always in
        send(info, PIA, letter("<after@example.org>"))
        mailbox.client.noop()  # RFC 3501 section 6.1.2: what a client asks to hear of new messages
        (new,) = mailbox.uids(f"UID {int(last) + 1}:*")
        (mail,) = mailbox.fetch(uid_list=[new], mark_seen=False)
        assert mail.obj["Message-ID"] == "<after@example.org>"


def test_headers_are_read_without_the_body_and_without_a_trace(info: SandboxInfo) -> None:
    send(info, PIA, letter("<1@example.org>", "Subject: one"), letter("<2@example.org>", "Subject: two"))
    with opened(info, PIA) as mailbox:
        assert mailbox.folder.set("INBOX", readonly=True)[0] == "OK"
        mails = list(mailbox.fetch(mark_seen=False, headers_only=True, bulk=True))
        assert [(mail.subject, mail.text, mail.flags) for mail in mails] == [("one", "", ()), ("two", "", ())]
        validity = mailbox.folder.status("INBOX")["UIDVALIDITY"]
    with opened(info, PIA) as mailbox:
        after = mailbox.folder.status("INBOX")
        assert (after["UNSEEN"], after["UIDVALIDITY"]) == (2, validity)


def test_a_copy_appended_to_the_folder_for_sent_mail_is_found_there_as_seen(info: SandboxInfo) -> None:
    """RFC 6154: the folder says by its attribute what it is for."""
    with opened(info, info.senders[1]) as mailbox:
        (sent,) = (folder.name for folder in mailbox.folder.list() if "\\Sent" in folder.flags)
        mailbox.append(letter("<copy@example.org>"), sent, flag_set=[MailMessageFlags.SEEN])
    with opened(info, info.senders[1]) as mailbox:
        mailbox.folder.set(sent, readonly=True)
        (uid,) = mailbox.uids('HEADER Message-ID "<copy@example.org>"')
        (mail,) = mailbox.fetch(uid_list=[uid], mark_seen=False)
        assert MailMessageFlags.SEEN in mail.flags
        mailbox.folder.set("INBOX")
        assert mailbox.uids() == []
    with opened(info, info.senders[0]) as mailbox:
        mailbox.folder.set(sent)
        assert mailbox.uids() == []


@pytest.mark.parametrize(
    "raw",
    [
        b"Message-ID: <>\r\n\r\nx\r\n",
        b"no header at all\r\n",
        b"\r\n",
        b"Subject: \xff\xfe\r\nFrom: ,;<\r\nDate: never\r\nReferences: <\r\n\r\n\xe9\r\n",
        b"Content-Type: multipart/mixed\r\n\r\n--\r\n",
    ],
)
def test_strange_mail_is_delivered_like_any_other(info: SandboxInfo, raw: bytes) -> None:
    send(info, PIA, raw)
    with opened(info, PIA) as mailbox:
        mailbox.folder.set("INBOX")
        assert len(list(mailbox.fetch(headers_only=True))) == 1


def test_three_clients_work_at_once(info: SandboxInfo) -> None:
    def converse(sender: str) -> list[str]:
        with (
            smtplib.SMTP(info.smtp.host, info.smtp.port, timeout=30) as server,
            opened(info, sender) as mailbox,
        ):
            server.login(sender, info.password)
            for number in range(30):
                server.sendmail(sender, [PIA], letter(f"<{number}.{sender}>"))
                mailbox.append(letter(f"<{number}.{sender}>"), "Sent")
            mailbox.folder.set("Sent")
            return [mail.obj["Message-ID"] for mail in mailbox.fetch(bulk=True)]

    with ThreadPoolExecutor(3) as pool:
        filed = list(pool.map(converse, info.senders))
    wanted = [[f"<{number}.{sender}>" for number in range(30)] for sender in info.senders]
    assert filed == wanted
    with opened(info, PIA) as mailbox:
        mailbox.folder.set("INBOX")
        arrived = [mail.obj["Message-ID"] for mail in mailbox.fetch(bulk=True)]
    assert sorted(arrived) == sorted(message_id for each in wanted for message_id in each)


def test_five_hundred_messages_are_delivered_in_their_order(info: SandboxInfo) -> None:
    wanted = [f"<{number}@example.org>" for number in range(500)]
    send(info, PIA, *map(letter, wanted))
    with opened(info, PIA) as mailbox:
        mailbox.folder.set("INBOX", readonly=True)
        arrived = mailbox.fetch(mark_seen=False, headers_only=True, bulk=True)
        assert [mail.obj["Message-ID"] for mail in arrived] == wanted
        assert len(mailbox.uids('HEADER Message-ID "<499@example.org>"')) == 1
