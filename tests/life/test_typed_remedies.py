"""Each command that `why`, `status` and errors name is typed in a copy of the workspace (F5), and works."""

import re
import shlex
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count

import pytest

from tests.life.conftest import play
from tests.life.scene import ANNA, BEN, CLEO, DAY, HOUR, LATER, MINUTE, MONDAY, ROOT, UNA, USER_OF, Scene
from tests.life.test_stand_ins import DUE_AT, lose, stepwise
from tests.support.console import Console
from tests.support.post_office import PostOffice

pytestmark = pytest.mark.proof

ALL_OF_UNA = dict.fromkeys(USER_OF, UNA)


@pytest.fixture(scope="module")
def played(office: PostOffice, tmp_path_factory: pytest.TempPathFactory) -> Console:
    """The scene in which Una is an admin and the user of every mailbox."""
    console = play(tmp_path_factory.mktemp("una"), office, user_of=ALL_OF_UNA)
    scene = Scene(console, office)
    scene.at(MONDAY, "user", "set", UNA, "--role", "admin")
    scene.at(MONDAY, "slot", "add", "--for", UNA, "--count", "2")
    return console


@pytest.fixture
def scene(scene: Scene) -> Scene:
    scene.user_of = ALL_OF_UNA
    return scene


def solo(scene: Scene) -> None:
    """A campaign with Anna alone, and one person."""
    scene.start_campaign(LATER, "solo", ["p0@life.example.com"], ANNA)


def disconnect(scene: Scene, *boxes: str) -> None:
    for box in boxes:
        scene.disconnect(box)


def failed(scene: Scene) -> datetime:
    solo(scene)
    scene.fail(ANNA)
    scene.passes(LATER)
    return LATER


def failed_and_then_disconnected(scene: Scene) -> datetime:
    failed(scene)
    disconnect(scene, ANNA)
    return LATER + MINUTE


def all_failed(scene: Scene) -> datetime:
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.passes(LATER, status=5)
    return LATER


def within_the_hour(scene: Scene) -> datetime:
    solo(scene)
    scene.at(LATER, "mailbox", "pause", ANNA)
    scene.passes(LATER)
    disconnect(scene, ANNA)
    return LATER + MINUTE


def all_within_the_hour(scene: Scene) -> datetime:
    disconnect(scene, ANNA, BEN)
    return LATER + MINUTE


def connected_but_not_added_again(scene: Scene) -> datetime:
    within_the_hour(scene)
    scene.connect(LATER + MINUTE, ANNA)
    return LATER + 2 * MINUTE


def one_back_of_two_within_the_hour(scene: Scene) -> datetime:
    disconnect(scene, ANNA, BEN)
    scene.connect(LATER + MINUTE, BEN)
    return LATER + 2 * MINUTE


def after_the_hour(scene: Scene) -> datetime:
    within_the_hour(scene)
    return LATER + HOUR


def all_gone_after_the_hour(scene: Scene) -> datetime:
    # The mailbox that can be added in their place.
    scene.connect(LATER, CLEO)
    disconnect(scene, ANNA, BEN)
    return LATER + HOUR


def going_on_without_it(scene: Scene) -> datetime:
    disconnect(scene, ANNA)
    scene.at(LATER, "campaign", "resume", "intro", "--without", ANNA)
    scene.passes(LATER + MINUTE)
    return LATER + MINUTE


def locked(scene: Scene) -> datetime:
    scene.at(LATER, "user", "lock", UNA, "--yes")
    return LATER


def removed_slot(scene: Scene) -> datetime:
    solo(scene)
    users = scene.json(LATER, "slot", "list")["users"]
    (slot,) = (one["id"] for user in users for one in user["slots"] if one["mailbox"] == ANNA)
    scene.at(LATER, "slot", "remove", slot, "--yes")
    return LATER + MINUTE


def a_steps_sender_away(scene: Scene) -> datetime:
    stepwise(scene)
    lose(scene, "disconnected", DUE_AT)
    scene.passes(DUE_AT, status=5)
    return DUE_AT


def overdue(scene: Scene) -> datetime:
    much_later = LATER + 20 * DAY
    scene.passes(much_later)
    return much_later


def foreseen_to_be_overdue(scene: Scene) -> datetime:
    return LATER + 20 * DAY


SITUATIONS = (
    failed, failed_and_then_disconnected, all_failed, within_the_hour, all_within_the_hour,
    connected_but_not_added_again, one_back_of_two_within_the_hour, after_the_hour, all_gone_after_the_hour,
    going_on_without_it, locked, removed_slot, a_steps_sender_away, overdue,
    foreseen_to_be_overdue,
)  # fmt: skip


def named_in(text: str) -> Iterator[tuple[str, ...]]:
    """The commands in what a person reads."""
    for line in text.splitlines():
        for rest in re.split(r"(?<![\w./])mailrotate ", line)[1:]:
            words: list[str] = []
            for word in shlex.split(rest):
                if word in (";", ",") or word.startswith("("):
                    break
                words.append(word.rstrip(";,)"))
                if word[-1] in ";,)":
                    break
            yield tuple(words)


def told(scene: Scene, instant: datetime, by: str) -> set[tuple[str, ...]]:
    """Every command that the readers name, and the hints of refused acts."""
    errors = scene.json(instant, "outbox", "list", "--state", "error", by=by)
    found = {command for row in errors for command in named_in(row["error"]["hint"])}
    asked = [("status",), ("why", ANNA), ("why", BEN), *(("why", row["id"]) for row in errors[:3])]
    tried = [("outbox", "retry", "--all")]
    for campaign in (row["name"] for row in scene.json(instant, "campaign", "list")):
        people = list(scene.people(instant, campaign))
        asked += [("why", campaign), *(("why", campaign, person) for person in people[:4])]
        tried.append(("campaign", "resume", campaign))
    said = [scene.at(instant, *words, by=by, status=None) for words in asked]
    said += [copied(scene).at(instant, *words, by=by, status=None) for words in tried]
    return found.union(*(named_in(one.stdout + one.stderr) for one in said))


_numbers = count()


def copied(scene: Scene) -> Scene:
    home = scene.console.home
    console = scene.console.moved(home.with_name(f"{home.name}-{next(_numbers)}"))
    return Scene(console, scene.office, scene.user_of)


def typed(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command as a person completes it."""
    filled = {"ADDRESS": CLEO, "N": "5", "FILE": "solo.toml"}
    words = tuple(filled.get(word, word) for word in command)
    if words[:2] in (("mailbox", "connect"), ("mailbox", "reconnect")):
        return (*words, "--password-stdin")
    return ("run", "--once") if words in (("run",), ("log", "--follow")) else words


def is_disconnected(scene: Scene, instant: datetime, mailbox: str) -> bool:
    shown = scene.json(instant, "mailbox", "show", typed((mailbox,))[0])
    return bool(shown["state"] == "disconnected")


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_f5_no_command_that_is_named_is_refused_when_it_is_typed(
    scene: Scene, situation: Callable[[Scene], datetime]
) -> None:
    instant = situation(scene)
    # A locked user cannot run commands.
    by = ROOT if situation is locked else UNA
    commands = told(scene, instant, by)
    assert commands, "something is named"
    for mailbox in (ANNA, BEN, CLEO):
        scene.take_login(mailbox)
    refused = {}
    for command in sorted(commands):
        copy = copied(scene)
        if command[:3] == ("campaign", "sender", "add") and is_disconnected(copy, instant, command[-1]):
            # The hint says to connect it first.
            copy.at(instant, *typed(("mailbox", "connect", command[-1])), by=by)
        ran = copy.at(instant, *typed(command), by=by, status=None)
        if ran.status not in (0, 5):
            refused[" ".join(command)] = (ran.status, ran.stderr)
    assert refused == {}
