"""The scene of the life of a connection, played once and copied for each story."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from mailrotate.core.values.states import Security
from tests.acceptance import autumn
from tests.life.scene import ANNA, BEN, DAY, HOUR, MONDAY, PASSWORD, ROOT, SOLO, USER_OF, Scene
from tests.support.console import Console
from tests.support.dovecot import Dovecot
from tests.support.post_office import PostOffice
from tests.support.recording_smtp import RecordingSmtp


@pytest.fixture(scope="session")
def office(dovecot: Dovecot) -> Iterator[PostOffice]:
    with RecordingSmtp({}, security=Security.NONE, forward=dovecot.deliver) as smtp:
        yield PostOffice(dovecot, smtp, Security.NONE)


@pytest.fixture(scope="session")
def played(office: PostOffice, tmp_path_factory: pytest.TempPathFactory) -> Console:
    """The scene after its first pass; only ever copied."""
    return play(tmp_path_factory.mktemp("life"), office)


@pytest.fixture(scope="session")
def played_with_solo(office: PostOffice, tmp_path_factory: pytest.TempPathFactory) -> Console:
    """The same, with a campaign that Anna sends alone and began a day earlier."""
    return play(tmp_path_factory.mktemp("solo"), office, SOLO)


def play(
    home: Path,
    office: PostOffice,
    solo: Sequence[str] = (),
    database: str = "",
    user_of: Mapping[str, str] = USER_OF,
) -> Console:
    """Play the scene, in a file or in a PostgreSQL database, whose clock stays where it is."""
    console = Console(home)
    if database:
        console.env["MAILROTATE_DB"] = database
    scene = Scene(console, office, user_of)
    before = MONDAY - DAY - HOUR
    for mailbox in USER_OF:
        office.add(mailbox, PASSWORD)
    console.at(before).run("init", "--email", ROOT, "--name", "Root Example")
    scene.at(before, "settings", "set", "database_clock_tolerance=off")
    scene.at(before, "plan", "set", "--shared", "on")
    for user in dict.fromkeys(USER_OF.values()):
        scene.at(before, "user", "add", user)
    for mailbox in (ANNA, BEN):
        scene.connect(before, mailbox)
    scene.share(before, BEN)
    if solo:
        scene.start_campaign(before, "solo", solo, ANNA)
        assert scene.passes(MONDAY - DAY)[1] == {ANNA: list(solo)}
    scene.at(MONDAY - HOUR, "mailbox", "set", ANNA, "--daily-limit", "3")
    people = [f"p{number}@life.example.com" for number in range(10)]
    (home / "people.csv").write_text(autumn.people_file(people))
    scene.start_campaign(MONDAY - HOUR, "intro", people, ANNA, BEN)
    _, sent = scene.passes(MONDAY)
    assert {mailbox: len(to) for mailbox, to in sent.items()} == {ANNA: 3, BEN: 5}
    return console


@pytest.fixture
def begin(office: PostOffice, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Console], Scene]:
    """Copy a scene, with logins that all work."""

    def begun(played: Console) -> Scene:
        for mailbox in USER_OF:
            office.add(mailbox, PASSWORD)
        return Scene(played.moved(tmp_path_factory.mktemp("story")), office)

    return begun


@pytest.fixture
def scene(played: Console, begin: Callable[[Console], Scene]) -> Scene:
    return begin(played)


@pytest.fixture
def scene_with_solo(played_with_solo: Console, begin: Callable[[Console], Scene]) -> Scene:
    return begin(played_with_solo)
