"""What people write, and what the commands say of it: texts, signatures, links, attachments (D1, D7, B3)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import update

from mailrotate.core.store import tables as t
from mailrotate.sandbox.server import Sandbox
from tests.sandbox.clients import opened
from tests.support.console import Console
from tests.support.inside import inside
from tests.support.post_office import parsed

ANNA, BEN = "anna@sandbox.example.org", "ben@sandbox.example.org"
ALWAYS = 'timezone = "UTC"\nwindow = { days = "mon-sun", hours = "00:00-24:00" }\n'
STEP = '[[steps]]\nsubject = "{}"\nbody = "body.md"\n'


class Author(Console):
    """A person with a campaign file and two connected mailboxes."""

    sandbox: Sandbox

    def write(self, body: str, subject: str = "Hello", top: str = ALWAYS, rest: str = "") -> None:
        (self.home / "body.md").write_text(body, encoding="utf-8")
        (self.home / "c.toml").write_text(f'name = "c"\n{top}{STEP.format(subject)}{rest}', encoding="utf-8")

    def problems(self) -> list[str]:
        error = self.run("campaign", "check", "c.toml", "--json", check_status=2).error()
        return [str(problem) for problem in error.get("problems", [error["message"]])]

    def warnings(self) -> list[str]:
        return [str(one) for one in self.run("campaign", "check", "c.toml", "--json").json()["warnings"]]

    def begin(self, people: str = "email\nkim@example.com\n") -> None:
        self.run("campaign", "create", "c.toml", "--from", ANNA)
        self.run("recipient", "import", "c", "-", input=people)
        self.run("campaign", "start", "c")

    def received(self, address: str) -> list[EmailMessage]:
        with opened(self.sandbox.info, address) as mailbox:
            mailbox.folder.set("INBOX")
            return [parsed(message.obj.as_bytes()) for message in mailbox.fetch()]


@pytest.fixture
def author(tmp_path: Path) -> Author:
    return Author(tmp_path, {"MAILROTATE_PASSWORD": "try-me"})


@pytest.fixture
def sender(author: Author, home: Path) -> Iterator[Author]:
    with Sandbox(password="try-me") as sandbox:
        smtp, imap = sandbox.info.smtp, sandbox.info.imap
        for address, name in ((ANNA, "Anna Example"), (BEN, "Ben Example")):
            author.run(
                *("mailbox", "connect", address, "--security", "none", "--gap", "0s", "--sender-name", name),
                *("--smtp", f"{smtp.host}:{smtp.port}", "--imap", f"{imap.host}:{imap.port}"),
            )
        author.sandbox = sandbox
        yield author


def test_row_01_the_recipients_address_is_a_field_in_subject_body_and_signature(sender: Author) -> None:
    sender.write("Your address is {{ email }}.\n", subject="For {{ email | default('none') }}")
    (sender.home / "s.md").write_text("{{ sender_first_name }} to {{ email }}, {{ sender_email }}")
    sender.run("mailbox", "signature", "add", ANNA, "work", "--body", "s.md", "--main")
    assert sender.run("campaign", "check", "c.toml", "--json").json()["fields"] == []
    sender.begin("email\nk1@example.com\nk2@example.com\n")
    sender.run("recipient", "add", "c", "k3@example.com")
    assert sender.run("run", "--once", "--json").json()["sent"] == 3
    for address in ("k1@example.com", "k2@example.com", "k3@example.com"):
        (letter,) = sender.received(address)
        assert letter["Subject"] == f"For {address}"
        text = letter.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has both parts
        assert text.startswith(f"Your address is {address}.")
        assert f"-- \nAnna to {address}, {ANNA}" in text
    tested = sender.run("campaign", "test", "c", "--to", "me@example.com", "--json").json()
    assert tested["subject"] == "For k1@example.com"


@pytest.mark.parametrize("name", ["email", "sender_name", "sender_email"])
def test_row_01_a_field_that_every_letter_has_is_not_set_by_hand(sender: Author, name: str) -> None:
    sender.write("Hi")
    sender.run("campaign", "create", "c.toml")
    refused = sender.run(
        "recipient", "add", "c", "kim@example.com", "--field", f"{name}=x", "--json", check_status=2
    )
    assert refused.error()["code"] == "field.reserved"


def unfit(author: Author) -> None:
    """A campaign whose people lack a field that its text needs, as an earlier version let them in."""
    author.write("Hi {{ city }}")
    author.begin("email,city\nk1@example.com,x\nk2@example.com,x\nk3@example.com,x\n")
    with inside(author, ANNA) as workspace, workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(fields="{}"))


def test_row_02_content_errors_are_counted_and_named_with_the_field_and_the_command(sender: Author) -> None:
    unfit(sender)
    ran = sender.run("run", "--once", "--json")
    assert (ran.json()["failed"], ran.json()["sent"]) == (3, 0)
    assert "the field 'city' is missing" in ran.stderr
    assert "mailrotate campaign edit c FILE" in ran.stderr
    status = sender.run("status")
    assert "step 1 of c cannot be written for 3 recipients: the field 'city' is missing" in status.stdout
    assert "next: mailrotate campaign edit c FILE" in status.stdout
    for subject in (("c",), ("m_1",), ("c", "k1@example.com")):
        why = sender.run("why", *subject).stdout
        assert "the field 'city' is missing" in why
        assert "next: mailrotate campaign edit c FILE" in why
        assert "campaign resume" not in why
    shown = sender.run("outbox", "show", "m_1", "--json").json()
    assert shown["error"]["hint"] == "mailrotate campaign edit c FILE, then mailrotate outbox retry m_1"

    sender.write("Hi {{ city | default('there') }}")
    edited = sender.run("campaign", "edit", "c", "c.toml")
    assert "mailrotate campaign resume c" in edited.stderr
    sender.run("campaign", "resume", "c")
    sender.run("outbox", "retry", "--campaign", "c")
    assert sender.run("run", "--once", "--json").json()["sent"] == 3
    assert "cannot be written" not in sender.run("status").stdout


def test_row_02_one_content_error_that_pauses_nothing_is_named_too(sender: Author) -> None:
    sender.write("Hi {{ city }}")
    sender.begin("email,city\nk1@example.com,x\nk2@example.com,x\n")
    with inside(sender, ANNA) as workspace, workspace.store.writing() as connection:
        connection.execute(update(t.recipient).where(t.recipient.c.id == 1).values(fields="{}"))
    ran = sender.run("run", "--once")
    assert ran.stdout.startswith("1 sent, 1 failed")
    assert "step 1 of c cannot be written for 1 recipient: the field 'city' is missing" in ran.stderr
    assert "cannot be written for some: the field 'city'" in sender.run("why", "c").stdout
    assert "step 1 of c cannot be written" in sender.run("status").stdout


def test_row_13_a_signature_is_checked_when_it_is_added_and_edited(sender: Author) -> None:
    written = "Anna {{ first_name }}\n[site](www.example.org)\n![logo](logo.png)\n<b>Anna</b>\n"
    for verb in ("add", "edit"):
        if verb == "edit":
            sender.run("mailbox", "signature", "add", ANNA, "work", "--body", "-", input="Anna")
        refused = sender.run(
            *("mailbox", "signature", verb, ANNA, "work", "--body", "-", "--json"),
            input=written,
            check_status=2,
        ).error()
        assert refused["code"] == "signature.invalid"
        assert [problem.partition(":")[0] for problem in refused["problems"]] == [
            *("line 1", "line 2", "line 3", "line 4"),
        ]
    warned = sender.run("mailbox", "signature", "edit", ANNA, "work", "--body", "-", input="Hi {name}")
    assert "warning: line 1: '{name}' is not a field" in warned.stderr


def test_row_13_a_signature_of_an_earlier_version_is_sent_as_it_was_written(sender: Author) -> None:
    sender.write("Hi")
    sender.run("mailbox", "signature", "add", ANNA, "work", "--main", "--body", "-", input="Anna")
    with inside(sender, ANNA) as workspace, workspace.store.writing() as connection:
        connection.execute(update(t.signature).values(body="Anna {{ first_name }} {% x"))
    sender.begin()
    assert "-- \nAnna {{ first_name }} {% x" in sender.run("campaign", "preview", "c").stdout


def test_row_14_links_that_are_none_are_mistakes_with_their_line(author: Author) -> None:
    author.write(
        "Read [our page][1] or [this][p].\n"
        "Call [us](tel:+49 30 123456). Read [that](https://example.org/a b). Read [page] (https://example.org)."
        "\n\n[1]: www.example.org\n[p]: {{ link }}\n"
    )
    places = [problem.split(": ")[0] for problem in author.problems()]
    assert places == ["body.md:1"] * 2 + ["body.md:2"] * 3 + ["body.md:4", "body.md:5"]


def test_row_15_dashes_under_a_paragraph_make_no_heading(sender: Author) -> None:
    sender.write("Looking forward to it.\n-- \nAnna\n")
    sender.begin()
    shown = sender.run("campaign", "preview", "c", "--json").json()
    assert "<p>Looking forward to it.<br />" in shown["html"]
    assert shown["text"].startswith("Looking forward to it.\n-- \nAnna\n")


def test_row_16_bare_text_stays_as_written_or_is_warned_about(sender: Author) -> None:
    body = (
        "See https://example.org/_foo_/bar and 10*20*30 cm, file __init__.py\n"
        "https://example.org/*/x/*/y\n_anna_@example.org\n"
    )
    sender.write(body)
    assert sender.warnings() == []
    sender.begin()
    shown = sender.run("campaign", "preview", "c", "--json").json()
    assert shown["text"].startswith(body)
    assert "<em>" not in shown["html"]
    sender.write("fine\nthe file __init__\n")
    (warning,) = sender.warnings()
    assert warning.startswith("body.md:2: '__init__' becomes bold")


def test_row_16_the_backslashes_of_a_path_are_warned_about_where_they_are_dropped(author: Author) -> None:
    author.write("See C:\\_new\\list and\n\\\\server\\files,\n\nC:\\temp\\x, 5 \\* 3 and `C:\\_new`.\n")
    assert [warning.partition(";")[0] for warning in author.warnings()] == [
        "body.md:1: the backslash before '_' is dropped",
        "body.md:2: the backslash before '\\' is dropped",
    ]


def test_row_17_attachments_have_their_registered_types(sender: Author) -> None:
    names = [
        "a.docx",
        "a.xlsx",
        "a.pptx",
        "a.odt",
        "a.ics",
        "a.md",
        "A.DOCX",
        "a.vcf",
        "a.tar.gz",
        "a.pdf",
        "a",
    ]
    for name in names:
        (sender.home / name).write_bytes(b"content")
    sender.write("Hi", rest=f"attach = {names}\n")
    sender.begin()
    sender.run("run", "--once")
    (letter,) = sender.received("kim@example.com")
    office = "application/vnd.openxmlformats-officedocument"
    assert [(part.get_filename(), part.get_content_type()) for part in letter.iter_attachments()] == [
        ("a.docx", f"{office}.wordprocessingml.document"),
        ("a.xlsx", f"{office}.spreadsheetml.sheet"),
        ("a.pptx", f"{office}.presentationml.presentation"),
        ("a.odt", "application/vnd.oasis.opendocument.text"),
        ("a.ics", "text/calendar"),
        ("a.md", "text/markdown"),
        ("A.DOCX", f"{office}.wordprocessingml.document"),
        ("a.vcf", "text/vcard"),
        ("a.tar.gz", "application/gzip"),
        ("a.pdf", "application/pdf"),
        ("a", "application/octet-stream"),
    ]


@pytest.mark.parametrize("country", ["GB", "CA", "CH", "DE"])
def test_row_18_a_country_whose_regions_have_more_holidays_is_warned_about(
    author: Author, country: str
) -> None:
    author.write("b", top=f'holidays = "{country}"\n')
    (warning,) = author.warnings()
    assert warning.startswith(f'c.toml:2: holidays: "{country}" has only the holidays of the whole country')
    assert f'name it: "{country}-' in warning


@pytest.mark.parametrize("holidays", ['"GB-ENG"', '"SE"', '["2026-12-24"]'])
def test_row_18_a_region_or_a_list_of_days_needs_no_warning(author: Author, holidays: str) -> None:
    author.write("b", top=f"holidays = {holidays}\n")
    assert author.warnings() == []


def test_row_21_control_characters_of_a_text_do_not_reach_the_mail(sender: Author) -> None:
    sender.write("Hello\x0bnext\x1b[ line\u2028after\x0c line separator\n", subject="a\\u001b b\\u000bc")
    (sender.home / "s.md").write_text("Anna\x1b\u2028Example")
    sender.run("mailbox", "signature", "add", ANNA, "work", "--body", "s.md", "--main")
    sender.begin()
    shown = sender.run("campaign", "preview", "c", "--json").json()
    assert shown["text"].startswith("Hello\nnext[ line\nafter\nline separator\n\n-- \nAnna\nExample\n")
    assert shown["subject"] == "a b c"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("> {{ note }}", "> one\n> two"),
        ("- {{ note }}\n- b", "- one\n  two\n- b"),
        ("1) {{ note }}", "1) one\n   two"),
        ("> - {{ note }}", "> - one\n>   two"),
        ("```\n{{ note }}\n```", "    one\n    two"),
        ("{{ note }}", "one\ntwo"),
    ],
)
def test_row_22_a_value_of_two_lines_stays_in_its_quote_or_item(sender: Author, body: str, text: str) -> None:
    sender.write(body)
    sender.begin('email,note\nkim@example.com,"one\ntwo"\n')
    assert sender.run("campaign", "preview", "c", "--json").json()["text"].startswith(f"{text}\n\n")


def test_tables_and_inline_html_are_mistakes_with_their_line(author: Author) -> None:
    author.write("Hi\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nsome <b>bold</b> words\n")
    table, html = author.problems()
    assert table.startswith("body.md:3: a table arrives as characters")
    assert html.startswith("body.md:7: HTML arrives as characters")


def test_unusable_placeholders_are_named_with_line_and_fix(author: Author) -> None:
    author.write("Hi {{ first name }}\n\n{{ 2nd_line }}\n")
    first, second = author.problems()
    assert first.startswith("body.md:1: '{{ first name }}'")
    assert first.endswith("write {{ first_name }}")
    assert second.startswith("body.md:3: '{{ 2nd_line }}'")
    assert second.endswith("write {{ field_2nd_line }}")
    author.write("Hi\n{{{first_name}}}")
    assert author.problems() == ["body.md:2: '{{{first_name}}}' has three braces; write {{ first_name }}"]


def test_the_placeholders_of_other_programs_are_warned_about_with_the_fix(author: Author) -> None:
    others = [
        "{first_name}",
        "${first_name}",
        "{!first_name}",
        "*|FIRST_NAME|*",
        "%first_name%",
        "%%First_Name%%",
    ]
    author.write("\n\n".join([*others, "<<first_name>>"]))
    fix = "is not a field and appears as it is; write {{ first_name }}"
    warnings = author.warnings()
    for line, warning in zip(range(1, 14, 2), warnings, strict=True):
        assert (warning.startswith(f"body.md:{line}: "), warning.endswith(fix)) == (True, True), warning
    author.write("100% sure, 5%_x, 50%off%sale, https://example.org/%C3%BC%FC%20x, a<<b, {{ first_name }}")
    assert author.warnings() == []


def test_d7_a_preview_says_which_step_and_recipient_and_shows_another_sender(sender: Author) -> None:
    sender.write("From {{ sender_name }}", rest='[[steps]]\ndelay = "3d"\ntext = "Again"\n')
    sender.run("campaign", "create", "c.toml", "--from", ANNA, "--from", BEN)
    assert "step 1 of 2\n" in sender.run("campaign", "preview", "c").stdout
    sender.run("recipient", "import", "c", "-", input="email\nk1@example.com\nk2@example.com\n")
    shown = sender.run("campaign", "preview", "c", "--to", "k2@example.com", "--step", "2").stdout
    assert "step 2 of 2, recipient 2 of 2" in shown
    document = sender.run("campaign", "preview", "c", "--from", BEN, "--json").json()
    assert (document["step"], document["steps"], document["person"], document["people"]) == (1, 2, 1, 2)
    assert (document["from"], document["text"].splitlines()[0]) == (BEN, "From Ben Example")
    tested = sender.run("campaign", "test", "c", "--to", "me@example.com", "--from", BEN, "--json").json()
    assert (tested["state"], tested["from"]) == ("sent", BEN)
    for verb in (("preview", "c"), ("test", "c", "--to", "me@example.com")):
        refused = sender.run("campaign", *verb, "--from", "eve@example.org", "--json", check_status=3)
        assert refused.error()["code"] == "mailbox.none"


def test_d7_a_preview_from_a_mailbox_that_is_not_a_sender_is_refused(sender: Author) -> None:
    sender.write("Hi")
    sender.run("campaign", "create", "c.toml", "--from", ANNA)
    refused = sender.run("campaign", "preview", "c", "--from", BEN, "--json", check_status=4)
    assert refused.error()["code"] == "campaign.not_a_sender"


def test_d7_a_test_that_waits_for_the_next_day_warns_and_exits_8(sender: Author) -> None:
    sender.write("Hi")
    sender.run("campaign", "create", "c.toml", "--from", ANNA)
    sender.run("mailbox", "set", ANNA, "--daily-limit", "1")
    sender.run("campaign", "test", "c", "--to", "me@example.com")
    waiting = sender.run("campaign", "test", "c", "--to", "me@example.com", check_status=8)
    assert "waits in the outbox: 1 of 1 sent today" in waiting.stdout
    assert "warning: nothing was sent yet" in waiting.stderr
    assert "mailrotate why m_2" in waiting.stderr
    assert sender.run("campaign", "test", "c", "--to", "me@example.com", "--json", check_status=8).json()[
        "waits_because"
    ]


def test_d4_start_on_a_saturday_says_when_the_gates_open(sender: Author) -> None:
    saturday = datetime(2027, 1, 2, 12, 0, tzinfo=UTC)
    window = 'timezone = "UTC"\nwindow = { days = "mon-fri", hours = "09:00-17:00" }\n'
    sender.write("Hi", top=window)
    sender.run("campaign", "create", "c.toml", "--from", ANNA)
    sender.run("recipient", "add", "c", "kim@example.com")
    started = sender.at(saturday).run("campaign", "start", "c")
    assert "first messages go out from 2027-01-04 09:00:00 UTC\n" in started.stdout


def test_d4_start_with_a_paused_sender_says_what_it_waits_for(sender: Author) -> None:
    sender.write("Hi")
    sender.run("campaign", "create", "c.toml", "--from", ANNA)
    sender.run("recipient", "add", "c", "kim@example.com")
    sender.run("mailbox", "pause", ANNA)
    started = sender.run("campaign", "start", "c", "--json").json()
    assert started["first_send_at"] is None
    sender.run("campaign", "pause", "c")
    assert "the mailbox is paused" in sender.run("why", ANNA).stdout


def test_b3_while_the_users_name_is_a_guess_each_mailbox_guesses_from_its_own_address(
    sender: Author,
) -> None:
    for address in (ANNA, BEN):
        sender.run("mailbox", "set", address, "--sender-name", "")
    sender.run("user", "set", ANNA, "--name", "anna")
    sender.write("Hi")
    made = sender.run("campaign", "create", "c.toml", "--from", ANNA, "--from", BEN)
    assert "warning" not in made.stderr
    names = [sender.run("campaign", "preview", "c", "--from", who, "--json").json() for who in (ANNA, BEN)]
    assert [one["from_name"] for one in names] == ["anna", "ben"]

    sender.run("user", "set", ANNA, "--name", "Anna Example")
    sender.run("recipient", "add", "c", "kim@example.com")
    started = sender.run("campaign", "start", "c")
    assert f"warning: recipients see Anna Example <{BEN}>; to change the name:" in started.stderr
    assert f"mailrotate mailbox set {BEN} --sender-name NAME" in started.stderr
    assert f"<{ANNA}>" not in started.stderr
    assert (
        sender.run("campaign", "preview", "c", "--from", BEN, "--json").json()["from_name"] == "Anna Example"
    )


def test_f2_a_test_of_mailboxes_that_all_fail_exits_5_and_one_that_passes_makes_it_8(sender: Author) -> None:
    sender.run("mailbox", "test", "--all")
    sender.sandbox.stop()
    sender.run("mailbox", "test", ANNA, check_status=5)
    sender.run("mailbox", "test", "--all", check_status=5)
