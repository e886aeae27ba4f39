"""D1, D5, I3, I4: the bytes of a letter, read back by the standard library."""

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from hashlib import sha256
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules import markdown
from mailrotate.core.rules.compose import compose, message_id_for, words_of
from mailrotate.core.rules.templates import MissingField
from mailrotate.core.rules.text import clean_value
from mailrotate.core.values.letter import MOST_ATTACHED_BYTES, Attachment, Letter, UnfitLetter, Unsubscribe

NOW = datetime(2026, 12, 1, 8, 0, 5, tzinfo=UTC)
TOKEN = "0123456789abcdef0123456789abcdef"
BODY = """Hi {{ first_name | default("there") }},

I saw that **{{ company }}** is hiring, and wondered who looks after your *delivery windows*.
We do three things:

- one thing that helps
- another [here](https://example.org/x?c={{ id | default("0") }})
- and a third

{% if city is defined %}{{ city }} it is.{% else %}Wherever you are.{% endif %}

Would a call next week suit you?

Best regards
Anna
"""
LETTER = Letter(
    from_name="Anna Müller",
    from_address="anna@example.org",
    to_address="bob@example.com",
    subject_template="A question about {{ company }}",
    body_template=BODY,
    fields={"company": "Ähm & Co"},
    signature_markdown="Anna Müller\n*Acme*",
    unsubscribe=Unsubscribe("anna@example.org", TOKEN),
    message_id=f"<{TOKEN}@example.org>",
)
FOLLOW_UP = replace(
    LETTER,
    subject_template=None,
    thread_subject="A question",
    in_reply_to="<second@example.org>",
    references=("<first@example.org>", "<second@example.org>"),
)
NASTY = st.text(st.characters() | st.sampled_from('\r\n\0"\\<>,:;=?()@ \u2028\x85é'), max_size=80)


def read(raw: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    for part in parsed.walk():
        assert not part.defects
    return parsed


def parts_of(parsed: EmailMessage) -> tuple[str, str]:
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


def check_wire(raw: bytes) -> None:
    """RFC 5321 2.3.8 and 4.5.3.1.6: CRLF alone ends lines, none is longer than 998; our parts are ASCII."""
    raw.decode("ascii")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.endswith(b"\r\n")


def test_d1_a_letter_has_text_and_html_from_one_source() -> None:
    composed = compose(LETTER, NOW)
    check_wire(composed.raw)
    parsed = read(composed.raw)
    assert parsed.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    text, html = parts_of(parsed)
    assert text.startswith(
        "Hi there,\n\nI saw that Ähm & Co is hiring, and wondered who looks after your delivery"
    )
    assert "- another here (https://example.org/x?c=0)\n- and a third\n\nWherever you are." in text
    assert "<strong>Ähm &amp; Co</strong>" in html
    assert '<a href="https://example.org/x?c=0">here</a>' in html


def test_i4_a_campaign_letter_carries_what_bulk_senders_must() -> None:
    composed = compose(LETTER, NOW)
    assert composed.raw.split(b"\r\n\r\n")[0].decode().split("\r\n") == [
        "From: =?utf-8?b?QW5uYSBNw7xsbGVy?= <anna@example.org>",
        "To: bob@example.com",
        "Subject: =?utf-8?b?QSBxdWVzdGlvbiBhYm91dCDDhGhtICYgQ28=?=",
        "Date: Tue, 01 Dec 2026 08:00:05 +0000",
        f"Message-ID: <{TOKEN}@example.org>",
        f"List-Unsubscribe: <mailto:anna@example.org?subject=unsubscribe%20{TOKEN}>",
        "MIME-Version: 1.0",
        "Content-Type: multipart/alternative;",
        f' boundary="=_a{sha256(f"<{TOKEN}@example.org>".encode()).hexdigest()[:32]}"',
    ]
    assert composed.subject == "A question about Ähm & Co" == read(composed.raw)["Subject"]
    assert read(composed.raw)["From"].addresses[0].display_name == "Anna Müller"
    assert composed.sha256 == sha256(composed.raw).hexdigest()


def test_f1_the_same_letter_is_the_same_bytes() -> None:
    assert compose(LETTER, NOW) == compose(replace(LETTER), NOW)
    other = compose(replace(LETTER, fields={"company": "B"}), NOW)
    assert other.sha256 != compose(LETTER, NOW).sha256


def test_b3_signature_and_unsubscribe_stand_at_the_end_when_not_placed() -> None:
    text, html = parts_of(read(compose(LETTER, NOW).raw))
    url = f"mailto:anna@example.org?subject=unsubscribe%20{TOKEN}"
    assert text.endswith(
        "Best regards\nAnna\n\n-- \nAnna Müller\nAcme\n\n"
        f"To stop these messages, unsubscribe by mail: {url}\n"
    )
    assert (
        html.index("Best regards")
        < html.index("<em>Acme</em>")
        < html.index(f'<a href="{url}">unsubscribe</a>')
    )


def test_b3_signature_and_unsubscribe_stand_where_the_template_places_them_and_only_there() -> None:
    placed = replace(LETTER, body_template="{{ unsubscribe }}\n\nHi\n{{ signature }}\n\nPS")
    text, html = parts_of(read(compose(placed, NOW).raw))
    assert text.startswith("To stop these messages")
    assert text.endswith("\n\nHi\n\nAnna Müller\nAcme\n\nPS\n")
    assert "-- " not in text
    assert html.count("unsubscribe</a>") == html.count("<em>Acme</em>") == 1


def test_a_letter_without_signature_and_unsubscribe_has_neither() -> None:
    bare = replace(
        LETTER, signature_markdown=" ", unsubscribe=None, body_template="Hi {{ signature }}{{ unsubscribe }}"
    )
    parsed = read(compose(bare, NOW).raw)
    assert parts_of(parsed)[0] == "Hi\n"
    assert "List-Unsubscribe" not in parsed


def test_d5_a_follow_up_is_a_reply_in_the_thread() -> None:
    parsed = read(compose(FOLLOW_UP, NOW).raw)
    assert parsed["Subject"] == "Re: A question"
    assert parsed["In-Reply-To"] == "<second@example.org>"
    assert parsed["References"] == "<first@example.org> <second@example.org>"


@pytest.mark.parametrize("begun", ["A question", "Re: A question", "RE:re : A question"])
def test_d5_a_reply_is_marked_once(begun: str) -> None:
    assert words_of(replace(FOLLOW_UP, thread_subject=begun)).subject == "Re: A question"


def test_d5_references_keep_the_first_and_the_newest_on_lines_of_whole_ids() -> None:
    ids = tuple(f"<{n:032x}@mail.example.org>" for n in range(300))
    raw = compose(replace(FOLLOW_UP, references=ids), NOW).raw
    check_wire(raw)
    assert str(read(raw)["References"]).split() == [ids[0], *ids[-19:]]
    assert b"=?" not in raw.partition(b"References:")[2].partition(b"List-Unsubscribe")[0]


def test_i3_an_id_that_would_break_its_header_is_not_cited() -> None:
    cited = ("<ok@example.org>", "<a@b>\r\nBcc: x@example.org", "<a b@c>", "no brackets", "<é@example.org>")
    parsed = read(compose(replace(FOLLOW_UP, references=cited, in_reply_to=cited[1]), NOW).raw)
    assert parsed["References"] == "<ok@example.org>"
    assert "In-Reply-To" not in parsed
    assert "Bcc" not in parsed


def test_a_long_list_unsubscribe_is_never_folded_inside_nor_encoded() -> None:
    address = "a" * 64 + "@" + "b" * 60 + "." + "c" * 60 + ".example.org"
    raw = compose(replace(LETTER, unsubscribe=Unsubscribe(address, TOKEN)), NOW).raw
    assert f"List-Unsubscribe: <mailto:{address}?subject=unsubscribe%20{TOKEN}>\r\n".encode() in raw


@pytest.mark.parametrize("address", ["a&b=c@example.org", "a?b%c/d@example.org", "o'neil+x@example.org"])
def test_i4_the_unsubscribe_address_is_the_one_meant(address: str) -> None:
    raw = compose(replace(LETTER, unsubscribe=Unsubscribe(address, TOKEN)), NOW).raw
    split = urlsplit(str(read(raw)["List-Unsubscribe"]).strip("<>"))
    assert (split.scheme, unquote(split.path)) == ("mailto", address)
    assert parse_qs(split.query) == {"subject": [f"unsubscribe {TOKEN}"]}


EXPECTED = ["From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "MIME-Version", "Content-Type"]


@given(name=NASTY, value=NASTY, filename=NASTY, thread=NASTY)
def test_i3_nothing_injects_a_header(name: str, value: str, filename: str, thread: str) -> None:
    letter = replace(
        LETTER,
        from_name=name,
        fields={"company": value, "first_name": value, "id": value},
        subject_template="About {{ company | default('-') }}",
        body_template=BODY.replace("{{ company }}", "{{ company | default('-') }}"),
        attachments=(Attachment(filename, name, b"data"),),
        signature_markdown=thread,
    )
    raw = compose(letter, NOW).raw
    check_wire(raw)
    parsed = read(raw)
    assert parsed.keys() == EXPECTED
    assert parsed["From"].addresses[0].addr_spec == "anna@example.org"
    assert len(parsed["From"].addresses) == 1
    assert parsed["To"] == "bob@example.com"
    assert len(list(parsed.iter_parts())) == 2
    (file,) = parsed.iter_attachments()
    # A type that is well-formed stays; whatever else it holds is none.
    assert file.get_content_type() in ("application/octet-stream", name.lower())
    assert file.get_payload(decode=True) == b"data"
    reply = compose(replace(letter, subject_template=None, thread_subject=thread or "x"), NOW)
    check_wire(reply.raw)
    assert read(reply.raw).keys() == EXPECTED


# Values are kept clean (tests/unit/rules/test_text.py): what is drawn here is such a value.
@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='"\\') | st.just(" "),
        min_size=1,
        max_size=200,
    ).map(clean_value)
)
def test_d1_names_and_subjects_in_any_script_arrive_as_written(text: str) -> None:
    written = " ".join(text.split()) or "x"
    letter = replace(
        LETTER, from_name=written, subject_template="{{ s }}", fields={"s": written, "company": "x"}
    )
    raw = compose(letter, NOW).raw
    check_wire(raw)
    assert read(raw)["Subject"] == written
    # Not by `addresses`: Python 3.11 keeps the blank between two encoded words of a name (RFC 2047 6.2).
    sender = email.message_from_bytes(raw)["From"]
    assert str(make_header(decode_header(sender.rpartition(" <")[0].strip('"')))) == written


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (None, b"From: anna@example.org"),
        ("Anna", b"From: Anna <anna@example.org>"),
        ('Dr. "A", \\x', b'From: "Dr. \\"A\\", \\\\x" <anna@example.org>'),
        ("=?utf-8?q?x?=", b"From: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <anna@example.org>"),
    ],
)
def test_a_sender_name_is_quoted_or_encoded_only_where_it_must(name: str | None, line: bytes) -> None:
    assert compose(replace(LETTER, from_name=name), NOW).raw.startswith(line + b"\r\n")


@pytest.mark.parametrize(
    "filename",
    ["one-pager.pdf", "Größe 1.pdf", 'a"b.pdf', "x" * 119 + "y", "é" * 120, "资料.pdf", "a;b=c.txt"],
)
def test_d1_attachments_arrive_with_name_and_content(filename: str) -> None:
    data = bytes(range(256)) * 50
    raw = compose(replace(LETTER, attachments=(Attachment(filename, "application/pdf", data),)), NOW).raw
    check_wire(raw)
    parsed = read(raw)
    assert parsed.get_content_type() == "multipart/mixed"
    (file,) = parsed.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == (filename, "application/pdf")
    assert file.get_content() == data
    assert parts_of(parsed)[0].startswith("Hi there")


def test_i3_an_attachment_has_no_folder() -> None:
    raw = compose(replace(LETTER, attachments=(Attachment("../..\\x/.profile", "text/plain", b""),)), NOW).raw
    assert [file.get_filename() for file in read(raw).iter_attachments()] == [".profile"]


def test_a_body_of_one_endless_line_is_folded_for_the_wire() -> None:
    raw = compose(replace(LETTER, body_template="word " * 4000 + "x" * 3000 + "é"), NOW).raw
    check_wire(raw)
    assert "x" * 3000 + "é" in parts_of(read(raw))[0]


def test_domains_in_any_script_are_sent_in_ascii() -> None:
    parsed = read(compose(replace(LETTER, to_address="bob@müller.example.org"), NOW).raw)
    assert parsed["To"] == "bob@xn--mller-kva.example.org"
    assert message_id_for("t", "bob@MÜLLER.example.org") == "<t@xn--mller-kva.example.org>"


@pytest.mark.parametrize(
    "to", ["jürg@example.org", "a b@example.org", "a@b@example.org", "x@example.org\r\nBcc: y", ""]
)
def test_an_address_that_not_every_server_takes_is_refused(to: str) -> None:
    with pytest.raises(UnfitLetter):
        compose(replace(LETTER, to_address=to), NOW)


def test_an_address_beyond_ascii_is_refused_with_the_reason() -> None:
    with pytest.raises(UnfitLetter, match="before the @"):
        compose(replace(LETTER, to_address="jürg@example.org"), NOW)


@pytest.mark.parametrize(
    "letter",
    [
        replace(LETTER, subject_template=None),
        replace(LETTER, subject_template="{{ company }}" * 100),
        replace(LETTER, subject_template=" "),
        replace(LETTER, message_id="<a@b>\r\nBcc: x@example.org"),
        replace(LETTER, attachments=(Attachment("a", "a/b", bytes(MOST_ATTACHED_BYTES + 1)),)),
    ],
    ids=["no subject and no thread", "long subject", "blank subject", "bad id", "large attachment"],
)
def test_f4_what_cannot_be_sent_is_an_unfit_letter(letter: Letter) -> None:
    with pytest.raises(UnfitLetter):
        compose(letter, NOW)


def test_d1_a_missing_field_is_named() -> None:
    with pytest.raises(MissingField) as hole:
        compose(replace(LETTER, fields={}), NOW)
    assert hole.value.name == "company"


def test_letters_of_one_template_are_composed_without_reading_it_again() -> None:
    """A claim composes inside its transaction: a template's Markdown is read once for all its letters."""
    body = f"{BODY}\n- a **point** for {{{{ company }}}}\n"
    before = markdown._skeletons.cache_info()
    for n in range(50):
        compose(replace(LETTER, body_template=body, fields={"company": f"C{n}", "id": n}), NOW)
    after = markdown._skeletons.cache_info()
    # The letter's own body; its signature may be new as well.
    assert after.misses - before.misses <= 2
