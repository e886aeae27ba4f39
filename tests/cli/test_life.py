"""The life of a connection by command line: failing, reconnecting, disconnecting and coming back (C3-C15)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from tests.support.console import Console
from tests.support.dovecot import Dovecot
from tests.support.post_office import PostOffice, sent_by
from tests.support.program import Completed
from tests.support.recording_smtp import RecordingSmtp
from tests.support.tls import TlsAuthority

ROOT = "root@example.net"
PASSWORD = "of-the-life"
MONDAY = datetime(2031, 3, 3, 12, tzinfo=UTC)
# Two days and a minute after the first messages, with no pass between.
LATER = MONDAY + timedelta(days=2, minutes=1)
HOUR = timedelta(hours=1)
CAMPAIGN = """
name = "intro"
timezone = "UTC"
window = { days = "mon-sun", hours = "00:00-24:00" }
[[steps]]
subject = "A question for {{ first_name }}"
text = "Dear {{ first_name }}, may I ask you something?"
[[steps]]
delay = "2d"
text = "{{ first_name }}, did you see it?"
"""


def address(name: str) -> str:
    return f"{name}@life.example.org"


ANNA, BEN, CLEO = map(address, ("anna", "ben", "cleo"))


class Scene:
    """Anna and Ben in the rotation `intro` with ten people; Anna has written to three of her five."""

    def __init__(self, console: Console, office: PostOffice) -> None:
        self.console = console
        self.office = office

    def at(self, instant: datetime, *args: str, status: int | None = 0, standing: bool = False) -> Completed:
        console = self.console.at(instant, standing_still=standing)
        return console.run(*args, input=PASSWORD, check_status=status)

    def json(self, instant: datetime, *args: str, status: int | None = 0) -> Any:
        return self.at(instant, *args, "--json", status=status).json()

    def refused(self, instant: datetime, *args: str, status: int) -> Any:
        return self.at(instant, *args, "--json", status=status).error()

    def connect(self, instant: datetime, mailbox: str, *more: str, status: int | None = 0) -> Completed:
        where = (
            "--smtp", f"localhost:{self.office.smtp.port}", "--imap", self.office.imap_server,
            "--security", "tls", "--password-stdin", "--gap", "0s",
        )  # fmt: skip
        return self.at(instant, "mailbox", "connect", mailbox, *where, *more, status=status)

    def passes(self, instant: datetime, status: int | None = 0) -> tuple[Any, dict[str, list[str]]]:
        """One pass: its report, and whom each mailbox wrote to, without the notices to the user."""
        before = len(self.office.smtp.received)
        report = self.json(instant, "run", "--once", status=status)
        found = sent_by(self.office.smtp.received[before:]).items()
        people = {mailbox: [one for one in to if one != ROOT] for mailbox, to in found}
        return report, {mailbox: to for mailbox, to in people.items() if to}

    def people(self, instant: datetime, campaign: str = "intro") -> dict[str, Any]:
        return {row["email"]: row for row in self.json(instant, "recipient", "list", campaign)}

    def states(self, instant: datetime, campaign: str = "intro") -> dict[str, int]:
        shown = self.json(instant, "campaign", "show", campaign)
        return {state: count for state, count in shown["recipients"].items() if count}

    def pauses(self, instant: datetime, campaign: str = "intro") -> list[str]:
        found: list[str] = self.json(instant, "campaign", "show", campaign)["pause_reasons"]
        return found

    def of(self, mailbox: str, instant: datetime) -> dict[str, Any]:
        return {email: row for email, row in self.people(instant).items() if row["sender"] == mailbox}

    def refuse_login(self, mailbox: str) -> None:
        self.office.smtp.users[mailbox] = "another password"

    def take_login(self, mailbox: str) -> None:
        self.office.smtp.users[mailbox] = PASSWORD

    def fail(self, mailbox: str, instant: datetime) -> None:
        """The login is refused (535), and a test says so."""
        self.refuse_login(mailbox)
        self.at(instant, "mailbox", "test", mailbox, status=5)

    def thread(self, person: str) -> tuple[EmailMessage, EmailMessage]:
        """The scene's first message to a person, which all stories share, and the newest one."""
        letters = self.letters(person)
        return letters[0], letters[-1]

    def letters(self, person: str) -> list[EmailMessage]:
        return self.office.inbox(person)


@pytest.fixture(scope="module")
def office(dovecot: Dovecot, authority: TlsAuthority) -> Iterator[PostOffice]:
    with RecordingSmtp({}, tls=authority.server_context(), forward=dovecot.deliver) as smtp:
        yield PostOffice(dovecot, smtp)


@pytest.fixture(scope="module")
def played(
    office: PostOffice, authority: TlsAuthority, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Console, list[str]]:
    """Scene S, after its first pass; only ever copied."""
    home = tmp_path_factory.mktemp("life")
    console = Console(home, {"SSL_CERT_FILE": str(authority.ca_file)})
    scene = Scene(console, office)
    before = MONDAY - HOUR
    for mailbox in (ANNA, BEN, CLEO):
        office.add(mailbox, PASSWORD)
    people = [office.add(f"p{number}@life.example.com") for number in range(10)]
    scene.at(before, "init", "--email", ROOT, "--name", "Root Example")
    scene.at(before, "slot", "add", "--for", ROOT, "--count", "2")
    scene.connect(before, ANNA, "--daily-limit", "3")
    scene.connect(before, BEN)
    (home / "intro.toml").write_text(CAMPAIGN)
    rows = "\n".join(f"{person},P{number}" for number, person in enumerate(people))
    scene.at(before, "campaign", "create", "intro.toml", "--from", ANNA, "--from", BEN)
    (home / "people.csv").write_text(f"email,first_name\n{rows}\n")
    scene.at(before, "recipient", "import", "intro", "people.csv")
    scene.at(before, "campaign", "start", "intro")
    report, _ = scene.passes(MONDAY)
    assert report["sent"] == 8
    return console, people


@pytest.fixture
def scene(
    played: tuple[Console, list[str]], office: PostOffice, tmp_path_factory: pytest.TempPathFactory
) -> Scene:
    home = tmp_path_factory.mktemp("story")
    for mailbox in (ANNA, BEN, CLEO):
        office.smtp.users[mailbox] = PASSWORD
    return Scene(played[0].moved(home), office)


def contacted(scene: Scene, instant: datetime = MONDAY + HOUR) -> list[str]:
    """The people whom Anna has written to."""
    return [email for email, row in scene.of(ANNA, instant).items() if row["sent"]]


def test_the_scene_has_three_people_contacted_by_anna_and_two_who_wait(scene: Scene) -> None:
    annas = scene.of(ANNA, MONDAY + HOUR)
    assert sorted(row["sent"] for row in annas.values()) == [0, 0, 1, 1, 1]
    assert len(scene.of(BEN, MONDAY + HOUR)) == 5


def test_c1_story_01_a_refused_login_fails_the_mailbox_and_status_names_the_reconnect(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    shown = scene.json(LATER, "mailbox", "show", ANNA)
    assert shown["state"] == "failed"
    assert "535" in shown["last_error"]
    assert f"mailrotate mailbox reconnect {ANNA}" in scene.at(LATER, "status").stdout


def test_c3_story_04_after_a_reconnect_everybody_goes_on(scene: Scene) -> None:
    people = contacted(scene)
    scene.fail(ANNA, LATER)
    scene.take_login(ANNA)
    back = scene.json(LATER + timedelta(days=2), "mailbox", "reconnect", ANNA, "--password-stdin")
    assert back["people_going_on"] == 5
    report, sent = scene.passes(LATER + timedelta(days=2, minutes=1))
    assert sorted(sent[ANNA]) == sorted(people)
    assert report["stopped"] == 0
    first, second = scene.thread(people[0])
    assert second["In-Reply-To"] == first["Message-ID"], "D5: in the thread"


def test_c15_story_07_08_messages_of_a_failed_mailbox_are_errors_until_it_is_back(scene: Scene) -> None:
    scene.json(LATER, "run", "--once", "--only", "sync")
    scene.at(LATER, "mailbox", "pause", ANNA)
    scene.passes(LATER)
    planned = scene.json(LATER, "outbox", "list", "--state", "scheduled", "--mailbox", ANNA)
    assert planned
    scene.at(LATER, "mailbox", "resume", ANNA)
    scene.fail(ANNA, LATER)
    errors = scene.json(LATER, "outbox", "list", "--state", "error", "--mailbox", ANNA)
    assert [row["id"] for row in errors] == [row["id"] for row in planned]
    assert {row["error"]["class"] for row in errors} == {"connection"}
    assert all("mailbox reconnect" in row["error"]["hint"] for row in errors)
    assert scene.json(LATER, "outbox", "list", "--state", "scheduled", "--mailbox", ANNA) == []
    scene.take_login(ANNA)
    scene.at(LATER + HOUR, "mailbox", "reconnect", ANNA, "--password-stdin")
    again = scene.json(LATER + HOUR, "outbox", "list", "--state", "scheduled", "--mailbox", ANNA)
    assert [row["id"] for row in again] == [row["id"] for row in planned]
    _, sent = scene.passes(LATER + HOUR)
    assert len(sent[ANNA]) == 3
    assert len(set(sent[ANNA])) == 3, "F3: each once"


def test_c7_story_11_12_without_an_able_sender_a_rotation_pauses_until_one_is_back(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    assert scene.pauses(LATER) == []
    scene.fail(BEN, LATER + HOUR)
    assert scene.pauses(LATER + HOUR) == ["no_sender"]
    assert scene.refused(LATER + HOUR, "campaign", "resume", "intro", status=4)["code"]
    scene.take_login(BEN)
    scene.at(LATER + 2 * HOUR, "mailbox", "reconnect", BEN, "--password-stdin", "--resume")
    assert scene.pauses(LATER + 2 * HOUR) == []
    _, sent = scene.passes(LATER + 2 * HOUR)
    assert len(sent.get(BEN, [])) == 5
    assert ANNA not in sent


def test_c4_story_16_17_18_a_disconnect_says_what_follows_and_its_hour_runs(scene: Scene) -> None:
    told = scene.at(LATER, "mailbox", "disconnect", ANNA, "--dry-run")
    assert "intro" in told.stdout + told.stderr
    scene.at(LATER, "mailbox", "disconnect", ANNA, status=7)
    scene.at(LATER, "mailbox", "disconnect", ANNA, "--yes", standing=True)
    assert scene.pauses(LATER) == ["mailbox_disconnected"]
    (row,) = scene.json(LATER, "grace", "list")
    assert (row["mailbox"], row["campaign"], row["kind"]) == (ANNA, "intro", "disconnect")
    assert (row["recipients"], row["ends_at"]) == (5, "2031-03-05T13:01:00Z")


def disconnect(scene: Scene) -> None:
    scene.at(LATER, "mailbox", "disconnect", ANNA, "--yes", standing=True)


def test_c8_story_20_a_resume_is_refused_until_it_goes_on_without_the_mailbox(scene: Scene) -> None:
    disconnect(scene)
    soon = LATER + timedelta(minutes=20)
    scene.at(LATER, "settings", "set", "timezone=Asia/Tokyo")
    error = scene.refused(soon, "campaign", "resume", "intro", status=4)
    assert "campaign sender add intro" in error["hint"]
    assert "until 2031-03-05T13:01:00Z" in error["message"]
    told = scene.at(soon, "campaign", "resume", "intro", status=4).stderr
    assert "without loss, until 2031-03-05 22:01:00 Asia/Tokyo" in told, "people read their own zone"
    assert "--without" in error["hint"]
    scene.at(soon, "campaign", "resume", "intro", "--without", ANNA)
    _, sent = scene.passes(soon)
    assert {login: len(to) for login, to in sent.items()} == {BEN: 5}


def test_c8_story_21_22_a_mailbox_that_is_added_again_within_the_hour_has_lost_nothing(scene: Scene) -> None:
    people = contacted(scene)
    disconnect(scene)
    soon = LATER + timedelta(minutes=20)
    connected = scene.connect(soon, ANNA)
    assert "daily-limit 3" in connected.stdout, "C4: what was reset, and how to set it again"
    assert "campaign sender add intro" in connected.stdout
    scene.refused(soon, "campaign", "resume", "intro", status=4)
    _, sent = scene.passes(soon)
    assert ANNA not in sent
    scene.at(soon, "campaign", "sender", "add", "intro", ANNA)
    scene.at(soon, "campaign", "resume", "intro")
    assert scene.json(soon, "grace", "list") == []
    report, sent = scene.passes(soon + timedelta(minutes=1))
    assert len(sent[ANNA]) == 5
    assert set(people) < set(sent[ANNA])
    assert report["stopped"] == 0


def test_c8_story_23_rejoin_a_second_before_the_end(scene: Scene) -> None:
    disconnect(scene)
    edge = LATER + HOUR - timedelta(seconds=1)
    where = ("--smtp", f"localhost:{scene.office.smtp.port}", "--imap", scene.office.imap_server)
    scene.at(
        edge, "mailbox", "connect", ANNA, *where, "--security", "tls", "--password-stdin", "--gap", "0s",
        "--rejoin", "--resume", standing=True,
    )  # fmt: skip
    assert scene.pauses(edge) == []
    _, sent = scene.passes(LATER + 2 * HOUR)
    assert len(sent[ANNA]) == 5


def test_c9_story_24_at_the_end_itself_the_hour_is_over_whatever_ran(scene: Scene) -> None:
    disconnect(scene)
    edge = LATER + HOUR
    where = ("--smtp", f"localhost:{scene.office.smtp.port}", "--imap", scene.office.imap_server)
    told = scene.at(
        edge, "mailbox", "connect", ANNA, *where, "--security", "tls", "--password-stdin",
        "--rejoin", "--resume", standing=True,
    )  # fmt: skip
    assert "3 recipients were stopped" in told.stdout
    assert "campaign sender add intro" in told.stdout
    assert scene.pauses(edge) == ["mailbox_disconnected"]
    assert scene.states(edge)["stopped"] == 3
    assert len(scene.of(BEN, edge)) == 7


def test_c9_story_25_26_exactly_the_contacted_ones_are_stopped(scene: Scene) -> None:
    people = contacted(scene)
    disconnect(scene)
    after = LATER + HOUR + timedelta(minutes=1)
    # Story 26: nothing ran, and every reader shows it.
    assert scene.states(after) == {"stopped": 3, "active": 5, "queued": 2}
    assert {email for email, row in scene.people(after).items() if row["state"] == "stopped"} == set(people)
    why = scene.json(after, "why", "intro", people[0])
    assert "stopped" in str(why)
    assert scene.json(after, "grace", "list") == []
    report, _ = scene.passes(after)
    assert (report["stopped"], report["reassigned"]) == (3, 2)
    found = scene.people(after)
    assert all(ANNA in found[person]["reason"] for person in people)
    assert len(scene.of(BEN, after)) == 7


def test_c9_story_27_nothing_brings_a_stopped_recipient_back(scene: Scene) -> None:
    people = contacted(scene)
    disconnect(scene)
    after = LATER + HOUR + timedelta(minutes=1)
    one = people[0]
    scene.at(after, "recipient", "remove", "intro", one, "--yes", status=None)
    scene.at(after, "recipient", "add", "intro", one, "--field", "first_name=P", status=4)
    scene.at(after, "recipient", "import", "intro", "people.csv", status=None)
    scene.at(after, "recipient", "assign", "intro", one, "--to-sender", BEN, status=None)
    scene.at(after, "outbox", "retry", "--all", status=None)
    scene.at(after, "mailbox", "remove", ANNA, "--move-to", BEN, "--yes", status=None)
    scene.at(after, "campaign", "resume", "intro", status=None)
    before = {person: len(scene.letters(person)) for person in people}
    scene.passes(after + timedelta(days=5))
    assert scene.states(after + timedelta(days=5))["stopped"] == 3
    assert {person: len(scene.letters(person)) for person in people} == before


def test_c9_story_30_added_again_after_the_hour_it_is_a_new_sender(scene: Scene) -> None:
    disconnect(scene)
    after = LATER + HOUR + timedelta(minutes=1)
    scene.connect(after, ANNA)
    scene.at(after, "campaign", "sender", "add", "intro", ANNA)
    more = [scene.office.add(f"more{number}@life.example.com") for number in range(4)]
    rows = "\n".join(f"{person},M" for person in more)
    console = scene.console.at(after)
    console.run("recipient", "import", "intro", "-", input=f"email,first_name\n{rows}\n")
    found = scene.people(after)
    assert sorted(found[person]["sender"] for person in more) == [ANNA, ANNA, BEN, BEN]
    assert len(scene.of(BEN, after)) == 9
    assert {row["sent"] for row in scene.of(ANNA, after).values() if row["state"] != "stopped"} == {0}


def test_c12_story_36_a_running_deadline_can_be_extended_and_a_passed_one_cannot(scene: Scene) -> None:
    disconnect(scene)
    (moved,) = scene.json(LATER + timedelta(minutes=30), "grace", "extend", ANNA, "--by", "2h")
    assert moved["ends_at"] == "2031-03-05T15:01:00Z"
    assert scene.states(LATER + 2 * HOUR).get("stopped") is None
    late = LATER + 3 * HOUR + timedelta(minutes=1)
    assert scene.refused(late, "grace", "extend", ANNA, "--by", "2h", status=4)["code"] == "grace.none"


def test_c3_c9_story_41_42_the_nine_days(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    scene.take_login(ANNA)
    (row,) = scene.json(LATER, "grace", "list")
    assert (row["kind"], row["recipients"]) == ("failure", 5)
    almost = LATER + timedelta(days=8, hours=21)
    back = scene.json(almost, "mailbox", "reconnect", ANNA, "--password-stdin")
    assert back["people_going_on"] == 5
    assert scene.json(almost, "grace", "list") == []


def test_c9_story_42_reconnected_when_the_nine_days_are_over(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    scene.take_login(ANNA)
    over = LATER + timedelta(days=9, minutes=1)
    scene.at(over, "mailbox", "reconnect", ANNA, "--password-stdin")
    assert scene.states(over)["stopped"] == 3
    assert scene.json(over, "mailbox", "show", ANNA)["state"] == "connected"


def test_c4_story_43_a_disconnect_turns_the_days_into_the_hour(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    late = LATER + timedelta(days=8, hours=23, minutes=45)
    scene.at(late, "mailbox", "disconnect", ANNA, "--yes", standing=True)
    (row,) = scene.json(late, "grace", "list")
    assert (row["kind"], row["ends_at"]) == ("disconnect", "2031-03-14T12:46:00Z")


def test_e3_story_58_a_connected_sender_is_taken_out(scene: Scene) -> None:
    scene.at(LATER, "campaign", "sender", "remove", "intro", BEN, status=7)
    done = scene.json(LATER, "campaign", "sender", "remove", "intro", BEN, "--yes")
    assert (done["finished"], done["reassigned"]) == (5, 0)
    assert scene.states(LATER)["finished"] == 5


def test_c12_story_56_a_stop_ends_the_hour(scene: Scene) -> None:
    disconnect(scene)
    scene.at(LATER + timedelta(minutes=5), "campaign", "stop", "intro", "--yes")
    assert scene.json(LATER + timedelta(minutes=5), "grace", "list") == []
    assert scene.states(LATER + 2 * HOUR) == {"finished": 10}


def test_c11_story_57_a_removal_after_the_hour_finds_stopped_people(scene: Scene) -> None:
    disconnect(scene)
    after = LATER + HOUR + timedelta(minutes=1)
    scene.at(after, "mailbox", "remove", ANNA, "--yes")
    assert scene.states(after) == {"stopped": 3, "active": 5, "queued": 2}


def test_b8_story_57_a_removal_within_the_hour_fails_them(scene: Scene) -> None:
    disconnect(scene)
    soon = LATER + timedelta(minutes=30)
    scene.at(soon, "mailbox", "remove", ANNA, "--yes")
    assert scene.states(soon)["failed"] == 3
    assert scene.json(soon, "grace", "list") == []


def solo(scene: Scene, *people: str) -> None:
    """A campaign of Anna alone, started a day before the scene's first pass would be missed."""
    text = CAMPAIGN.replace('"intro"', '"solo"')
    (scene.console.home / "solo.toml").write_text(text)
    start = MONDAY + timedelta(minutes=10)
    scene.at(start, "mailbox", "set", ANNA, "--daily-limit", "500")
    scene.at(start, "campaign", "create", "solo.toml", "--from", ANNA)
    rows = "\n".join(f"{scene.office.add(person)},S" for person in people)
    scene.console.at(start).run("recipient", "import", "solo", "-", input=f"email,first_name\n{rows}\n")
    scene.at(start, "campaign", "start", "solo")
    scene.passes(start + timedelta(minutes=1))
    scene.at(start, "mailbox", "set", ANNA, "--daily-limit", "3")


SOLO = ("solo0@life.example.com", "solo1@life.example.com")


def test_c6_story_05_06_a_failure_pauses_the_single_sender_campaign_until_a_person_resumes_it(
    scene: Scene,
) -> None:
    solo(scene, *SOLO)
    scene.fail(ANNA, LATER)
    assert scene.pauses(LATER, "solo") == ["mailbox_failed"]
    assert scene.pauses(LATER) == []
    scene.take_login(ANNA)
    told = scene.at(LATER + HOUR, "mailbox", "reconnect", ANNA, "--password-stdin")
    assert "mailrotate campaign resume solo" in told.stdout
    assert scene.pauses(LATER + HOUR, "solo") == ["mailbox_failed"]
    scene.at(LATER + HOUR, "campaign", "pause", "intro")
    scene.at(LATER + HOUR, "mailbox", "reconnect", ANNA, "--password-stdin", "--resume")
    assert scene.pauses(LATER + HOUR, "solo") == []
    assert scene.pauses(LATER + HOUR) == ["by_hand"]


def test_c15_story_09_a_retry_is_refused_while_the_mailbox_is_away(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    scene.passes(LATER)
    errors = scene.json(LATER, "outbox", "list", "--state", "error")
    assert len(errors) > 1
    done = scene.at(LATER, "outbox", "retry", "--all", "--json", status=4).json()
    assert done["retried"] == 0
    assert all("reconnect it first" in each["reason"] for each in done["refused"])


def test_c15_f1_what_becomes_due_while_the_mailbox_is_away_is_an_error_within_its_room(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    for hour in range(4):
        scene.passes(LATER + hour * HOUR, status=None)
    errors = scene.json(LATER, "outbox", "list", "--state", "error", "--mailbox", ANNA)
    assert 3 <= len(errors) <= 6, "what two days have room for"
    assert {row["error"]["class"] for row in errors} == {"connection"}


def test_e1_story_10_a_failed_mailbox_gets_nobody_new(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    more = [scene.office.add(f"ten{number}@life.example.com") for number in range(3)]
    rows = "\n".join(f"{person},T" for person in more)
    scene.console.at(LATER).run("recipient", "import", "intro", "-", input=f"email,first_name\n{rows}\n")
    found = scene.people(LATER)
    assert {found[person]["sender"] for person in more} == {BEN}


def test_c14_story_19_a_single_sender_campaign_has_no_deadline(scene: Scene) -> None:
    solo(scene, *SOLO)
    disconnect(scene)
    assert [row["campaign"] for row in scene.json(LATER, "grace", "list")] == ["intro"]
    month = LATER + timedelta(days=30)
    scene.passes(month, status=None)
    assert scene.states(month, "solo") == {"active": 2}
    assert {row["sender"] for row in scene.people(month, "solo").values()} <= {ANNA, None}


def test_c9_story_29_an_erased_address_is_still_stopped_in_this_campaign_and_in_no_other(
    scene: Scene,
) -> None:
    one = contacted(scene)[0]
    disconnect(scene)
    after = LATER + HOUR + timedelta(minutes=1)
    scene.passes(after)
    error = scene.refused(after, "recipient", "add", "intro", one, "--field", "first_name=P", status=4)
    assert "stopped" in error["message"]


def test_c5_story_34_another_address_in_the_slot_takes_the_single_sender_campaign_on(scene: Scene) -> None:
    solo(scene, *SOLO)
    slot = scene.json(LATER, "mailbox", "show", ANNA)["slot"]
    disconnect(scene)
    soon = LATER + timedelta(minutes=5)
    scene.connect(soon, CLEO, "--slot", slot, status=7)
    told = scene.connect(soon, CLEO, "--slot", slot, "--yes")
    assert f"2 recipients move to {CLEO}" in told.stdout
    assert f"replies to {ANNA} may go unseen" in told.stdout
    scene.at(soon, "campaign", "resume", "solo")
    _, sent = scene.passes(LATER + timedelta(minutes=30))
    assert sorted(sent[CLEO]) == sorted(SOLO)
    first, second = scene.letters(SOLO[0])[-2:]
    assert ANNA in str(first["From"])
    assert second["In-Reply-To"] == first["Message-ID"]
    assert [each["address"] for each in scene.json(soon, "campaign", "sender", "list", "intro")] == [
        ANNA,
        BEN,
    ]


def test_c8_story_35_a_removed_slot_starts_the_hour(scene: Scene) -> None:
    slot = scene.json(LATER, "mailbox", "show", ANNA)["slot"]
    scene.at(LATER, "slot", "remove", slot, "--yes")
    (row,) = scene.json(LATER, "grace", "list")
    assert (row["mailbox"], row["kind"]) == (ANNA, "disconnect")


def test_c12_story_38_a_changed_setting_concerns_later_disconnects(scene: Scene) -> None:
    disconnect(scene)
    scene.at(LATER, "settings", "set", "grace=30m")
    (row,) = scene.json(LATER, "grace", "list")
    assert row["ends_at"] == "2031-03-05T13:01:00Z"
    scene.at(LATER, "mailbox", "disconnect", BEN, "--yes", standing=True)
    ends = {each["mailbox"]: each["ends_at"] for each in scene.json(LATER, "grace", "list")}
    assert ends[BEN] == "2031-03-05T12:31:00Z"


def test_c9_story_39_after_nine_days_the_contacted_are_stopped_and_the_others_go_on(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    for half_day in range(19):
        scene.passes(LATER + half_day * timedelta(hours=12), status=None)
    over = LATER + timedelta(days=9, minutes=1)
    scene.passes(over, status=None)
    assert scene.states(over)["stopped"] == 3
    assert len(scene.of(BEN, over)) == 7
    scene.passes(over + timedelta(days=3), status=None)
    assert all(row["sent"] for row in scene.people(over + timedelta(days=3)).values()), (
        "all ten were written to"
    )


def test_c9_story_40_the_same_after_a_runner_that_was_off(scene: Scene) -> None:
    people = contacted(scene)
    scene.fail(ANNA, LATER)
    over = LATER + timedelta(days=10, hours=12)
    report, _ = scene.passes(over, status=None)
    assert (report["stopped"], report["reassigned"]) == (3, 2)
    assert {email for email, row in scene.people(over).items() if row["state"] == "stopped"} == set(people)


def test_c15_story_55_errors_of_a_failed_mailbox_are_not_moved_to_another(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    scene.passes(LATER)
    errors = scene.json(LATER, "outbox", "list", "--state", "error", "--mailbox", ANNA)
    assert errors
    assert {row["from"] for row in errors} == {ANNA}


def test_f6_story_60_a_clock_that_lags_settles_nothing_and_says_so(scene: Scene) -> None:
    disconnect(scene)
    scene.passes(LATER + timedelta(minutes=30))
    behind = LATER + timedelta(minutes=28)
    assert (
        scene.refused(behind, "campaign", "sender", "add", "intro", ANNA, status=1)["code"] == "clock.behind"
    )


def test_e5_story_50_a_message_and_all_later_ones_leave_from_another_mailbox(scene: Scene) -> None:
    person, other, *_ = contacted(scene)
    scene.at(LATER, "mailbox", "pause", ANNA)
    scene.passes(LATER)
    rows = scene.json(LATER, "outbox", "list", "--mailbox", ANNA, "--state", "scheduled")
    (message,) = [row["id"] for row in rows if row["to"] == person]
    scene.at(LATER, "outbox", "send-from", message, "--from", BEN)
    assert scene.people(LATER)[person]["sender"] == BEN
    assert scene.people(LATER)[other]["sender"] == ANNA
    _, sent = scene.passes(LATER + timedelta(minutes=1))
    assert person in sent[BEN]
    first, second = scene.thread(person)
    assert second["In-Reply-To"] == first["Message-ID"]
    assert BEN in str(second["From"])
    scene.at(LATER + timedelta(minutes=2), "mailbox", "disconnect", ANNA, "--yes")
    assert scene.people(LATER + 2 * HOUR)[person]["state"] != "stopped", "its place has moved with it"
    assert scene.people(LATER + 2 * HOUR)[other]["state"] == "stopped"


def test_e5_story_51_what_is_sent_or_stopped_stays_and_a_mailbox_that_is_away_takes_nothing(
    scene: Scene,
) -> None:
    person = contacted(scene)[0]
    (sent,) = [row["id"] for row in scene.json(LATER, "outbox", "list") if row["to"] == person]
    assert (
        scene.refused(LATER, "outbox", "send-from", sent, "--from", BEN, status=4)["code"] == "outbox.refused"
    )
    scene.at(LATER, "mailbox", "disconnect", BEN, "--yes")
    error = scene.refused(LATER, "outbox", "send-from", sent, "--from", BEN, status=4)
    assert error["code"] == "mailbox.not_connected"


def test_c1_a_mailbox_that_no_test_has_proven_for_long_is_shown_as_not_checked(scene: Scene) -> None:
    (anna, _) = scene.json(MONDAY + timedelta(minutes=20), "mailbox", "list")
    assert anna["last_sent_at"] is not None
    assert anna["last_read_at"] is not None
    assert anna["unchecked_since"] is None
    (anna, _) = scene.json(LATER, "mailbox", "list")
    assert anna["state"] == "connected"
    assert anna["unchecked_since"] == max(anna["last_sent_at"], anna["last_read_at"], anna["last_test_at"])
    assert "not checked since" in scene.at(LATER, "mailbox", "list").stdout
    assert "not checked since" in scene.at(LATER, "mailbox", "show", ANNA).stdout
    scene.at(LATER, "mailbox", "test", ANNA)
    assert scene.json(LATER, "mailbox", "show", ANNA)["unchecked_since"] is None


def test_h1_a_pass_in_which_all_senders_have_failed_exits_5_although_their_campaign_is_paused(
    scene: Scene,
) -> None:
    scene.at(LATER, "mailbox", "pause", ANNA)
    scene.passes(LATER)
    scene.at(LATER, "mailbox", "resume", ANNA)
    for mailbox in (ANNA, BEN):
        scene.fail(mailbox, LATER)
    assert scene.pauses(LATER) == ["no_sender"]
    assert "mailbox reconnect" in scene.json(LATER, "status")["next_command"]
    told = scene.at(LATER, "run", "--once", status=5)
    assert told.stdout.startswith("nothing was sent")
    scene.at(LATER, "campaign", "pause", "intro")
    told = scene.at(LATER, "run", "--once")
    assert told.stdout.startswith("nothing was sent (2 mailboxes have failed)"), "although nothing is due now"


def test_c8_a_second_disconnect_within_the_hour_leaves_the_hour_running(scene: Scene) -> None:
    disconnect(scene)
    scene.connect(LATER + timedelta(minutes=10), ANNA)
    scene.at(LATER + timedelta(minutes=20), "mailbox", "disconnect", ANNA, "--yes")
    (row,) = scene.json(LATER + timedelta(minutes=20), "grace", "list")
    assert (row["recipients"], row["ends_at"]) == (5, "2031-03-05T13:01:00Z")
    assert scene.states(LATER + HOUR)["stopped"] == 3


def test_c8_a_mailbox_that_fails_within_its_hour_and_is_disconnected_has_its_hour_still(scene: Scene) -> None:
    disconnect(scene)
    scene.connect(LATER + timedelta(minutes=10), ANNA)
    scene.fail(ANNA, LATER + timedelta(minutes=15))
    scene.at(LATER + timedelta(minutes=20), "mailbox", "disconnect", ANNA, "--yes")
    assert [row["recipients"] for row in scene.json(LATER + timedelta(minutes=20), "grace", "list")] == [5]


def test_c10_a_failed_mailbox_that_is_added_again_within_its_hour_has_nine_days(scene: Scene) -> None:
    disconnect(scene)
    soon = LATER + timedelta(minutes=10)
    scene.connect(soon, ANNA)
    scene.fail(ANNA, soon)
    scene.at(soon, "campaign", "sender", "add", "intro", ANNA)
    (row,) = scene.json(soon, "grace", "list")
    assert (row["kind"], row["recipients"]) == ("failure", 5)
    assert scene.json(soon, "outbox", "list", "--state", "scheduled", "--mailbox", ANNA) == []
    assert scene.states(soon + timedelta(days=9, minutes=1))["stopped"] == 3


def test_c7_people_who_joined_while_no_sender_was_able_go_on_with_the_first_one(scene: Scene) -> None:
    for mailbox in (ANNA, BEN):
        scene.fail(mailbox, LATER)
    person = scene.office.add("joined@life.example.com")
    scene.at(LATER, "recipient", "add", "intro", person, "--field", "first_name=J")
    assert scene.people(LATER)[person]["sender"] is None
    scene.take_login(BEN)
    scene.at(LATER + HOUR, "mailbox", "reconnect", BEN, "--password-stdin", "--resume")
    assert scene.people(LATER + HOUR)[person]["sender"] == BEN


def test_c7_a_rotation_that_loses_its_last_able_sender_pauses(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    scene.at(LATER, "campaign", "sender", "remove", "intro", BEN, "--yes")
    assert scene.pauses(LATER) == ["no_sender"]


def test_c3_a_reconnect_promises_nothing_to_people_who_wait_for_the_mailbox_to_be_added_again(
    scene: Scene,
) -> None:
    disconnect(scene)
    soon = LATER + timedelta(minutes=10)
    scene.connect(soon, ANNA)
    scene.fail(ANNA, soon)
    scene.take_login(ANNA)
    back = scene.json(soon, "mailbox", "reconnect", ANNA, "--password-stdin")
    assert (back["people_going_on"], back["awaiting"]) == (0, ["intro"])


def test_c12_an_extension_has_a_bound(scene: Scene) -> None:
    disconnect(scene)
    for much in ("99999999d", "91d"):
        error = scene.refused(LATER, "grace", "extend", ANNA, "--by", much, status=2)
        assert error["code"] in ("grace.too_long", "duration.invalid")


def test_c11_every_reader_shows_the_state_after_the_hour(scene: Scene) -> None:
    person = contacted(scene)[0]
    disconnect(scene)
    after = LATER + HOUR + timedelta(minutes=1)
    assert "stopped" in scene.at(after, "contact", "show", person).stdout
    asked = scene.at(after, "campaign", "stop", "intro", status=7)
    assert "7 people" in asked.stdout + asked.stderr
    scene.at(after, "mailbox", "remove", ANNA, "--export", "gone", "--dry-run", status=None)


def test_c3_a_reconnect_tells_one_story_while_its_campaign_stays_paused(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    scene.fail(BEN, LATER)
    scene.take_login(ANNA)
    told = scene.at(LATER + HOUR, "mailbox", "reconnect", ANNA, "--password-stdin").stdout.splitlines()
    assert told[-2:] == [
        f"reconnected {ANNA}; its recipients go on when their campaigns are resumed",
        "campaign 'intro' is still paused, with 5 recipients of this mailbox; to resume it: "
        "mailrotate campaign resume intro",
    ]


def test_c6_a_resume_tells_who_goes_on_from_when_and_who_still_waits_for_what(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    scene.fail(BEN, LATER)
    scene.take_login(ANNA)
    scene.at(LATER, "mailbox", "reconnect", ANNA, "--password-stdin")
    told = scene.at(LATER, "campaign", "resume", "intro", standing=True).stdout.splitlines()
    going_on = "resumed campaign 'intro': 5 recipients go on, the next message at 2031-03-05 12:01:00"
    assert told[0].startswith(going_on)
    assert told[1].startswith(f"  5 recipients still wait for {BEN}: the mailbox has failed: ")
    assert told[1].endswith(f"; to end that: mailrotate mailbox reconnect {BEN}")
    scene.at(LATER, "campaign", "pause", "intro")
    document = scene.json(LATER, "campaign", "resume", "intro")["campaigns"][0]
    assert document["recipients"] == 5
    assert document["next_at"].startswith("2031-03-05T12:01:00")
    assert [(held["address"], held["recipients"]) for held in document["held"]] == [(BEN, 5)]


def test_c8_a_connect_within_the_hour_names_the_way_back_before_and_after(scene: Scene) -> None:
    disconnect(scene)
    soon = LATER + timedelta(minutes=5)
    told = scene.connect(soon, ANNA)
    before = next(line for line in told.stderr.splitlines() if "--rejoin --resume" in line)
    assert before.startswith(f"campaign 'intro' waits for {ANNA} until 2031-03-05 13:01:")
    back = f"mailrotate campaign sender add intro {ANNA}"
    assert f"campaign 'intro' still waits for it: {back}" in told.stdout
    # With the flags that the hint names it is too late now: the error names the command that is left.
    again = scene.connect(soon, ANNA, "--rejoin", "--resume", status=4)
    assert f"hint: {back}" in again.stderr
    scene.at(soon, *back.split()[1:])
    assert "hint: mailrotate mailbox reconnect" in scene.connect(soon, ANNA, status=4).stderr


def test_c8_a_connect_with_rejoin_says_nothing_about_it(scene: Scene) -> None:
    disconnect(scene)
    told = scene.connect(LATER + timedelta(minutes=5), ANNA, "--rejoin", "--resume")
    assert "--rejoin" not in told.stdout + told.stderr
    assert "resumed campaign 'intro'" in told.stdout
