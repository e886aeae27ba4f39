"""A runner that is off while mailboxes are away: one pass afterwards, or one at each instant (C9-C11, H4)."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.life.conftest import play
from tests.life.scene import ANNA, BEN, CLEO, DAY, HOUR, LATER, MINUTE, MONDAY, UNA, Scene
from tests.support.console import Console
from tests.support.databases import PostgresqlServer
from tests.support.dovecot import Dovecot
from tests.support.post_office import PostOffice, parsed

pytestmark = pytest.mark.proof

TRIO = [f"t{number}@life.example.com" for number in range(12)]
WEIGHTS = (f"{ANNA}=1", f"{BEN}=2", f"{CLEO}=3")
NOTICES = (0, 1, 3, 6, 8, 9)
# When the runner is back, counted from the first act.
BACK = 10.5 * DAY


class Absence:
    """The scene with a second campaign, `trio`, of three senders by weight; each has written to some.

    `instants` are those of the deadlines' ends and of the notices.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.began = LATER
        self.instants: list[datetime] = []
        scene.connect(MONDAY, CLEO, "--daily-limit", "3")
        scene.share(MONDAY, CLEO)
        scene.at(MONDAY, "mailbox", "set", BEN, "--daily-limit", "7")
        scene.at(MONDAY, "mailbox", "set", ANNA, "--daily-limit", "4")
        (scene.console.home / "trio.toml").write_text(
            (scene.console.home / "intro.toml").read_text().replace('"intro"', '"trio"')
        )
        given = [word for one in (ANNA, BEN, CLEO) for word in ("--from", one)]
        weights = [word for one in WEIGHTS for word in ("--weight", one)]
        words = ("campaign", "create", "trio.toml", "--rotate", "weighted")
        scene.at(MONDAY, *words, *given, *weights, by=UNA)
        scene.enrol(MONDAY, "trio", TRIO)
        scene.at(MONDAY, "campaign", "start", "trio", by=UNA)
        scene.passes(MONDAY + MINUTE)
        for mailbox in (ANNA, BEN, CLEO):
            scene.at(MONDAY + HOUR, "mailbox", "set", mailbox, "--daily-limit", "100")

    def fail(self, mailbox: str, instant: datetime) -> None:
        self.scene.refuse_login(mailbox)
        self.scene.at(instant, "mailbox", "test", mailbox, status=5, standing=True)
        self.instants += [instant + days * DAY for days in NOTICES]

    def disconnect(self, mailbox: str, instant: datetime, *others_go_on: str) -> None:
        self.scene.disconnect(mailbox, instant)
        for campaign in others_go_on:
            self.scene.at(instant + MINUTE, "campaign", "resume", campaign, "--without", mailbox)
        self.instants.append(instant + HOUR)


def disconnect_and_failure(absence: Absence) -> None:
    absence.disconnect(ANNA, LATER, "intro", "trio")
    absence.fail(BEN, LATER + 20 * MINUTE)


def two_failures_a_day_apart(absence: Absence) -> None:
    absence.fail(ANNA, LATER)
    absence.fail(CLEO, LATER + DAY)


def nine_days_that_end_within_the_hour_of_another(absence: Absence) -> None:
    absence.fail(ANNA, LATER)
    absence.disconnect(BEN, LATER + 9 * DAY - 30 * MINUTE, "trio")


def follow_ups_that_were_late_before(absence: Absence) -> None:
    """After a first absence of ten days everything that is due is parked already."""
    absence.began = MONDAY + 10 * DAY
    absence.scene.passes(absence.began)
    absence.fail(ANNA, absence.began + MINUTE)


STORIES = (
    disconnect_and_failure,
    pytest.param(two_failures_a_day_apart, marks=pytest.mark.proof),
    pytest.param(nine_days_that_end_within_the_hour_of_another, marks=pytest.mark.proof),
    pytest.param(follow_ups_that_were_late_before, marks=pytest.mark.proof),
)
Story = Callable[[Absence], None]
Settled = dict[str, tuple[str, str, str]]
Letters = list[tuple[str, str, str, bool]]


def settled(scene: Scene, instant: datetime) -> Settled:
    """Each recipient's state, reason and sender."""
    return {
        f"{campaign} {email}": (row["state"], row["reason"], row["sender"])
        for campaign in ("intro", "trio")
        for email, row in scene.people(instant, campaign).items()
    }


def live(scene: Scene, story: Story, *, watched: bool) -> tuple[Settled, Settled, Letters, int]:
    """Live through a story, with a pass at each instant or with none; then one pass, and the days after it.

    Return who is stopped and assigned where after that pass and in the end, every message that the servers
    took since the story began, and how many waited behind `overdue`.
    """
    absence = Absence(scene)
    scene.office.smtp.received.clear()
    story(absence)
    for instant in sorted(absence.instants) if watched else ():
        for only in ("deadlines", "notify"):
            scene.at(instant, "run", "--once", "--only", only, status=None, standing=True)
    back = absence.began + BACK
    scene.passes(back, status=None)
    after = settled(scene, back)
    late = 0
    for campaign in ("intro", "trio"):
        words = ("outbox", "release", "--campaign", campaign)
        late += scene.json(back + MINUTE, *words)["released"]
    for days in (0, 3, 4):
        scene.passes(back + days * DAY + 2 * MINUTE, status=None)
    end = back + 6 * DAY
    return after, settled(scene, end), letters(scene), late


def stopped_and_assigned(people: Settled) -> Settled:
    """Without how far the others have come, which differs until the late messages are released."""
    return {
        name: (state, reason, sender) if state == "stopped" else ("", "", sender)
        for name, (state, reason, sender) in people.items()
    }


def letters(scene: Scene) -> Letters:
    """List the letters except notices: recipient, sender, subject, and whether it is a follow-up."""
    found = []
    for one in scene.office.smtp.received:
        letter = parsed(one.raw)
        if "home.example.net" not in one.recipients[0]:
            found.append(
                (one.recipients[0], one.login, str(letter["Subject"]), letter["In-Reply-To"] is not None)
            )
    return sorted(found)


def compare(watched: Scene, absent: Scene, story: Story) -> None:
    after, end, sent, _ = live(watched, story, watched=True)
    for mailbox in (ANNA, BEN, CLEO):
        absent.take_login(mailbox)
    after_absence, end_of_absence, sent_after, late = live(absent, story, watched=False)
    assert stopped_and_assigned(after_absence) == stopped_and_assigned(after)
    stopped = {name for name, (state, _, _) in after.items() if state == "stopped"}
    assert stopped
    # A user's resume lets late messages go; only what waited for nothing but the runner is parked.
    assert bool(late) is (story is not nine_days_that_end_within_the_hour_of_another)
    assert end_of_absence == end
    # In `intro` each recipient must have had a message, so that none is left for another sender.
    assert {state for name, (state, _, _) in end.items() if "trio" in name} == {"stopped", "finished"}
    assert sent_after == sent
    assert len(set(sent)) == len(sent), "F3: each once"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("story", STORIES)
def test_c11_h4_after_an_absence_everybody_ends_as_with_a_pass_at_each_instant(
    played: Console, begin: Callable[[Console], Scene], story: Story
) -> None:
    compare(begin(played), begin(played), story)


@pytest.fixture
def shared(
    postgresql: PostgresqlServer,
    office: PostOffice,
    dovecot: Dovecot,
    tmp_path: Path,
) -> Iterator[list[Scene]]:
    """The scene twice on PostgreSQL, where a copy would be another database than the one that sent."""
    names = [f"absence_{os.getpid()}_{number}" for number in range(2)]
    scenes = []
    for name in names:
        (tmp_path / name).mkdir()
        console = play(tmp_path / name, office, database=postgresql.make(name))
        scenes.append(Scene(console, office))
    yield scenes
    for name in names:
        postgresql.drop(name)


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_c11_h4_after_an_absence_everybody_ends_alike_on_postgresql_too(shared: list[Scene]) -> None:
    compare(shared[0], shared[1], disconnect_and_failure)
