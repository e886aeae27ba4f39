"""What comes back decides what goes out: unsubscribes, machines that answer, inboxes that cannot be read."""

import threading
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.acceptance.autumn import CAMPAIGN, MONDAY, people_file, start_campaign
from tests.acceptance.conftest import ANNA, BEN
from tests.proof.mail_host import Gate
from tests.support.dovecot import Dovecot
from tests.support.post_office import PostOffice, sent_by
from tests.support.program import Program

THURSDAY = MONDAY + timedelta(days=3)
FRIDAY = MONDAY + timedelta(days=4)
# One step, sent by Ben on Friday alone.
WINTER = CAMPAIGN[: CAMPAIGN.rindex("[[steps]]")].replace("autumn", "winter").replace("mon-fri", "fri")


def unsubscribe_mail(letter: EmailMessage) -> EmailMessage:
    """What a mail program sends when somebody presses its button."""
    way_out = urlsplit(letter["List-Unsubscribe"].strip("<>"))
    assert way_out.scheme == "mailto"
    mail = EmailMessage(SMTP)
    mail["From"], mail["To"] = str(letter["To"]), way_out.path
    mail["Subject"] = parse_qs(way_out.query)["subject"][0]
    mail.set_content("")
    return mail


def test_what_recipients_and_their_machines_send_back(
    program: Program, post_office: PostOffice, dovecot: Dovecot
) -> None:
    received = post_office.smtp.received
    people = [post_office.add(f"inbox-{number}@example.com") for number in range(8)]
    leaving, away = people[0], people[1]
    closed = threading.Event()

    def hold() -> None:
        if closed.is_set():
            raise ConnectionRefusedError

    def pass_at(instant: datetime) -> tuple[Any, dict[str, list[str]]]:
        before = len(received)
        report = program.at(instant).run("run", "--once", "--json").json()
        return report, sent_by(received[before:])

    gate = Gate(dovecot.imaps_port)
    gate.hold = hold
    with gate:
        before_it = program.at(MONDAY - timedelta(hours=1))
        before_it.run("mailbox", "set", BEN, "--imap", f"localhost:{gate.port}")
        start_campaign(before_it, people[:6], ANNA, BEN)
        start_campaign(before_it, [leaving, people[7]], BEN, text=WINTER, name="winter")
        report, sent = pass_at(MONDAY)
        assert {login: len(to) for login, to in sent.items()} == {ANNA: 3, BEN: 3}
        assert leaving in sent[ANNA]
        assert away in sent[BEN]

        post_office.deliver(unsubscribe_mail(post_office.inbox(leaving)[0]))
        post_office.answer(post_office.inbox(away)[0], Auto_Submitted="auto-replied")
        report, sent = pass_at(MONDAY + timedelta(hours=1))
        assert (report["unsubscribes"], report["replies"], sent) == (1, 0, {})
        there = program.at(MONDAY + timedelta(hours=1))
        suppressed = there.run("suppression", "list", "--json").json()
        assert [row["value"] for row in suppressed] == [leaving], "I4: our mailto unsubscribes"
        states = {
            campaign: {
                person["email"]: person["state"]
                for person in there.run("recipient", "list", campaign, "--json").json()
            }
            for campaign in ("autumn", "winter")
        }
        assert states["autumn"][leaving] == states["winter"][leaving] == "unsubscribed", "I4: everywhere"
        assert states["autumn"][away] == "active", "G1: a machine's answer ends nothing"

        closed.set()
        newcomers = [people[6], post_office.add("inbox-8@example.com")]
        program.at(THURSDAY).run("recipient", "import", "autumn", "-", input=people_file(newcomers))
        report, sent = pass_at(THURSDAY + timedelta(minutes=3))
        assert sorted(sent[ANNA]) == sorted([people[2], people[4], newcomers[0]]), "H5: the other goes on"
        # A reply may be there that cannot be read; who was never written to can have sent none.
        assert sent[BEN] == [newcomers[1]], "H5: follow-ups wait, first messages need not"
        why = program.at(THURSDAY + timedelta(minutes=5)).run("why", "autumn", away, "--json").json()
        assert [gate["gate"] for gate in why["gates"] if not gate["open"]] == ["inbox"], "F5"

        closed.clear()
        report, sent = pass_at(THURSDAY + timedelta(minutes=20))
        assert sorted(sent[BEN]) == sorted([people[1], people[3], people[5]]), "H5: read, then sent"

        report, sent = pass_at(FRIDAY)
        assert sent == {BEN: [people[7]]}, "I4: honoured across campaigns and mailboxes"
        assert len(post_office.inbox(leaving)) == 1
