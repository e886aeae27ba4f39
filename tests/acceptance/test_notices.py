"""Notices of failed mailboxes by command line, over real servers (C10)."""

import os
import signal
import threading
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailrotate.core.values.states import Security
from tests.acceptance.autumn import ALWAYS, CAMPAIGN, MONDAY, start_campaign
from tests.support.console import Console
from tests.support.dovecot import Dovecot
from tests.support.post_office import parsed
from tests.support.scripted_smtp import ScriptedSmtp, answers, hangs
from tests.support.tls import TlsAuthority
from tests.support.webhook_server import Receiver

ROOT, UNA, MAX = "root@home.example.net", "una@home.example.net", "max@home.example.net"
ANNA, BEN = "anna@notices.example.org", "ben@notices.example.org"
CONNECTED_AT = MONDAY - timedelta(minutes=10)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
# A test of the connection is due, and finds that anna's login is refused.
FAILED_AT = MONDAY + timedelta(hours=1)
NO_LOGIN = {"auth": answers("535 5.7.8 Username and password not accepted")}


class Team:
    """Una's mailbox anna and another user's ben, each on a server of its own."""

    def __init__(self, home: Path, dovecot: Dovecot, authority: TlsAuthority, *servers: ScriptedSmtp) -> None:
        self.console = Console(
            home, {"SSL_CERT_FILE": str(authority.ca_file), "MAILROTATE_TIMEOUT_DOT": "20"}
        )
        self.anna, self.ben = servers
        self._dovecot = dovecot

    def begin(self, admin: str = ROOT, annas: str = UNA) -> None:
        there = self.console.at(CONNECTED_AT)
        there.run("init", "--email", admin)
        for user in {annas, MAX} - {admin}:
            there.run("user", "add", user)
        self.connect(ANNA, annas, self.anna)

    def connect(self, address: str, user: str, server: ScriptedSmtp) -> None:
        self._dovecot.add_user(address, "of-two-people")
        where = ("--smtp", f"localhost:{server.port}", "--imap", f"localhost:{self._dovecot.imaps_port}")
        how = ("--security", "tls", "--gap", "0s", "--password-stdin", "--for", user)
        self.console.at(CONNECTED_AT).run("mailbox", "connect", address, *where, *how, input="of-two-people")

    def connect_ben(self) -> None:
        self.connect(BEN, MAX, self.ben)

    def start(self, people: int, sender: str, text: str = CAMPAIGN) -> None:
        """A campaign of the sender's user."""
        user = UNA if sender == ANNA else MAX
        theirs = Console(self.console.home, self.console.env | {"MAILROTATE_USER": user})
        start_campaign(theirs.at(MONDAY), [f"p{n}@example.com" for n in range(people)], sender, text=text)

    def once(self, later: timedelta = timedelta(), *flags: str, status: int | None = 0) -> dict[str, int]:
        there = self.console.at(FAILED_AT + later)
        ran = there.run("run", "--once", "--json", *flags, check_status=status)
        return {name: count for name, count in ran.json().items() if name in ("sent", "notified", "held")}

    @property
    def notices(self) -> list[EmailMessage]:
        """What the servers took for users, those of ben's first."""
        mails = [parsed(raw) for raw in (*self.ben.dots, *self.anna.dots)]
        return [mail for mail in mails if "home.example.net" in str(mail["To"])]


@pytest.fixture
def empty_team(dovecot: Dovecot, authority: TlsAuthority, home: Path) -> Iterator[Team]:
    def server() -> ScriptedSmtp:
        return ScriptedSmtp(security=Security.TLS, tls=authority.server_context())

    with server() as anna, server() as ben:
        yield Team(home, dovecot, authority, anna, ben)


@pytest.fixture
def team(empty_team: Team) -> Team:
    empty_team.begin()
    return empty_team


def test_c10_a_failure_is_mailed_in_the_pass_that_finds_it_and_its_end_too(team: Team) -> None:
    team.connect_ben()
    team.anna.follow(NO_LOGIN)
    assert team.once() == {"sent": 0, "notified": 1, "held": 0}
    (mail,) = team.notices
    assert (mail["To"], mail["Auto-Submitted"]) == (UNA, "auto-generated")
    assert BEN in str(mail["From"])
    assert mail["List-Unsubscribe"] is None
    text = mail.get_content()
    assert "535 5.7.8 Username and password not accepted" in text
    assert f"To reconnect it: mailrotate mailbox reconnect {ANNA}" in text
    assert "2031-03-03 10:00:0" in text
    assert text.count("UTC") == 1
    assert team.once(MINUTE)["notified"] == 0
    team.anna.follow({})
    team.console.at(FAILED_AT + DAY).run(
        "mailbox", "reconnect", ANNA, "--password-stdin", input="of-two-people"
    )
    assert team.once(DAY + MINUTE)["notified"] == 1
    assert team.once(DAY + 2 * MINUTE)["notified"] == 0
    assert [mail["Subject"] for mail in team.notices] == [f"{ANNA} has failed", f"{ANNA} works again"]


def test_c10_only_notify_sends_notices_and_no_other_mail(team: Team) -> None:
    team.connect_ben()
    team.anna.follow(NO_LOGIN)
    team.once(timedelta(), "--only", "test")
    team.start(1, BEN)
    assert team.once(MINUTE, "--only", "send") == {"sent": 1, "notified": 0, "held": 0}
    assert team.once(2 * MINUTE, "--only", "notify") == {"sent": 0, "notified": 1, "held": 0}
    assert team.once(3 * MINUTE)["notified"] == 0


def test_c10_story_46_notices_leave_at_the_daily_limit_and_outside_the_window_and_count_in_the_day(
    team: Team,
) -> None:
    team.connect_ben()
    team.start(4, BEN)
    team.console.at(MONDAY).run("mailbox", "set", BEN, "--daily-limit", "3")
    assert team.console.at(MONDAY).run("run", "--once", "--json").json()["sent"] == 3
    team.anna.follow(NO_LOGIN)
    evening = timedelta(hours=12)
    assert team.once(evening, status=None)["notified"] == 1
    assert [mail["To"] for mail in team.notices] == [UNA]
    boxes = team.console.at(FAILED_AT + evening).run("mailbox", "list", "--json").json()
    assert {box["address"]: box["sent_today"] for box in boxes} == {ANNA: 0, BEN: 4}


def test_c10_story_46_a_provider_limit_holds_a_notice_back_until_it_has_room(team: Team) -> None:
    team.connect_ben()
    team.console.at(MONDAY).run("limits", "set", "imap.day=1")
    team.start(1, BEN)
    assert team.console.at(MONDAY).run("run", "--once", "--json").json()["sent"] == 1
    team.anna.follow(NO_LOGIN)
    assert team.once(status=None)["notified"] == 0
    (waiting,) = team.console.at(FAILED_AT).run("outbox", "list", "--state", "scheduled", "--json").json()
    assert (waiting["kind"], waiting["to"]) == ("notice", UNA)
    why = team.console.at(FAILED_AT).run("why", waiting["id"], "--json").json()
    assert why["binding"] == "provider_limit"
    assert team.once(DAY - timedelta(minutes=50), status=None)["notified"] == 1


def test_c10_a_suppression_of_the_user_holds_no_notice_back(team: Team) -> None:
    team.connect_ben()
    team.console.at(MONDAY).run("suppression", "add", UNA)
    team.anna.follow(NO_LOGIN)
    assert team.once()["notified"] == 1


def test_c10_story_44_notices_about_a_users_own_address_go_to_the_admins(empty_team: Team) -> None:
    empty_team.begin(annas=ANNA)
    empty_team.connect_ben()
    empty_team.anna.follow(NO_LOGIN)
    assert empty_team.once()["notified"] == 1
    assert [mail["To"] for mail in empty_team.notices] == [ROOT]


def test_c10_story_44_where_no_admin_has_another_address_the_working_mailbox_gets_the_notice(
    empty_team: Team,
) -> None:
    empty_team.begin(admin=ANNA, annas=ANNA)
    empty_team.connect_ben()
    empty_team.anna.follow(NO_LOGIN)
    assert empty_team.once()["notified"] == 1
    (mail,) = map(parsed, empty_team.ben.dots)
    assert mail["To"] == BEN
    assert BEN in str(mail["From"])


def test_c10_story_44_a_workspace_with_one_mailbox_calls_its_webhook_once_for_each_notice(
    team: Team, receiver: Receiver
) -> None:
    team.start(1, ANNA, ALWAYS)
    team.console.at(MONDAY).run(
        "webhook", "add", receiver.url, "--event", "mailbox.failed", "--event", "notice.failure"
    )
    team.anna.follow(NO_LOGIN)
    # A minute later each time, because the failure was found a few seconds after its pass began.
    for minutes, days in enumerate((0, 0.5, 1, 1.1, 3)):
        later = days * DAY + minutes * MINUTE
        assert team.once(later, status=5) == {"sent": 0, "notified": 0, "held": 0}
    assert team.anna.dots == [], "no mail at all"
    assert receiver.types() == ["mailbox.failed", *["notice.failure"] * 3]
    assert len({one.json()["failure"] for one in receiver.posted}) == 1
    assert [one.json()["data"]["nth"] for one in receiver.posted[1:]] == ["0", "1", "3"]
    said = team.console.at(FAILED_AT + 3 * DAY).run("status").stdout
    assert f"{ANNA}: nobody could be told by mail that it failed" in said
    assert team.console.at(FAILED_AT + 3 * DAY).run("status", "--json").json()["untold"] == [ANNA]


def test_c10_a_notice_that_is_refused_suppresses_nobody_and_is_told_to_the_admin(team: Team) -> None:
    team.connect_ben()
    team.anna.follow(NO_LOGIN)
    team.ben.follow({"rcpt": [answers("550 5.1.1 no such user"), *[answers("250 2.1.5 taken")] * 9]})
    assert team.once()["notified"] == 0
    assert team.once(MINUTE)["notified"] == 1
    assert team.once(2 * MINUTE)["notified"] == 0
    (mail,) = team.notices
    assert mail["To"] == ROOT
    assert f"The notice to {UNA} about {ANNA} was refused." in mail.get_content()
    assert team.console.at(FAILED_AT).run("suppression", "list", "--json").json() == []
    assert f"the notice to {UNA} was refused" in team.console.at(FAILED_AT + 2 * MINUTE).run("status").stdout


@pytest.mark.timeout(120)
def test_f3_story_45_killed_between_a_notices_dot_and_its_record_it_is_held_and_never_sent_again(
    team: Team,
) -> None:
    team.connect_ben()
    team.anna.follow(NO_LOGIN)
    team.once(timedelta(), "--only", "test")
    arrived = threading.Event()
    team.ben.before_reply = lambda phase: arrived.set() if phase == "dot" else None
    team.ben.follow({"dot": hangs()})
    there = team.console.at(FAILED_AT + MINUTE)
    process = there.process.start("run", "--once", "--only", "notify")
    assert arrived.wait(60)
    # The process itself, and not the one that shows it another time.
    (runner,) = there.run("runner", "list", "--json").json()
    os.kill(runner["pid"], signal.SIGKILL)
    process.communicate()
    team.ben.follow({})
    assert team.once(2 * MINUTE) == {"sent": 0, "notified": 0, "held": 1}
    assert team.once(3 * MINUTE)["notified"] == 0
    assert len(team.notices) == 1
    assert team.once(DAY + MINUTE)["notified"] == 1
