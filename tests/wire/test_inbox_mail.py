"""What people and their programs send back, by command line (cases of the wire, replies and unsubscribes)."""

from base64 import b64encode
from datetime import timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import create_engine, text

from tests.acceptance.autumn import MONDAY
from tests.wire.conftest import ANNA, FRIDAY, PEOPLE, THURSDAY, Wire, mail

PIA, QUIN, ROB = PEOPLE
HOUR = timedelta(hours=1)
NOON = MONDAY + 3 * HOUR


def encoded(cited: str) -> str:
    return f"=?utf-8?b?{b64encode(cited.encode()).decode()}?="


@pytest.mark.parametrize(
    "touched",
    [
        encoded,
        lambda cited: f"=?UTF-8?Q?{cited.replace('<', '=3C').replace('>', '=3E').replace('@', '=40')}?=",
        lambda cited: cited.strip("<>"),
        lambda cited: cited.rstrip(">"),
        lambda cited: cited.replace("<", "&lt;").replace(">", "&gt;"),
        lambda cited: cited.upper(),
        # Variations of ours.
        lambda cited: f"=?ütf-8?q?hello?= {cited}",
        lambda cited: f"<a@b.example>{cited.strip('<>')}<c@d.example>",
        lambda cited: cited.partition("@")[0] + "@rewritten.example>",
        lambda cited: "%3C" + cited.strip("<>").replace("@", "%40") + "%3E",
        lambda cited: f"{cited[:20]}\r\n\t{cited[20:]}",
        lambda cited: f'"{cited}"; (your message of Monday)',
    ],
)
@pytest.mark.parametrize("header", ["In-Reply-To", "References"])
def test_g1_an_answer_is_known_however_its_citation_was_mangled(wire: Wire, header: str, touched) -> None:  # type: ignore[no-untyped-def]  # lambdas
    cited = str(wire.letter_to(PIA)["Message-ID"])
    wire.imap.add(wire.reply(PIA, cites=f"{header}: {touched(cited)}"))
    assert wire.pass_at(NOON)[0]["replies"] == 1
    assert wire.states(NOON)[PIA] == "replied"


def test_d6_our_own_messages_in_our_own_inbox_are_no_replies(wire: Wire) -> None:
    follow_ups = wire.pass_at(THURSDAY)[1]
    assert sorted(follow_ups) == sorted(PEOPLE)
    # A Bcc to ourselves, a copy saved to the INBOX, and one that a list server has put its own From on.
    for person, sender in zip(PEOPLE, (ANNA, ANNA.upper(), "lists@example.net"), strict=True):
        letter = wire.letter_to(person)
        assert letter["In-Reply-To"] is not None
        letter.replace_header("From", sender)
        wire.imap.add(bytes(letter))
    assert wire.pass_at(FRIDAY)[0]["replies"] == 0
    assert "replied" not in wire.states(FRIDAY).values()


def test_d6_what_comes_from_an_alias_of_ours_is_no_reply(wire: Wire) -> None:
    wire.run(NOON, "mailbox", "alias", "add", ANNA, "anna.b@wire.example.org")
    wire.imap.add(wire.reply(PIA).replace(f"From: {PIA}", "From: Anna <Anna.B@wire.example.org>"))
    wire.imap.add(wire.reply(QUIN))
    assert wire.pass_at(NOON + HOUR)[0]["replies"] == 1
    assert wire.states(NOON + HOUR)[PIA] == "active"


@pytest.mark.parametrize("sign", ["Precedence: bulk", "Return-Path: <>", "Precedence: junk"])
def test_g1_a_persons_answer_with_one_doubtful_sign_is_a_reply(wire: Wire, sign: str) -> None:
    wire.imap.add(wire.reply(PIA, sign))
    wire.imap.add(mail(f"From: {QUIN}", f"To: {ANNA}", "Subject: our newsletter", sign))
    assert wire.pass_at(NOON)[0]["replies"] == 1
    assert wire.states(NOON) == {PIA: "replied", QUIN: "active", ROB: "active"}


@pytest.mark.parametrize(
    "signs",
    [
        ("Precedence: bulk", "Return-Path: <>"),
        ("Precedence: bulk", "Auto-Submitted: auto-replied"),
        ("Return-Path: <>", "Content-Type: multipart/report"),
    ],
)
def test_g1_two_signs_are_a_machine_also_where_it_cites_us(wire: Wire, signs: tuple[str, ...]) -> None:
    wire.imap.add(wire.reply(PIA, *signs))
    assert wire.pass_at(NOON)[0]["replies"] == 0


@pytest.mark.parametrize(
    "subject",
    [
        "unsubscribe {}",
        "[EXTERNAL] unsubscribe {}",
        "[EXT] unsubscribe {}",
        "unsubscribe%20{}",
        "unsubscribe+{}",
        "Re: unsubscribe {}",
        "unsubscribe: {}",
        "unsubscribe {}.",
        # The token alone is proof; and variations of ours.
        "{}",
        "AW: [SPAM?] Unsubscribe <{}> bitte",
        "unsubscribe=20{}",
        "unsubscribe{}",
        "=?utf-8?q?=5BEXT=5D_unsubscribe_{}?=",
        "unsubscribe%2520{}",
        "unsubscribe {1}\r\n {2}",
    ],
)
def test_i4_an_unsubscribe_counts_however_its_subject_was_touched(wire: Wire, subject: str) -> None:
    token = token_of(wire, PIA)
    touched = subject.format(token, token[:12], token[12:])
    wire.imap.add(mail(f"From: {PIA}", f"To: {ANNA}", f"Subject: {touched}"))
    assert wire.pass_at(NOON)[0]["unsubscribes"] == 1
    assert sorted(wire.pass_at(THURSDAY)[1]) == [QUIN, ROB], "no step 2"


@pytest.mark.parametrize(
    "sign", ["Precedence: bulk", "Return-Path: <>", "Auto-Submitted: auto-generated", "X-Autoreply: yes"]
)
def test_i4_an_unsubscribe_counts_whatever_program_has_sent_it(wire: Wire, sign: str) -> None:
    subject = f"Subject: unsubscribe {token_of(wire, PIA)}"
    wire.imap.add(mail(f"From: {PIA}", f"To: {ANNA}", subject, sign))
    assert wire.pass_at(NOON)[0]["unsubscribes"] == 1


def test_i4_a_quoted_message_does_not_let_its_reader_unsubscribe_its_recipient(wire: Wire) -> None:
    letter = wire.letter_to(PIA)
    quoted = str(letter["Message-ID"]).strip("<>").partition("@")[0]
    assert quoted not in str(letter["List-Unsubscribe"])
    assert quoted not in letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    wire.imap.add(mail("From: eve@example.com", f"To: {ANNA}", f"Subject: unsubscribe {quoted}"))
    report, _ = wire.pass_at(NOON)
    assert report["unsubscribes"] == 0
    assert wire.run(NOON, "suppression", "list", "--json").json() == []


def test_i4_the_tokens_of_messages_from_before_stay_valid(wire: Wire) -> None:
    """What was sent by an older version names the local part of its Message-ID."""
    old = str(wire.letter_to(PIA)["Message-ID"]).strip("<>").partition("@")[0]
    engine = create_engine(f"sqlite:///{wire.console.home / 'workspace.db'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE message SET unsubscribe_token = NULL"))
    engine.dispose()
    wire.imap.add(mail(f"From: {PIA}", f"To: {ANNA}", f"Subject: unsubscribe {old}"))
    wire.imap.add(mail(f"From: {QUIN}", f"To: {ANNA}", f"Subject: Ticket {old}"))
    assert wire.pass_at(NOON)[0]["unsubscribes"] == 1


def test_i4_a_reply_whose_subject_holds_other_digits_is_a_reply(wire: Wire) -> None:
    wire.imap.add(wire.reply(PIA).replace("Re: A question", "Re: [d41d8cd98f00b204e9800998ecf8427e]"))
    assert wire.pass_at(NOON)[0]["replies"] == 1


@pytest.mark.parametrize(
    "odd",
    [
        "Subject: =?ütf-8?q?hello?=",
        # Variations of ours.
        "Subject: =?unicode-escape?q?=5Cq=5CN{}?=",
        "Subject: =?idna?b?/////w==?=",
        "Message-ID: <>",
        "Date: Thu, 99 Foo 99999 99:99:99 +99999999",
        "From: =?x?=?= <@@>,;:<",
        "Content-Type: multipart/mixed; boundary*0*=\udce4''x; boundary*99999999999999999999=y",
        "References: " + "<" * 50_000,
        "Subject: " + "=?utf-8?q?" * 5_000,
        "Auto-Submitted: \x00\x1b[31m",
    ],
)
def test_g1_whatever_a_mail_holds_the_others_are_read(wire: Wire, odd: str) -> None:
    raw = f"From: {QUIN}\r\n{odd}\r\n\r\nx".encode("utf-8", "surrogateescape")
    wire.imap.add(raw)
    wire.imap.add(wire.reply(PIA))
    assert wire.pass_at(NOON)[0]["replies"] == 1
    assert wire.shown(NOON)["unread_mails"] == []


def test_g1_a_mail_that_breaks_the_program_is_quarantined_with_its_reason(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that we know of does; the reader of headers is made to, so that the edge around it is seen."""
    from mailrotate.core.services.sending import inbox_reading

    read = inbox_reading.read_headers

    def brittle(raw: bytes, own: frozenset[str]) -> object:
        if b"X-Odd" in raw:
            raise UnicodeError("a stranger's words")
        return read(raw, own)

    monkeypatch.setattr(inbox_reading, "read_headers", brittle)
    wire.imap.add(wire.reply(QUIN, "X-Odd: yes"))
    wire.imap.add(wire.reply(PIA))
    report, _ = wire.pass_at(NOON)
    assert report["replies"] == 1, "the rest is read"
    (broken,) = wire.shown(NOON)["unread_mails"]
    assert (broken["uid"], broken["reason"]) == (1, "UnicodeError")
    assert broken["given_up_at"] is not None
    assert f"{ANNA}: 1 mail could not be read" in wire.run(NOON, "status").stdout
    assert "inbox.mail_given_up" in wire.actions(NOON)
    fetched = len(wire.imap.asked("UID FETCH"))
    assert sorted(wire.pass_at(THURSDAY)[1]) == [QUIN, ROB], "the cursor has passed it"
    assert len(wire.imap.asked("UID FETCH")) == fetched
    assert "a stranger's words" not in "".join(wire.console.said)


def test_g1_a_mail_on_which_acting_fails_is_quarantined_alone(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailrotate.core.services.contacts import contact_book

    note = contact_book.note_received

    def brittle(connection: object, box: object, mails: list[object], now: object) -> None:
        if any("odd" in one.subject for one in mails):  # type: ignore[attr-defined]  # InboundMail
            raise RecursionError
        note(connection, box, mails, now)  # type: ignore[arg-type]

    monkeypatch.setattr(contact_book, "note_received", brittle)
    for person in PEOPLE:
        letter = wire.reply(person)
        wire.imap.add(letter.replace("A question", "odd") if person == QUIN else letter)
    assert wire.pass_at(NOON)[0]["replies"] == 2
    assert [broken["reason"] for broken in wire.shown(NOON)["unread_mails"]] == ["RecursionError"]


def token_of(wire: Wire, person: str) -> str:
    letter: EmailMessage = wire.letter_to(person)
    return str(letter["List-Unsubscribe"]).rpartition("%20")[2].rstrip(">")
