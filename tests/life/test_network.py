"""A mailbox's servers cannot be reached: patience, and its end (C2)."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MINUTE, MONDAY, SECOND, Scene
from tests.support.relay import Relay

pytestmark = pytest.mark.proof

# Minutes after which the servers are tried: as long again as the trouble has lasted, fifteen at most.
TRIES = (0, 8, 16, 31.5)


@dataclass(frozen=True)
class Network:
    """The ways to each mailbox's two servers."""

    ways: dict[str, list[Relay]]

    def down(self, *mailboxes: str) -> None:
        self._set(mailboxes, is_down=True)

    def up(self, *mailboxes: str) -> None:
        self._set(mailboxes, is_down=False)

    def _set(self, mailboxes: tuple[str, ...], is_down: bool) -> None:
        for relay in (relay for mailbox in mailboxes for relay in self.ways[mailbox]):
            relay.is_down = is_down


def connected_by_relays(scene: Scene, stack: ExitStack) -> Network:
    """Give each mailbox a way of its own to both servers."""
    imap_port = int(scene.office.imap_server.partition(":")[2])
    ways = {}
    for mailbox, host in ((ANNA, "127.0.0.1"), (BEN, "localhost")):
        smtp, imap = (stack.enter_context(Relay(port)) for port in (scene.office.smtp.port, imap_port))
        ways[mailbox] = [smtp, imap]
        servers = ("--smtp", f"{host}:{smtp.port}", "--imap", f"localhost:{imap.port}")
        scene.at(MONDAY + HOUR, "mailbox", "set", mailbox, *servers)
    return Network(ways)


@pytest.fixture
def network(scene: Scene) -> Iterator[Network]:
    with ExitStack() as stack:
        yield connected_by_relays(scene, stack)


def state(scene: Scene, mailbox: str, minutes: int) -> str:
    found: str = scene.json(LATER + minutes * MINUTE, "mailbox", "show", mailbox)["state"]
    return found


def test_c2_story_13_ten_minutes_without_network_fail_nothing(scene: Scene, network: Network) -> None:
    network.down(ANNA)
    reports = [scene.passes(LATER + minutes * MINUTE, status=None)[0] for minutes in (0, 5, 10)]
    assert state(scene, ANNA, 10) == "connected"
    assert scene.pauses(LATER + 10 * MINUTE) == []
    assert scene.deadlines(LATER + 10 * MINUTE) == []
    network.up(ANNA)
    report, sent = scene.passes(LATER + 20 * MINUTE)
    assert len(sent[ANNA]) == 3
    assert sum(one["notified"] for one in [*reports, report]) == 0
    assert [one for one in scene.json(LATER + HOUR, "log") if one["action"] == "mailbox.failed"] == []


def test_c2_story_14_half_an_hour_without_network_fails_a_mailbox_while_another_is_reached(
    scene: Scene, network: Network
) -> None:
    network.down(ANNA)
    for minutes in TRIES[:-1]:
        scene.passes(LATER + minutes * MINUTE, status=None)
    assert state(scene, ANNA, 30) == "connected"
    scene.passes(LATER + TRIES[-1] * MINUTE, status=None)
    assert (state(scene, ANNA, 32), state(scene, BEN, 32)) == ("failed", "connected")


def test_c2_story_14_where_nothing_is_reached_for_an_hour_no_mailbox_fails(
    scene: Scene, network: Network
) -> None:
    network.down(ANNA, BEN)
    for minutes in range(0, 61, 10):
        scene.passes(LATER + minutes * MINUTE, status=None)
    assert (state(scene, ANNA, 60), state(scene, BEN, 60)) == ("connected", "connected")
    assert scene.json(LATER + HOUR, "status")["headline"]["code"] == "offline"


def states_by_test(scene: Scene, instant: datetime) -> list[str]:
    """Test both mailboxes while neither can be reached; return their states."""
    scene.at(instant, "mailbox", "test", "--all", status=5, standing=True)
    return [scene.json(instant, "mailbox", "show", mailbox)["state"] for mailbox in (ANNA, BEN)]


@pytest.mark.parametrize(("setting", "patience"), [(None, DAY), ("offline_patience=2h", 2 * HOUR)])
def test_c2_story_14_a_machine_that_stays_offline_for_a_day_fails_its_mailboxes(
    scene: Scene, network: Network, setting: str | None, patience: timedelta
) -> None:
    if setting is not None:
        scene.at(MONDAY + HOUR, "settings", "set", setting)
    network.down(ANNA, BEN)
    assert states_by_test(scene, LATER) == ["connected", "connected"]
    scene.passes(LATER + patience - MINUTE, status=None)
    assert states_by_test(scene, LATER + patience - SECOND) == ["connected", "connected"]
    headline = scene.json(LATER + patience - SECOND, "status")["headline"]
    assert (headline["code"], headline["sending"]) == ("offline", False)
    assert scene.pauses(LATER + patience - SECOND) == []
    assert states_by_test(scene, LATER + patience) == ["failed", "failed"]
    assert scene.json(LATER + patience, "status")["headline"]["code"] == "no_sender"
    assert scene.pauses(LATER + patience) == ["no_sender"]
    network.up(ANNA, BEN)
    scene.at(LATER + patience + MINUTE, "mailbox", "test", "--all")
    assert [state(scene, one, int(patience / MINUTE) + 1) for one in (ANNA, BEN)] == ["connected"] * 2


def test_c2_story_15_a_mailbox_that_failed_by_the_network_is_back_when_a_test_passes(
    scene_with_solo: Scene,
) -> None:
    scene = scene_with_solo
    with ExitStack() as stack:
        network = connected_by_relays(scene, stack)
        planned = scene.outbox(MONDAY + HOUR, "scheduled")
        network.down(ANNA)
        for minutes in TRIES:
            scene.passes(LATER + minutes * MINUTE, status=None)
        assert state(scene, ANNA, 32) == "failed"
        errors = scene.outbox(LATER + 32 * MINUTE, "error")
        assert {row["id"] for row in planned} <= {row["id"] for row in errors}
        assert scene.pauses(LATER + 32 * MINUTE, "solo") == ["mailbox_failed"]
        assert [row["campaign"] for row in scene.deadlines(LATER + 32 * MINUTE)] == ["intro"]
        network.up(ANNA)
        scene.at(LATER + HOUR, "mailbox", "test", ANNA)
    assert state(scene, ANNA, 60) == "connected"
    assert [row["id"] for row in scene.outbox(LATER + HOUR, "scheduled")] == [row["id"] for row in errors]
    assert scene.outbox(LATER + HOUR, "error") == []
    assert scene.deadlines(LATER + HOUR) == []
    assert scene.pauses(LATER + HOUR) == []
    assert (len(scene.of(ANNA, LATER + HOUR)), len(scene.of(BEN, LATER + HOUR))) == (5, 5)
    assert scene.pauses(LATER + HOUR, "solo") == ["mailbox_failed"]
