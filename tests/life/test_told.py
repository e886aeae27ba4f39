"""What the screens of reconnecting, resuming and connecting tell: one story, with the next command."""

from datetime import timedelta

from tests.life.scene import ANNA, BEN, HOUR, LATER, UNA, Scene

SOON = LATER + timedelta(minutes=5)


def test_c3_a_reconnect_tells_one_story_while_its_campaign_stays_paused(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.take_login(ANNA)
    told = scene.reconnect(LATER + HOUR, ANNA).stdout.splitlines()
    assert told[-2:] == [
        f"reconnected {ANNA}; its recipients go on when their campaigns are resumed",
        "campaign 'intro' is still paused, with 5 recipients of this mailbox; to resume it: "
        "mailrotate campaign resume intro",
    ]


def test_c6_a_resume_tells_who_goes_on_from_when_and_who_still_waits_for_what(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.take_login(ANNA)
    scene.reconnect(LATER, ANNA)
    told = scene.at(LATER, "campaign", "resume", "intro", standing=True).stdout.splitlines()
    going_on = "resumed campaign 'intro': 5 people go on, the next message at 2031-03-05 12:01:00"
    assert told[0].startswith(going_on)
    assert told[1].startswith(f"  5 people still wait for {BEN}: the mailbox has failed: ")
    assert told[1].endswith(f"; to end that: mailrotate mailbox reconnect {BEN}")
    scene.at(LATER, "campaign", "pause", "intro")
    document = scene.json(LATER, "campaign", "resume", "intro")["campaigns"][0]
    assert document["recipients"] == 5
    assert document["next_at"].startswith("2031-03-05T12:01:00")
    assert [(held["address"], held["recipients"]) for held in document["held"]] == [(BEN, 5)]


def test_c8_a_connect_within_the_hour_names_the_way_back_before_and_after(scene: Scene) -> None:
    scene.disconnect()
    told = scene.connect(SOON, ANNA)
    before = next(line for line in told.stderr.splitlines() if "--rejoin --resume" in line)
    assert before.startswith(f"campaign 'intro' waits for {ANNA} until 2031-03-05 13:01:")
    back = f"mailrotate campaign sender add intro {ANNA}"
    assert f"campaign 'intro' still waits for it: {back}" in told.stdout
    # With the flags that the hint names it is too late now: the error names the command that is left.
    again = scene.connect(SOON, ANNA, "--rejoin", "--resume", status=4)
    assert f"hint: {back}" in again.stderr
    scene.at(SOON, *back.split()[1:], by=UNA)
    assert "hint: mailrotate mailbox reconnect" in scene.connect(SOON, ANNA, status=4).stderr


def test_c8_a_connect_with_rejoin_says_nothing_about_it(scene: Scene) -> None:
    scene.disconnect()
    told = scene.connect(SOON, ANNA, "--rejoin", "--resume")
    assert "--rejoin" not in told.stdout + told.stderr
    assert "resumed campaign 'intro'" in told.stdout


def test_c8_an_error_shows_the_end_of_the_hour_in_the_zone_of_people(scene: Scene) -> None:
    scene.disconnect()
    scene.at(LATER, "settings", "set", "timezone=Asia/Tokyo")
    error = scene.refused(SOON, "campaign", "resume", "intro", status=4)
    assert "until 2031-03-05T13:01:00Z" in error["message"]
    told = scene.at(SOON, "campaign", "resume", "intro", status=4).stderr
    assert "without loss, until 2031-03-05 22:01:00 Asia/Tokyo" in told


def test_h1_an_empty_pass_names_failed_mailboxes_although_nothing_is_due(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.at(LATER, "campaign", "pause", "intro")
    told = scene.at(LATER, "run", "--once").stdout
    assert told.startswith("nothing was sent (2 mailboxes have failed)")
