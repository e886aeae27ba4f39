"""A deadline ends when the last recipient that waits for its mailbox has ended (C12)."""

import pytest

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MINUTE, Scene

SOON = LATER + MINUTE


@pytest.mark.parametrize("how", ["failed", "disconnected"])
def test_c12_removing_the_last_recipient_of_a_mailbox_ends_its_deadline_in_the_campaign(
    scene: Scene, how: str
) -> None:
    if how == "failed":
        scene.fail(ANNA)
    else:
        scene.disconnect()
    *others, last = scene.of(ANNA, SOON)
    for person in others:
        scene.at(SOON, "recipient", "remove", "intro", person, "--yes")
    assert [row["recipients"] for row in scene.deadlines(SOON)] == [1]
    scene.at(SOON, "recipient", "remove", "intro", last, "--yes")
    assert scene.deadlines(SOON) == []
    if how == "disconnected":
        scene.at(SOON, "campaign", "resume", "intro")
    assert "stopped" not in scene.states(LATER + 30 * DAY)


def test_c12_an_unsubscribe_of_the_last_one_ends_it_too(scene: Scene) -> None:
    scene.fail(ANNA)
    for person in scene.of(ANNA, SOON):
        scene.at(SOON, "suppression", "add", person, "--yes")
    assert scene.deadlines(SOON) == []


def test_c12_the_deadline_of_another_mailbox_goes_on(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.disconnect(BEN, SOON)
    for person in scene.of(BEN, SOON):
        scene.at(SOON, "recipient", "remove", "intro", person, "--yes")
    (left,) = scene.deadlines(SOON + HOUR)
    assert (left["mailbox"], left["recipients"]) == (ANNA, 5)
