"""A mailbox that stays failed: its nine days, and their end (C3, C9, C10)."""

from datetime import datetime

import pytest

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MINUTE, UNA, Scene
from tests.support.post_office import parsed

pytestmark = pytest.mark.proof

END = LATER + 9 * DAY


def notices(scene: Scene) -> list[str]:
    """The subjects of what Ben's mailbox wrote to Anna's user."""
    received = scene.office.smtp.received
    return [
        str(parsed(one.raw)["Subject"]) for one in received if one.recipients == (UNA,) and one.login == BEN
    ]


@pytest.mark.timeout(300)
def test_c10_story_39_field_11_six_notices_and_after_nine_days_the_contacted_are_stopped(
    scene: Scene,
) -> None:
    people = scene.contacted()
    scene.office.smtp.received.clear()
    scene.fail(ANNA)
    told = []
    for half_days in range(19):
        report, _ = scene.passes(LATER + half_days * DAY / 2 + MINUTE, status=None)
        told += [half_days / 2] * report["notified"]
    assert told == [0, 1, 3, 6, 8, 9]
    assert notices(scene) == [
        *[f"{ANNA} has failed"] * 4,
        f"{ANNA} has failed: last notice before recipients are stopped",
        f"{ANNA}: 3 recipients stopped",
    ]
    over = END + 2 * MINUTE
    assert scene.stopped(over) == set(people)
    assert len(scene.of(BEN, over)) == 7
    assert (report["stopped"], report["reassigned"]) == (3, 2)
    scene.passes(over + DAY)
    assert all(row["sent"] for row in scene.people(over + DAY).values()), "all ten were written to"


def test_c10_story_40_field_30_the_same_after_a_runner_that_was_off(scene: Scene) -> None:
    people, waiting = scene.contacted(), scene.waiting()
    scene.office.smtp.received.clear()
    scene.fail(ANNA)
    over = LATER + 10.5 * DAY
    report, sent = scene.passes(over)
    assert (report["stopped"], report["reassigned"], report["notified"]) == (3, 2, 1)
    assert notices(scene) == [f"{ANNA}: 3 recipients stopped"]
    assert sent == {BEN: waiting}
    assert scene.stopped(over) == set(people)
    late = [person for person in scene.of(BEN, over) if person not in waiting]
    assert len(late) == 5
    for person in late:
        assert scene.json(over, "why", "intro", person)["binding"] == "overdue"


def test_c3_story_41_reconnected_before_the_end_everybody_goes_on(scene: Scene) -> None:
    scene.fail(ANNA)
    (row,) = scene.deadlines(LATER)
    assert (row["kind"], row["recipients"]) == ("failure", 5)
    almost = LATER + 8.9 * DAY
    back = scene.come_back(almost, ANNA)
    assert (back["people_going_on"], back["follow_ups"], back["first_messages"]) == (5, 3, 2)
    assert back["stopped"] == []
    assert scene.deadlines(almost) == []
    scene.office.smtp.received.clear()
    report, _ = scene.passes(END + MINUTE)
    assert (report["stopped"], report["notified"]) == (0, 0)
    assert notices(scene) == []


def test_c3_story_42_reconnected_at_the_end_itself_the_mailbox_works_and_its_people_are_stopped(
    scene: Scene,
) -> None:
    scene.refuse_login(ANNA)
    scene.at(LATER, "mailbox", "test", ANNA, status=5, standing=True)
    scene.take_login(ANNA)
    words = ("mailbox", "reconnect", ANNA, "--password-stdin")
    told = scene.at(END, *words, standing=True).stdout
    assert "3 recipients were stopped at 2031-03-14 12:01:00 UTC" in told
    assert f"mailrotate campaign sender add intro {ANNA}" in told
    assert len(scene.stopped(END)) == 3
    assert scene.json(END, "mailbox", "show", ANNA)["state"] == "connected"


def test_c4_story_43_a_disconnect_turns_the_days_into_the_hour(scene: Scene) -> None:
    scene.fail(ANNA)
    late = LATER + 8.99 * DAY
    scene.disconnect(instant=late)
    (row,) = scene.deadlines(late)
    assert row["kind"] == "disconnect"
    assert datetime.fromisoformat(row["ends_at"]) == late + HOUR
