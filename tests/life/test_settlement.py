"""The end of an hour with many people, with two runners, and with a clock that lags (C9, C11, F6)."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.life.conftest import play
from tests.life.scene import AFTER, ANNA, BEN, HOUR, LATER, MINUTE, SECOND, UNA, Scene
from tests.support.databases import PostgresqlServer
from tests.support.post_office import PostOffice


@pytest.fixture
def shared_scene(office: PostOffice, postgresql: PostgresqlServer, tmp_path: Path) -> Iterator[Scene]:
    """The scene on PostgreSQL."""
    database = "life_of_a_connection"
    yield Scene(play(tmp_path, office, database=postgresql.make(database)), office)
    postgresql.drop(database)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("people", [3_000, pytest.param(100_000, marks=pytest.mark.proof)])
def test_h3_story_59_field_55_many_people_are_settled_by_one_event_and_others_go_on_in_the_same_pass(
    scene: Scene, people: int
) -> None:
    # While Ben is away, everyone new is Anna's.
    scene.fail(BEN)
    rows = "".join(f"q{number}@life.example.com,Q,Q\n" for number in range(people - 5))
    scene.at(LATER, "recipient", "import", "intro", "-", typed=f"email,first_name,company\n{rows}")
    scene.come_back(LATER, BEN)
    # As if she had written to some of them.
    hanging = "campaign_sender_id = (SELECT min(id) FROM campaign_sender)"
    some = f"{hanging} AND state = 'queued' AND id % 3 = 0"
    scene.execute(f"UPDATE recipient SET state = 'active', next_step = 2 WHERE {some}")
    ((contacted,),) = scene.execute(f"SELECT count(*) FROM recipient WHERE {hanging} AND state = 'active'")
    assert people / 4 < contacted < people / 2
    scene.disconnect()
    (row,) = scene.deadlines(LATER)
    assert row["recipients"] == people
    other = "other@life.example.com"
    scene.start_campaign(LATER, "second", [other], BEN)
    # How long it takes is in the benchmarks.
    report, sent = scene.passes(AFTER)
    assert (report["stopped"], report["reassigned"]) == (contacted, people - contacted)
    assert sent == {BEN: [other]}
    (event,) = scene.json(AFTER, "log", "--action", "grace.ended")
    assert event["data"]["stopped"] == contacted


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_c11_story_60_two_runners_at_the_end_settle_it_once(shared_scene: Scene) -> None:
    scene = shared_scene
    people = set(scene.contacted())
    scene.disconnect()
    at_the_end = scene.console.at(LATER + HOUR).process
    runners = [at_the_end.start("run", "--once", "--json") for _ in range(2)]
    reports = [communicated(runner) for runner in runners]
    assert sorted(report["stopped"] for report in reports) == [0, 3]
    assert sorted(report["reassigned"] for report in reports) == [0, 2]
    assert scene.stopped(AFTER) == people
    assert len(scene.of(BEN, AFTER)) == 7
    assert len(scene.json(AFTER, "log", "--action", "grace.ended")) == 1


def communicated(runner: "subprocess.Popen[str]") -> dict[str, int]:
    out, err = runner.communicate()
    assert runner.returncode == 0, err
    report: dict[str, int] = json.loads(out)
    return report


def test_f6_story_60_a_clock_that_lags_by_61_seconds_settles_nothing_and_says_so(scene: Scene) -> None:
    scene.disconnect()
    scene.passes(LATER + 30 * MINUTE)
    behind = LATER + 30 * MINUTE - 61 * SECOND
    for words in (
        ("campaign", "sender", "add", "intro", ANNA),
        ("campaign", "resume", "intro", "--without", ANNA),
        ("run", "--once"),
    ):
        error = scene.refused(behind, *words, status=1, by=UNA)
        assert error["code"] == "clock.behind"
        assert "s behind the latest instant that was acted on" in error["message"]
    assert [row["recipients"] for row in scene.deadlines(LATER + 30 * MINUTE)] == [5]
    assert scene.pauses(LATER + 30 * MINUTE) == ["mailbox_disconnected"]
