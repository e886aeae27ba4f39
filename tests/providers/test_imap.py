"""Reading the inbox and filing sent copies, at Dovecot and at servers that misbehave."""

import imaplib
import ssl
from dataclasses import replace
from typing import Any

import pytest

from mailrotate.core.rules.replies import classify
from mailrotate.core.values.credential import Password
from mailrotate.core.values.mail import FolderCursor, MailAccount, MailTrouble
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Phase, ReplyClass, Security
from mailrotate.providers import imap
from tests.providers.conftest import IMPATIENT, PASSWORD, TIMEOUTS, account_at, local, refusal
from tests.support.dovecot import Dovecot
from tests.support.scripted_imap import ScriptedImap
from tests.support.tls import TlsAuthority


def letter(number: int) -> bytes:
    return f"Message-ID: <{number}@example.com>\r\nSubject: number {number}\r\n\r\nbody {number}\r\n".encode()


def subjects(session: imap.ImapSession, since: FolderCursor) -> tuple[FolderCursor, list[bytes]]:
    cursor, found = session.new_headers(since)
    return cursor, [
        line for headers in found for line in headers.raw.splitlines() if line.startswith(b"Subject:")
    ]


def at(port: int, **changes: Any) -> MailAccount:
    """An account at a scripted server; SMTP is not used."""
    return account_at(1, imap=local(port), **changes)


# --- reading


def test_g3_a_folder_is_read_whatever_letters_its_name_has(dovecot: Dovecot, account: MailAccount) -> None:
    """As it stands between quotes on the wire (RFC 3501 4.3, 5.1.3), and as people write it."""
    names = {
        "back\\\\slash": "back\\slash",
        'quo\\"te': 'quo"te',
        'both\\\\\\" ends\\\\': 'both\\" ends\\',
        "M&APw-ller &- Co": "Müller & Co",
        "50%*(x)": "50%*(x)",
    }
    for wire in names:
        dovecot.add_folder(account.address, wire)
    session = imap.open_session(account, TIMEOUTS)
    assert sorted(session.folder_names()) == sorted(["INBOX", "Sent", *names.values()])
    starts = {name: session.new_headers(None, name)[0] for name in names.values()}
    for wire, name in names.items():
        dovecot.file(account.address, wire, letter(1))
        assert len(list(session.new_headers(starts[name], name)[1])) == 1, name
    session.close()


def test_g3_a_listing_is_understood_in_each_of_its_forms() -> None:
    """Literals, bare names and no hierarchy; a name that is no UTF-7 is left out and spoils nothing."""
    lines = [
        '() "\\\\" "one\\\\two"', '(\\Noselect) "/" dots', "() NIL NIL", '() "/" {5}\r\na\\"b ',
        '() "/" R&D', '() "/" M&APw-ller', '() "/" INBOX',
    ]  # fmt: skip
    listed = "".join(f"* LIST {line}\r\n" for line in lines)
    with ScriptedImap({"LIST": f"{listed}OK done"}) as server:
        session = imap.open_session(at(server.port), TIMEOUTS)
        assert session.folder_names() == ["one\\two", "NIL", 'a\\"b ', "Müller", "INBOX"]
        session.close()


@pytest.mark.parametrize("security", list(Security))
def test_b1_a_login_works_whatever_the_security(
    security: Security, dovecot: Dovecot, account: MailAccount
) -> None:
    port = dovecot.imaps_port if security is Security.TLS else dovecot.imap_port
    session = imap.open_session(replace(account, imap=local(port, security)), TIMEOUTS)
    assert session.new_headers(None)[0].last_uid == 0
    session.close()


def test_d6_each_letter_is_read_once_and_none_that_was_there_before(
    dovecot: Dovecot, account: MailAccount
) -> None:
    dovecot.deliver(account.address, letter(1))
    session = imap.open_session(account, TIMEOUTS)
    cursor, found = session.new_headers(None)
    assert list(found) == []
    assert subjects(session, cursor) == (cursor, [])
    dovecot.deliver(account.address, letter(2))
    dovecot.deliver(account.address, letter(3))
    later, found_subjects = subjects(session, cursor)
    assert found_subjects == [b"Subject: number 2", b"Subject: number 3"]
    assert subjects(session, later) == (later, [])
    session.close()
    session = imap.open_session(account, TIMEOUTS)
    assert subjects(session, cursor) == (later, [b"Subject: number 2", b"Subject: number 3"])
    session.close()


def test_h5_reading_marks_nothing_as_seen_and_fetches_no_body(dovecot: Dovecot, account: MailAccount) -> None:
    session = imap.open_session(account, TIMEOUTS)
    cursor, _ = session.new_headers(None)
    dovecot.deliver(account.address, letter(1))
    (headers,) = session.new_headers(cursor)[1]
    session.close()
    assert b"Subject: number 1" in headers.raw
    assert b"body" not in headers.raw
    ((flags, _),) = dovecot.messages(account.address)
    assert "\\Seen" not in flags


def test_d6_a_folder_that_was_numbered_anew_is_read_from_its_beginning(
    dovecot: Dovecot, account: MailAccount
) -> None:
    for number in (1, 2):
        dovecot.deliver(account.address, letter(number))
    session = imap.open_session(account, TIMEOUTS)
    cursor, _ = session.new_headers(None)
    session.close()
    dovecot.forget_uids(account.address)
    session = imap.open_session(account, TIMEOUTS)
    fresh, found = subjects(session, cursor)
    session.close()
    assert fresh.uid_validity != cursor.uid_validity
    assert sorted(found) == [b"Subject: number 1", b"Subject: number 2"]


def test_d6_b7_another_server_that_numbers_alike_is_read_from_its_beginning() -> None:
    """A mailbox that has moved: what comes to it now has numbers that the old server gave long ago."""
    with ScriptedImap() as server:
        session = imap.open_session(at(server.port), TIMEOUTS)
        assert session.new_headers(FolderCursor(7, 5000))[0] == FolderCursor(7, 12)
        session.close()
    assert [command for command in server.commands if "SEARCH" in command] == ["UID SEARCH UID 1:12"]


def test_d6_more_letters_than_one_fetch_takes_are_all_read(dovecot: Dovecot, account: MailAccount) -> None:
    session = imap.open_session(account, TIMEOUTS)
    cursor, _ = session.new_headers(None)
    for number in range(8):
        dovecot.deliver(account.address, letter(number))
    _, found = session.new_headers(cursor, at_once=3)
    assert [headers.uid for headers in found] == list(range(1, 9))
    session.close()


def test_i3_a_strangers_endless_headers_are_cut(dovecot: Dovecot, account: MailAccount) -> None:
    session = imap.open_session(account, TIMEOUTS)
    cursor, _ = session.new_headers(None)
    dovecot.deliver(account.address, b"Subject: x\r\n" + b"X-Long: yes\r\n" * 20_000 + b"\r\nbody\r\n")
    (headers,) = session.new_headers(cursor)[1]
    session.close()
    assert len(headers.raw) == 64 * 1024


def test_d6_the_range_is_closed_so_that_the_last_letter_is_not_read_again() -> None:
    with ScriptedImap() as server:
        session = imap.open_session(at(server.port), TIMEOUTS)
        session.new_headers(FolderCursor(7, 12))
        session.new_headers(FolderCursor(7, 10))
        session.close()
    assert [command for command in server.commands if "SEARCH" in command] == ["UID SEARCH UID 11:12"]


def test_d6_the_uid_is_found_before_and_after_the_headers() -> None:
    fetched = (
        "* 1 FETCH (UID 11 BODY[HEADER]<0> {6}\r\nA: 1\r\n)\r\n* 1 FETCH (FLAGS (\\Seen))\r\n"
        "* 2 FETCH (BODY[HEADER]<0> {6}\r\nB: 2\r\n UID 12)\r\nOK done"
    )
    with ScriptedImap({"UID FETCH": fetched}) as server:
        session = imap.open_session(at(server.port), TIMEOUTS)
        found = [(one.uid, one.raw) for one in session.new_headers(FolderCursor(7, 10))[1]]
        session.close()
    assert found == [(11, b"A: 1\r\n"), (12, b"B: 2\r\n")]


def test_d6_a_server_that_names_no_next_uid_is_asked_for_it() -> None:
    with ScriptedImap({"EXAMINE": "* 2 EXISTS\r\nOK done"}) as server:
        session = imap.open_session(at(server.port), TIMEOUTS)
        assert session.new_headers(None)[0] == FolderCursor(7, 12)
        session.close()


# --- sent copies


def test_f3_a_sent_copy_is_filed_as_seen_and_found_by_its_message_id(
    dovecot: Dovecot, account: MailAccount
) -> None:
    session = imap.open_session(account, TIMEOUTS)
    assert not session.has_sent_copy("<1@example.com>")
    session.file_sent_copy(letter(1))
    assert session.has_sent_copy("<1@example.com>")
    assert not session.has_sent_copy("<11@example.com>")
    assert not session.has_sent_copy('"quoted\\<2@example.com>')
    session.close()
    ((flags, raw),) = dovecot.messages(account.address, "Sent")
    assert raw == letter(1)
    assert "\\Seen" in flags
    assert dovecot.messages(account.address) == []


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (['() "/" "Sent"', '(\\Sent) "/" "Elsewhere"'], "Elsewhere"),
        (['() "/" "Gesendet"', '() "/" "Sent Items"'], '"Sent Items"'),
        (['() "." "INBOX.Sent"'], "INBOX.Sent"),
        (['(\\Noselect \\Sent) "/" "Sent"', '() "/" "Sent Messages"'], '"Sent Messages"'),
        (['() "/" "&AMk-l&AOk-ments envoy&AOk-s"'], '"&AMk-l&AOk-ments envoy&AOk-s"'),
    ],
)
def test_f3_the_folder_for_sent_mail_is_found_by_its_mark_then_by_its_name(
    listed: list[str], expected: str
) -> None:
    lines = "".join(f"* LIST {line}\r\n" for line in listed)
    with ScriptedImap({"LIST": f"{lines}OK done", "UID SEARCH": "* SEARCH 4\r\nOK done"}) as server:
        session = imap.open_session(at(server.port), TIMEOUTS)
        assert session.has_sent_copy("<1@example.com>")
        session.close()
    (opened,) = [command for command in server.commands if command.startswith("EXAMINE")]
    assert opened.removeprefix("EXAMINE ").strip('"') == expected.strip('"')


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [("IMAP4rev1", "Sent"), ("IMAP4rev1 NAMESPACE", "INBOX.Sent")],
)
def test_f3_a_folder_for_sent_mail_is_made_where_there_is_none(capabilities: str, expected: str) -> None:
    script = {
        "CAPABILITY": f"* CAPABILITY {capabilities}\r\nOK done",
        "NAMESPACE": '* NAMESPACE (("INBOX." ".")) NIL NIL\r\nOK done',
        "CREATE": "NO [OVERQUOTA] no more folders",
    }
    with ScriptedImap(script) as server:
        session = imap.open_session(at(server.port), TIMEOUTS)
        assert not session.has_sent_copy("<1@example.com>")
        said = refusal(lambda: session.file_sent_copy(letter(1)))
        session.close()
    assert said.text == "NO [OVERQUOTA] no more folders"
    assert any(command.replace('"', "") == f"CREATE {expected}" for command in server.commands)


# --- failures


def test_c1_a_wrong_password_is_refused_in_the_servers_words(account: MailAccount) -> None:
    said = refusal(
        lambda: imap.open_session(replace(account, credential=Password(Secret("wrong"))), TIMEOUTS)
    )
    assert (said.phase, said.code, said.text) == (
        Phase.AUTH,
        None,
        "NO [AUTHENTICATIONFAILED] Authentication failed.",
    )


def test_b1_a_password_in_any_letters_logs_in(dovecot: Dovecot, account: MailAccount) -> None:
    dovecot.add_user("zoe@example.org", "pässwörd €")
    zoe = replace(account, username="zoe@example.org", credential=Password(Secret("pässwörd €")))
    imap.open_session(zoe, TIMEOUTS).close()
    wrong = replace(zoe, credential=Password(Secret("pässwörd")))
    said = refusal(lambda: imap.open_session(wrong, TIMEOUTS))
    assert (said.phase, said.text) == (Phase.AUTH, "NO [AUTHENTICATIONFAILED] Authentication failed.")


@pytest.mark.parametrize(
    ("answer", "text", "reply_class"),
    [
        ("NO [ALERT] too many connections", "NO [ALERT] too many connections", ReplyClass.RETRY),
        (
            "BAD User is authenticated but not connected",
            "BAD User is authenticated but not connected",
            ReplyClass.RETRY,
        ),
        ("* BYE going down\r\nNO bye", "the connection broke: going down", ReplyClass.NET),
        ("", "the connection broke: ", ReplyClass.NET),
        (None, "the connection broke: timed out", ReplyClass.NET),
    ],
)
def test_c1_what_the_server_says_to_the_login_is_kept(
    answer: str | None, text: str, reply_class: ReplyClass
) -> None:
    with ScriptedImap({"LOGIN": answer}) as server:
        said = refusal(lambda: imap.open_session(at(server.port), IMPATIENT))
    assert (said.phase, said.code) == (Phase.AUTH, None)
    assert said.text.startswith(text)
    assert classify(said, "imap").reply_class is reply_class


@pytest.mark.parametrize("greeting", [None, "* BYE too many connections", "220 an SMTP server", ""])
def test_c2_a_server_that_does_not_greet_fails_to_connect(greeting: str | None) -> None:
    with ScriptedImap(greeting=greeting) as server:
        said = refusal(lambda: imap.open_session(at(server.port), IMPATIENT))
    assert (said.phase, said.code) == (Phase.CONNECT, None)
    assert said.text


@pytest.mark.parametrize("verb", ["EXAMINE", "UID SEARCH", "UID FETCH"])
@pytest.mark.parametrize(
    "answer", [None, "", "NO [UNAVAILABLE] later", "BAD what", "* 1 FETCH (nonsense\r\nNO x"]
)
def test_h5_an_inbox_that_cannot_be_read_says_so(verb: str, answer: str | None) -> None:
    with ScriptedImap({verb: answer}) as server:
        session = imap.open_session(at(server.port), IMPATIENT)
        said = refusal(lambda: list(session.new_headers(FolderCursor(7, 10))[1]))
        session.close()
    assert (said.phase, said.code) == (Phase.PERMISSION, None)
    if answer and "[" in answer:
        assert said.text == answer
    if not answer:
        assert classify(said, "imap").reply_class is ReplyClass.NET


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_i2_a_certificate_for_another_name_is_refused(
    security: Security, dovecot: Dovecot, account: MailAccount
) -> None:
    """Dovecot's certificate names localhost, and not the address it has."""
    port = dovecot.imaps_port if security is Security.TLS else dovecot.imap_port
    elsewhere = replace(account, imap=replace(local(port, security), host="127.0.0.1"))
    said = refusal(lambda: imap.open_session(elsewhere, TIMEOUTS))
    assert (said.phase, said.code) == (Phase.TLS, None)
    assert "IP address mismatch" in said.text


def test_i2_an_authority_that_nobody_knows_is_refused(
    account: MailAccount, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = TlsAuthority(tmp_path_factory.mktemp("stranger"))
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.ca_file))
    said = refusal(lambda: imap.open_session(account, TIMEOUTS))
    assert said.phase is Phase.TLS
    assert "not trusted" in said.text
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


def test_i2_a_server_that_takes_starttls_out_gets_no_password() -> None:
    with ScriptedImap() as server:
        account = replace(at(server.port), imap=local(server.port, Security.STARTTLS))
        said = refusal(lambda: imap.open_session(account, TIMEOUTS))
    assert (said.phase, said.text) == (Phase.TLS, "the server does not offer STARTTLS")
    assert not any(command.startswith("LOGIN") for command in server.commands)


def test_i1_a_server_that_echoes_the_password_does_not_make_us_say_it() -> None:
    for status in ("NO", "BAD"):
        with ScriptedImap({"LOGIN": f"{status} you said canary-4711"}) as server:
            account = at(server.port, credential=Password(Secret("canary-4711")))
            with pytest.raises(MailTrouble) as caught:
                imap.open_session(account, TIMEOUTS)
        assert "4711" not in f"{caught.value!s} {caught.value.reply!r} {caught.value.__cause__!r}"
        assert caught.value.reply.text == f"{status} you said [secret]"


def test_i1_the_library_keeps_no_conversation() -> None:
    assert imaplib.Debug == 0  # type: ignore[attr-defined]  # not in typeshed
    assert PASSWORD not in repr(at(1))


def test_a_farewell_that_is_unheard_does_not_matter() -> None:
    for answer in ("", "NO stay", "BAD what"):
        with ScriptedImap({"LOGOUT": answer}) as server:
            session = imap.open_session(at(server.port), TIMEOUTS)
            session.close()
            session.close()
