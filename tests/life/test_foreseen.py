"""After a long absence readers show what the next pass parks, before any pass (C11, H4)."""

from datetime import datetime
from typing import Any

from tests.life.scene import BEN, DAY, HOUR, LATER, MINUTE, MONDAY, Scene

DUE_AT = MONDAY + 2 * DAY
WEEK = 7 * DAY


def late_ones(scene: Scene, instant: datetime) -> dict[str, bool]:
    """Whether `why` says of each of Ben's people that their follow-up is late."""
    shown = {person: scene.json(instant, "why", "intro", person) for person in scene.of(BEN, instant)}
    return {person: found["binding"] == "overdue" for person, found in shown.items()}


def next_send_at(scene: Scene, instant: datetime) -> Any:
    return scene.json(instant, "campaign", "show", "intro")["next_send_at"]


def test_h4_readers_foresee_what_the_next_pass_parks(scene: Scene) -> None:
    instant = DUE_AT + WEEK + HOUR
    foreseen = late_ones(scene, instant)
    assert all(foreseen.values())
    assert next_send_at(scene, instant) is None
    assert scene.json(instant, "why", "intro")["binding"] == "overdue"
    assert scene.json(instant, "status")["headline"]["code"] == "no_runner", "the cause comes first"
    _, sent = scene.passes(instant)
    assert sent.get(BEN, []) == []
    assert late_ones(scene, instant) == foreseen


def test_h4_at_the_allowed_lateness_itself_nothing_is_late_yet(scene: Scene) -> None:
    at_the_edge = DUE_AT + WEEK
    assert not any(late_ones(scene, at_the_edge).values())
    assert all(late_ones(scene, at_the_edge + 5 * MINUTE).values())
    _, sent = scene.passes(at_the_edge)
    assert len(sent[BEN]) == 5


def test_h4_planned_messages_have_no_expected_instant_once_they_will_be_parked(scene: Scene) -> None:
    scene.at(LATER, "mailbox", "pause", BEN)
    scene.passes(LATER)
    scene.at(LATER, "mailbox", "resume", BEN)
    planned = ("outbox", "list", "--state", "scheduled", "--mailbox", BEN)
    soon, long_after = LATER + HOUR, LATER + WEEK + HOUR
    assert all(row["expected_at"] for row in scene.json(soon, *planned))
    rows = scene.json(long_after, *planned)
    assert [row["expected_at"] for row in rows] == [None] * 5
    assert scene.json(long_after, "why", rows[0]["id"])["binding"] == "overdue"
    scene.at(long_after, "outbox", "release", rows[0]["id"])
    _, sent = scene.passes(long_after)
    assert sent[BEN] == [rows[0]["to"]], "a release before the pass counts"


def test_h4_late_messages_do_not_hide_the_next_one_that_is_not(scene: Scene) -> None:
    instant = DUE_AT + WEEK + HOUR
    assert next_send_at(scene, instant) is None
    new = "new@life.example.com"
    scene.enrol(instant, "intro", [new])
    assert next_send_at(scene, instant) is not None
    _, sent = scene.passes(instant)
    assert [new] in sent.values()
