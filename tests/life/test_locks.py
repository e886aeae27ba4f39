"""A user is locked while a mailbox is away, and the other way round (A10)."""

import pytest

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MAX, MINUTE, ROOT, UNA, Scene


def test_a10_story_47_a_lock_stops_no_clock_and_starts_none(scene: Scene) -> None:
    people = set(scene.contacted())
    scene.fail(ANNA)
    before = scene.deadlines(LATER + HOUR)
    scene.at(LATER + 2 * DAY, "user", "lock", UNA, "--yes")
    assert scene.deadlines(LATER + 2 * DAY) == before
    scene.at(LATER + 2 * DAY, "user", "lock", MAX, "--yes")
    assert scene.json(LATER + 2 * DAY, "mailbox", "show", BEN)["state"] == "connected"
    assert [row["mailbox"] for row in scene.deadlines(LATER + 2 * DAY)] == [ANNA]
    over = LATER + 9 * DAY + MINUTE
    assert scene.stopped(over) == people
    assert scene.stopped(over + 30 * DAY) == people, "none of Ben's"


def test_a10_story_48_with_all_senders_away_the_rotation_pauses_and_an_unlock_resumes_nothing(
    scene: Scene,
) -> None:
    scene.at(LATER, "user", "lock", MAX, "--yes")
    assert scene.pauses(LATER) == []
    scene.fail(ANNA, LATER + HOUR)
    shown = scene.json(LATER + HOUR, "campaign", "show", "intro")
    assert shown["state"] == "paused"
    scene.at(LATER + 2 * HOUR, "user", "unlock", MAX)
    shown = scene.json(LATER + 2 * HOUR, "campaign", "show", "intro")
    assert shown["state"] == "paused"
    scene.at(LATER + 2 * HOUR, "campaign", "resume", "intro")
    _, sent = scene.passes(LATER + 2 * HOUR)
    assert {mailbox: len(to) for mailbox, to in sent.items()} == {BEN: 5}


def test_a10_story_48_a_lock_that_takes_the_last_sender_pauses_the_rotation(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.at(LATER + HOUR, "user", "lock", MAX, "--yes")
    assert scene.pauses(LATER + HOUR) == ["user_locked"]
    scene.at(LATER + 2 * HOUR, "user", "unlock", MAX)
    assert scene.pauses(LATER + 2 * HOUR) == ["user_locked"]


def test_a10_field_51_a_mailbox_that_fails_during_its_users_lock_has_its_nine_days_and_the_admin_is_told(
    scene: Scene,
) -> None:
    """A lock and then a failure end like a failure and then a lock."""
    people = set(scene.contacted())
    scene.at(LATER - HOUR, "user", "lock", UNA, "--yes")
    scene.fail(ANNA)
    assert [(row["kind"], row["recipients"]) for row in scene.deadlines(LATER)] == [("failure", 5)]
    scene.office.smtp.received.clear()
    report, _ = scene.passes(LATER + MINUTE, status=None)
    assert report["notified"] == 1
    assert [one.recipients for one in scene.office.smtp.received if "home" in one.recipients[0]] == [(ROOT,)]
    over = LATER + 9 * DAY + MINUTE
    scene.passes(over, status=None)
    scene.at(over, "user", "unlock", UNA)
    assert scene.stopped(over) == people, "an unlock restores nothing that was stopped"


@pytest.mark.parametrize("how", ["reconnect", "connect"])
def test_a10_no_campaign_goes_on_from_the_mailbox_of_a_locked_user_that_comes_back(
    scene: Scene, how: str
) -> None:
    """An admin brings it back; without another able sender its campaign waits for the unlock and a resume."""
    scene.at(LATER, "user", "lock", MAX, "--yes")
    scene.fail(ANNA)
    assert scene.pauses(LATER) == ["no_sender"]
    if how == "reconnect":
        scene.fail(BEN)
        back = scene.come_back(LATER + MINUTE, BEN, "--resume")
    else:
        scene.disconnect(BEN)
        flags = ("--rejoin", "--resume", "--yes", "--json")
        back = scene.connect(LATER + MINUTE, BEN, *flags).json()
        assert back["rejoined"] == ["intro"]
    assert back["resumed"] == []
    assert "no_sender" in scene.pauses(LATER + MINUTE)
    refused = scene.at(LATER + MINUTE, "campaign", "resume", "intro", status=4)
    assert f"mailrotate user unlock {MAX}" in refused.stderr
    scene.at(LATER + HOUR, "user", "unlock", MAX)
    scene.at(LATER + HOUR, "campaign", "resume", "intro")
    _, sent = scene.passes(LATER + HOUR, status=None)
    assert list(sent) == [BEN]
