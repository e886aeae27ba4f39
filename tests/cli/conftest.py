"""Scene S of the life of a connection, played once for a module and copied for each test."""

from collections.abc import Iterator

import pytest

from tests.support.console import Console
from tests.support.dovecot import Dovecot
from tests.support.life import ANNA, BEN, CAMPAIGN, CLEO, HOUR, MONDAY, PASSWORD, ROOT, Scene
from tests.support.post_office import PostOffice
from tests.support.recording_smtp import RecordingSmtp
from tests.support.tls import TlsAuthority


@pytest.fixture(scope="module")
def office(dovecot: Dovecot, authority: TlsAuthority) -> Iterator[PostOffice]:
    with RecordingSmtp({}, tls=authority.server_context(), forward=dovecot.deliver) as smtp:
        yield PostOffice(dovecot, smtp)


@pytest.fixture(scope="module")
def played(
    office: PostOffice, authority: TlsAuthority, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Console, dict[str, int]]:
    """Scene S, after its first pass; only ever copied."""
    home = tmp_path_factory.mktemp("life")
    console = Console(home, {"SSL_CERT_FILE": str(authority.ca_file)})
    scene = Scene(console, office)
    before = MONDAY - HOUR
    for mailbox in (ANNA, BEN, CLEO):
        office.add(mailbox, PASSWORD)
    people = [office.add(f"p{number}@life.example.com") for number in range(10)]
    letters_before = {person: len(office.inbox(person)) for person in people}
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
    return console, letters_before


@pytest.fixture
def scene(
    played: tuple[Console, dict[str, int]], office: PostOffice, tmp_path_factory: pytest.TempPathFactory
) -> Scene:
    home = tmp_path_factory.mktemp("story")
    for mailbox in (ANNA, BEN, CLEO):
        office.smtp.users[mailbox] = PASSWORD
    return Scene(played[0].moved(home), office, played[1])
