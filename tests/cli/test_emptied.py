"""A deadline ends when the last recipient that waits for its mailbox has ended (C12)."""

from datetime import timedelta

import pytest

from tests.support.life import ANNA, BEN, HOUR, LATER, Scene

SOON = LATER + timedelta(minutes=1)


@pytest.mark.parametrize("how", ["failed", "disconnected"])
def test_c12_removing_the_last_recipient_of_a_mailbox_ends_its_deadline_in_the_campaign(
    scene: Scene, how: str
) -> None:
    if how == "failed":
        scene.fail(ANNA, LATER)
    else:
        scene.at(LATER, "mailbox", "disconnect", ANNA, "--yes")
    *others, last = scene.of(ANNA, SOON)
    for person in others:
        scene.at(SOON, "recipient", "remove", "intro", person, "--yes")
    assert [row["recipients"] for row in scene.json(SOON, "grace", "list")] == [1]
    scene.at(SOON, "recipient", "remove", "intro", last, "--yes")
    assert scene.json(SOON, "grace", "list") == []
    if how == "disconnected":
        scene.at(SOON, "campaign", "resume", "intro")
    assert "stopped" not in scene.states(LATER + timedelta(days=30))


def test_c12_an_unsubscribe_of_the_last_one_ends_it_too(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    for person in scene.of(ANNA, SOON):
        scene.at(SOON, "suppression", "add", person, "--yes")
    assert scene.json(SOON, "grace", "list") == []


def test_c12_the_deadline_of_another_mailbox_goes_on(scene: Scene) -> None:
    scene.fail(ANNA, LATER)
    scene.at(SOON, "mailbox", "disconnect", BEN, "--yes")
    for person in scene.of(BEN, SOON):
        scene.at(SOON, "recipient", "remove", "intro", person, "--yes")
    (left,) = scene.json(SOON + HOUR, "grace", "list")
    assert (left["mailbox"], left["recipients"]) == (ANNA, 5)
