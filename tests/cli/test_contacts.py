"""The contact book from the command line, with a real inbox (B9)."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from mailrotate.core.store import contacts
from mailrotate.core.store.engine import open_store
from tests.support.console import Console
from tests.support.post_office import PostOffice
from tests.support.program import Program
from tests.support.tls import TlsAuthority

ANNA, KIM = "anna@book.example.org", "kim@book.example.com"
LEE, EVE = "lee@elsewhere.example.com", "eve@quiet.example.net"
PASSWORD = "of the contact book"
NOON = datetime(2031, 3, 3, 12, tzinfo=UTC)
CAMPAIGN = """
name = "autumn"
timezone = "UTC"
window = { days = "mon-sun", hours = "00:00-24:00" }
[[steps]]
subject = "A question"
text = "Dear {{ first_name }}, may I ask you something?"
"""


@pytest.fixture
def program(home: Path, authority: TlsAuthority) -> Program:
    return Console(home, {"SSL_CERT_FILE": str(authority.ca_file)}).at(NOON)


def write(post_office: PostOffice, sender: str, subject: str, **headers: str) -> None:
    mail = EmailMessage(SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, ANNA, subject
    mail["Message-ID"] = f"<{subject.replace(' ', '.').encode().hex()}@elsewhere.example>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content("Good morning.")
    post_office.deliver(mail)


def test_b9_a_linked_mailbox_fills_the_timelines(program: Program, post_office: PostOffice) -> None:
    post_office.connect(program, ANNA, PASSWORD, "--gap", "0s")
    post_office.add(KIM)
    assert program.run("mailbox", "crm", ANNA).stdout == f"contact book of {ANNA}: off\n"
    linked = program.run(
        "mailbox", "crm", ANNA, "--on", "--incoming", "all", "--never", "Example.NET", "--json"
    )
    assert linked.json() == {
        "address": ANNA,
        "on": True,
        "incoming": "all",
        "outgoing": "known",
        "never": ["example.net"],
    }
    shown = program.run("mailbox", "show", ANNA, "--json").json()["settings"]["contact_book"]
    assert shown == {"value": "incoming all, outgoing known, never example.net", "from": "own"}

    (program.home / "autumn.toml").write_text(CAMPAIGN)
    program.run("campaign", "create", "autumn.toml", "--from", ANNA)
    program.run("recipient", "add", "autumn", KIM, "--field", "first_name=Kim")
    program.run("campaign", "start", "autumn")
    # A clock that began anew with each command may be behind the start.
    assert program.at(NOON + timedelta(minutes=5)).run("run", "--once", "--json").json()["sent"] == 1
    (letter,) = post_office.inbox(KIM)
    post_office.answer(letter)
    post_office.answer(letter, Auto_Submitted="auto-replied")
    write(post_office, LEE, "Grüße\u202e aus Köln")
    write(post_office, EVE, "Never recorded")
    later = program.at(NOON + timedelta(hours=1))
    assert later.run("run", "--once", "--json").json()["replies"] == 1

    kim = later.run("contact", "show", KIM, "--json").json()
    assert [(e["direction"], e["subject"], e["mailbox"]) for e in kim["timeline"]] == [
        ("incoming", "Re: A question", ANNA),
        ("outgoing", "A question", ANNA),
    ]
    assert kim["timeline"][1]["message_id"] == letter["Message-ID"]
    assert [(one["campaign"], one["state"]) for one in kim["campaigns"]] == [("autumn", "replied")]
    newest = later.run("contact", "show", kim["id"], "--limit", "1").stdout
    assert "Re: A question" in newest
    assert "outgoing" not in newest
    older = later.run("contact", "show", KIM, "--after", kim["timeline"][0]["id"], "--json").json()
    assert older["timeline"] == kim["timeline"][1:]
    listed = later.run("contact", "list", "--json").json()
    assert [(row["email"], row["owner"]) for row in listed] == [(KIM, ANNA), (LEE, ANNA)]
    assert later.run("contact", "show", LEE, "--json").json()["timeline"][0]["subject"] == "Grüße aus Köln"
    events = later.run("log", "--json").stdout
    assert f'"k_{listed[1]["id"][2:]}"' in events
    assert LEE not in events

    later.run("mailbox", "disconnect", ANNA, "--yes")
    refused = later.run("mailbox", "crm", ANNA, "--on", "--json", check_status=4).error()
    assert refused["code"] == "mailbox.disconnected"
    again = ("--password-stdin", "--json", "--imap", post_office.imap_server, "--security", "tls")
    smtp = f"localhost:{post_office.smtp.port}"
    reset = later.run("mailbox", "connect", ANNA, *again, "--smtp", smtp, input=PASSWORD).json()["reset"]
    assert later.run("mailbox", "crm", ANNA, "--json").json()["on"] is False
    later.run(*shlex.split(reset["contact_book"])[1:])
    assert later.run("mailbox", "crm", ANNA, "--json").json() == linked.json()


def test_b9_a6_contacts_are_tagged_corrected_and_given_away(home: Path) -> None:
    program = Console(home)
    program.run("init", "--email", "ada@example.org")
    program.run("user", "add", "ben@example.org")
    store = open_store(program.env["MAILROTATE_DB"])
    with store.writing() as connection:
        contacts.add(connection, [f"p{n}@example.com" for n in range(3)], 1, NOON)
    store.close()
    tagged = program.run("contact", "tag", "Customer", "p0@example.com", "k_2", "--json").json()
    assert tagged == {"tag": "customer", "named": 2, "changed": 2}
    program.run("contact", "tag", "customer", "k_2", "--remove")
    by_tag = program.run("contact", "list", "--tag", "customer").stdout.splitlines()
    assert [line.split() for line in by_tag] == [
        ["ID", "EMAIL", "OWNER", "TAGS"],
        ["k_1", "p0@example.com", "ada@example.org", "customer"],
    ]
    page = program.run("contact", "list", "--after", "k_1", "--limit", "1", "--json").json()
    assert [row["email"] for row in page] == ["p1@example.com"]
    unknown = program.run("contact", "tag", "x", "eve@example.com", "--json", check_status=3).error()
    assert (unknown["code"], unknown["hint"]) == ("contact.none", "mailrotate contact list")

    ben = ("--as", "ben@example.org", "contact", "set", "k_1")
    refused = program.run(*ben, "--owner", "ben@example.org", "--json", check_status=4).error()
    assert refused["code"] == "user.not_allowed"
    changed = program.run(*ben, "--field", "city=Bonn", "--json").json()
    assert (changed["fields"], changed["owner"]) == ({"city": "Bonn"}, "ada@example.org")
    given = program.run("contact", "set", "k_1", "--owner", "ben@example.org", "--field", "city=", "--json")
    assert (given.json()["fields"], given.json()["owner"]) == ({}, "ben@example.org")
    told = [
        event["data"] for event in program.run("log", "--json").json() if event["action"] == "contact.set"
    ]
    assert json.dumps(told).count("Bonn") == 0
    assert [one["contact"] for one in told] == ["k_1", "k_1"]
