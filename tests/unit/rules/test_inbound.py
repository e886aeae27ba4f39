"""What strangers' headers say: replies, machines, bounces and unsubscribes (G1, D6, I4)."""

import uuid
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailrotate.core.rules.inbound import InboundMail, read_headers

TOKEN = uuid.UUID(int=0xABCDEF).hex


def mail(*lines: str) -> InboundMail:
    return read_headers("\r\n".join(["From: Ann <Ann@Example.org>", *lines, "", "body: no"]).encode())


def test_g1_a_persons_reply_cites_what_it_answers() -> None:
    read = mail(
        "Message-ID: <x@example.org>",
        "In-Reply-To: <b@us.example>",
        "References: <a@us.example>",
        "\t<b@us.example>",
        "X-Auto-Response-Suppress: All",
        "Auto-Submitted: no",
        "Subject: Re: Hello",
    )
    assert read == InboundMail(
        None,
        None,
        ("<b@us.example>", "<a@us.example>"),
        "ann@example.org",
        header_id="<x@example.org>",
        subject="Re: Hello",
    )


@pytest.mark.parametrize(
    ("line", "cited"),
    [
        ("References: <a@us.example><b@us.example>", ("<a@us.example>", "<b@us.example>")),
        ("References: <a-long-id\r\n @us.example>", ("<a-long-id@us.example>",)),
        ("in-reply-to: <a@us.example> (your mail of Monday)", ("<a@us.example>",)),
        ("In-Reply-To: Your message of Monday", ()),
        ("In-Reply-To: <>", ()),
        ("In-Reply-To: <a@us.example", ()),
        ("X-References: <a@us.example>", ()),
    ],
)
def test_g1_ids_are_found_however_they_are_folded(line: str, cited: tuple[str, ...]) -> None:
    assert mail(line).cited_ids == cited


def test_g1_a_long_threads_first_and_last_ids_are_kept() -> None:
    ids = [f"<{n}@us.example>" for n in range(500)]
    cited = mail("References: " + "\r\n ".join(ids)).cited_ids
    assert len(cited) == 100
    assert (cited[0], cited[-1]) == (ids[0], ids[-1])


@pytest.mark.parametrize(
    ("line", "machine"),
    [
        ("Auto-Submitted: auto-replied", "Auto-Submitted: auto-replied"),
        ("Auto-Submitted: Auto-Replied (vacation)", "Auto-Submitted: auto-replied"),
        ('auto-submitted: auto-notified; owner-email="x"', "Auto-Submitted: auto-notified"),
        ("Auto-Submitted: no", None),
        ("Auto-Submitted: No (a person)", None),
        ("Precedence: bulk", "Precedence: bulk"),
        ("Precedence: junk", "Precedence: junk"),
        ("Precedence: auto_reply", "Precedence: auto_reply"),
        ("Precedence: list", None),
        ("Precedence: first-class", None),
        ("X-Autoreply: yes", "x-autoreply"),
        ("X-Autoreply: no", None),
        ("X-Autorespond: vacation", "x-autorespond"),
        ("X-Auto-Response-Suppress: All", None),
        ("Content-Type: multipart/report; report-type=delivery-status", "Content-Type: multipart/report"),
        ("Content-Type: Multipart/Report;\r\n\treport-type=x", "Content-Type: multipart/report"),
        ("Content-Type: multipart/mixed; boundary=report", None),
        ("Return-Path: <>", "Return-Path: <>"),
        ("Return-Path: <ann@example.org>", None),
        ("X-Failed-Recipients: bob@example.org", "X-Failed-Recipients"),
    ],
)
def test_g1_machines_are_told_from_people(line: str, machine: str | None) -> None:
    assert mail(line).machine == machine


def test_g1_a_bounce_that_is_also_an_auto_reply_is_a_bounce() -> None:
    assert mail("Auto-Submitted: auto-replied", "Return-Path: <>").machine == "Return-Path: <>"


@pytest.mark.parametrize(
    ("sender", "machine", "address"),
    [
        (
            "Mail Delivery Subsystem <MAILER-DAEMON@example.org>",
            "From: mailer-daemon",
            "mailer-daemon@example.org",
        ),
        ("postmaster@example.org", "From: postmaster", "postmaster@example.org"),
        ("MAILER-DAEMON", "From: mailer-daemon", "mailer-daemon"),
        ('"bob@other.example" <ann@example.org>', None, "ann@example.org"),
        ("ann@example.org (Ann)", None, "ann@example.org"),
        ("=?utf-8?q?Ann?= <ann@example.org>", None, "ann@example.org"),
        ("Ann", None, None),
        ("<>", None, None),
    ],
)
def test_g1_the_senders_address_is_found(sender: str, machine: str | None, address: str | None) -> None:
    read = read_headers(f"From: {sender}\n\n".encode())
    assert (read.machine, read.from_address) == (machine, address)


@pytest.mark.parametrize(
    "subject",
    [
        f"unsubscribe {TOKEN}",
        f"UNSUBSCRIBE {TOKEN.upper()}",
        f"  unsubscribe\r\n {TOKEN}  ",
        f"=?utf-8?q?unsubscribe_{TOKEN}?=",
        f"=?us-ascii?q?unsubscribe?= {TOKEN}",
        f"unsubscribe {TOKEN} please",
        f"unsubscribe{TOKEN}",
        # From here on, as people, gateways and mail programs have touched it (content/03).
        f"unsubscribe {TOKEN}.",
        f"[EXTERNAL] unsubscribe {TOKEN}",
        f"[EXT] unsubscribe {TOKEN}",
        f"unsubscribe%20{TOKEN}",
        f"unsubscribe+{TOKEN}",
        f"Re: unsubscribe {TOKEN}",
        f"unsubscribe: {TOKEN}",
        f"unsubscribe=20{TOKEN}",
        f"unsubscribe&nbsp;{TOKEN}",
        f"unsub\u00adscribe\u200b{TOKEN}",
        f"{TOKEN} unsubscribe",
        f"=?utf-8?b?{b64encode(f'AW: unsubscribe {TOKEN}'.encode()).decode()}?=",
    ],
)
def test_i4_the_subject_that_we_ask_for_unsubscribes_however_it_was_touched(subject: str) -> None:
    read = mail(f"Subject: {subject}")
    assert (read.unsubscribe_token, read.says_unsubscribe) == (TOKEN, True)


def test_i4_the_token_alone_is_read_without_the_word() -> None:
    for subject in (TOKEN, f"Re: <{TOKEN}>", f"stop it! {TOKEN.upper()}"):
        read = mail(f"Subject: {subject}")
        assert (read.unsubscribe_token, read.says_unsubscribe) == (TOKEN, False)


@pytest.mark.parametrize(
    "subject",
    [
        "unsubscribe",
        f"unsubscribe {TOKEN[:-1]}",
        f"unsubscribe {TOKEN}0",
        "unsubscribe " + "g" * 32,
        "=?utf-8?b?not base64?= unsubscribe",
        "=?nonsense?q?unsubscribe?=",
        "",
    ],
)
def test_i4_no_other_subject_unsubscribes(subject: str) -> None:
    assert mail(f"Subject: {subject}").unsubscribe_token is None


@pytest.mark.parametrize(
    "sign",
    [
        "Auto-Submitted: auto-replied",
        "Content-Type: multipart/report",
        "X-Failed-Recipients: bob@example.org",
    ],
)
def test_i4_a_bounce_or_an_auto_reply_unsubscribes_only_where_it_is_addressed_to_us(sign: str) -> None:
    assert mail(f"Subject: unsubscribe {TOKEN}", sign).unsubscribe_token is None
    raw = f"To: Us <US@example.com>\r\nSubject: unsubscribe {TOKEN}\r\n{sign}\r\n\r\n".encode()
    assert read_headers(raw, {"them@example.com"}).unsubscribe_token is None
    assert read_headers(raw, {"us@example.com"}).unsubscribe_token == TOKEN


@pytest.mark.parametrize("sign", ["Return-Path: <>", "Precedence: bulk"])
def test_i4_mailing_systems_put_signs_of_machines_on_peoples_unsubscribes(sign: str) -> None:
    assert mail(f"Subject: unsubscribe {TOKEN}", sign).unsubscribe_token == TOKEN


@pytest.mark.parametrize(
    ("signs", "is_doubtful"),
    [
        (["Precedence: bulk"], True),
        (["Return-Path: <>"], True),
        (["Precedence: junk", "Auto-Submitted: no"], True),
        (["Precedence: bulk", "Return-Path: <>"], False),
        (["Precedence: bulk", "Auto-Submitted: auto-replied"], False),
        (["Return-Path: <>", "Content-Type: multipart/report"], False),
        (["Return-Path: <>", "X-Autoreply: yes"], False),
        ([], False),
    ],
)
def test_g1_bulk_alone_or_a_null_path_alone_is_a_doubtful_sign(signs: list[str], is_doubtful: bool) -> None:
    read = mail(*signs)
    assert (read.is_doubtful, read.machine is not None) == (is_doubtful, bool(signs))


@pytest.mark.parametrize(
    "line",
    [
        f"In-Reply-To: {TOKEN}@us.example",
        f"In-Reply-To: <{TOKEN}@us.example",
        f"In-Reply-To: <{TOKEN.upper()}@US.EXAMPLE>",
        f"References: &lt;{TOKEN}@us.example&gt;",
        f"References: %3C{TOKEN}%40us.example%3E",
        f"References: =?utf-8?q?=3C{TOKEN}=40us=2Eexample=3E?=",
        f"References: =?utf-8?b?{b64encode(f'<{TOKEN}@us.example>'.encode()).decode()}?=",
        f"References: =?utf-8?q?=3C{TOKEN[:20]}?=\r\n =?utf-8?q?{TOKEN[20:]}=40us=2Eexample=3E?=",
        f"In-Reply-To: <{TOKEN[:20]}\r\n {TOKEN[20:]}@us.example>",
        f'In-Reply-To: "{TOKEN}@us.example" <a@example.org>',
        f"References: <a@b.example>,<{TOKEN}@us.example>;<c@d.example>",
        f"References: <a@b.example>{TOKEN}@us.example",
        f"In-Reply-To: Message from Us of Monday, id {TOKEN}",
    ],
)
def test_g1_our_token_is_found_anywhere_in_the_headers_that_cite(line: str) -> None:
    assert TOKEN in mail(line).cited_tokens


def test_g1_what_only_looks_like_tokens_has_an_end() -> None:
    read = mail("References: " + "0123456789abcdef" * 10_000, f"In-Reply-To: <{TOKEN}@us.example>")
    assert read.cited_tokens == (TOKEN,)
    assert len(mail("References: " + f"{TOKEN[:30]}fa " * 5_000).cited_tokens) == 1


def test_i4_an_unsubscribe_that_a_mail_program_wrote_for_its_user_counts() -> None:
    read = mail(f"Subject: unsubscribe {TOKEN}", "Auto-Submitted: auto-generated")
    assert read.unsubscribe_token == TOKEN
    assert read.machine == "Auto-Submitted: auto-generated"


def test_g1_what_stands_below_the_headers_is_not_read() -> None:
    read = read_headers(b"Subject: hi\n\nIn-Reply-To: <a@us.example>\nReturn-Path: <>\n")
    assert (read.machine, read.cited_ids, read.subject) == (None, (), "hi")


def test_g1_lines_that_are_no_fields_are_passed_over() -> None:
    raw = b" folded into nothing\nFrom nobody\n and folded\n: empty\nIn-Reply-To: <a@us.example>\n"
    assert read_headers(raw).cited_ids == ("<a@us.example>",)


def test_b9_a_subject_is_one_line_that_nothing_obeys_and_has_an_end() -> None:
    hidden = mail("Subject: =?utf-8?q?a=00b=0d=0aBcc:_eve=e2=80=ae=1b[31m=c2=9b?= c")
    assert hidden.subject == "a b Bcc: eve [31m c"
    assert mail("Subject: =?utf-8?b?SGVsbG8=?=", "Subject: second").subject == "Hello"
    assert len(mail("Subject: " + "=?utf-8?q?=c3=bc?= " * 10_000).subject) <= 500
    assert mail("Subject: =?nonsense?q?x?=").subject == "=?nonsense?q?x?="


def test_b9_a_mail_without_an_id_is_known_by_its_headers() -> None:
    one, again, other = mail("Subject: a"), mail("Subject: a"), mail("Subject: b")
    assert one.header_id == again.header_id != other.header_id
    assert mail("Message-ID: (first)\r\n <x@example.org>").header_id == "<x@example.org>"


@pytest.mark.parametrize(
    ("date", "written_at"),
    [
        ("Tue, 1 Dec 2026 10:00:00 +0100", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("Tue, 1 Dec 2026 09:00:00 -0000", datetime(2026, 12, 1, 9, tzinfo=UTC)),
        ("Tue, 1 Dec 2026 09:00:00 +99999999", None),
        ("Tue, 99 Dec 2026 09:00:00 +0000", None),
        ("1 Jan 1970 00:00:00 +0000", None),
        ("31 Dec 9999 23:00:00 -1200", None),
        ("yesterday", None),
    ],
)
def test_b9_the_date_of_a_mail_is_believed_where_it_can_be_read(
    date: str, written_at: datetime | None
) -> None:
    assert mail(f"Date: {date}").written_at == written_at


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.builds(
            lambda name, value: name + b": " + value,
            st.sampled_from([b"From", b"Subject", b"References", b"Message-ID", b"Content-Type", b"Date"]),
            st.binary(max_size=200),
        ),
        st.text(alphabet="=?utf-8qb<>@:; \r\n\t\0ü", max_size=200).map(
            lambda text: f"Subject:{text}".encode()
        ),
    )
)
@example(b"Message-ID: <>\r\n\r\n")
@example(b"Subject: =?utf-8?b?=====?=\r\n")
@example(b"Subject: =?idna?q?unsubscribe?=\r\n")
@example(b"From: \xff\xfe <\xff@\xff>\r\n")
@example(b"References: " + b"<" * 10_000)
def test_g1_nothing_a_stranger_writes_raises(raw: bytes) -> None:
    read = read_headers(raw)
    assert all(cited.startswith("<") and cited.endswith(">") for cited in read.cited_ids)
    assert read.from_address is None or read.from_address == read.from_address.lower()
    assert read.header_id
    read.subject.encode()
    assert not set(read.subject) & set(map(chr, range(32)))
