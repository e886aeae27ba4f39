"""A mailbox that is back says which campaigns are still paused, why, and what lifts that (C6, C8)."""

from tests.life.scene import ANNA, BEN, LATER, MAX, MINUTE, UNA, Scene

SOON = LATER + MINUTE


def test_c8_a_rejoin_names_the_pause_that_it_does_not_lift(scene: Scene) -> None:
    scene.at(LATER, "campaign", "pause", "intro")
    scene.disconnect()
    again = ("--rejoin", "--resume", "--password-stdin")
    back = scene.at(SOON, "mailbox", "connect", ANNA, *again, by=UNA)
    said = "campaign 'intro' is still paused by hand (5 people wait): mailrotate campaign resume intro"
    assert said in back.stdout
    scene.at(SOON, "campaign", "resume", "intro")


def test_c8_a_rejoin_names_the_other_mailbox_whose_hour_still_runs(scene: Scene) -> None:
    scene.disconnect()
    scene.disconnect(BEN)
    again = ("--rejoin", "--resume", "--password-stdin")
    (still,) = scene.json(SOON, "mailbox", "connect", ANNA, *again, by=UNA)["paused"]
    assert still["campaign"] == "intro"
    assert still["reasons"] == ["mailbox_disconnected"]
    assert f"mailrotate mailbox connect {BEN} --rejoin --resume" in still["command"]
    last = scene.json(SOON, "mailbox", "connect", BEN, *again, by=MAX)
    assert (last["resumed"], last["paused"]) == (["intro"], [])


def test_c6_a_connect_without_rejoin_names_the_way_to_the_place_in_the_rotation(scene: Scene) -> None:
    scene.disconnect()
    (still,) = scene.json(SOON, "mailbox", "connect", ANNA, "--password-stdin", by=UNA)["paused"]
    assert f"mailrotate campaign sender add intro {ANNA}" in still["command"]


def test_c6_a_reconnect_with_resume_leaves_a_pause_by_hand_and_says_so(scene: Scene) -> None:
    scene.at(LATER, "campaign", "pause", "intro")
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.take_login(ANNA)
    (still,) = scene.json(SOON, "mailbox", "reconnect", ANNA, "--resume", "--password-stdin")["paused"]
    assert still == {
        "campaign": "intro", "people": 5, "reasons": ["by_hand"],
        "command": "mailrotate campaign resume intro",
    }  # fmt: skip
