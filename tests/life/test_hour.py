"""The hour after a disconnect: coming back, going on without, extending (C8, C12)."""

import pytest

from tests.life.scene import AFTER, ANNA, BEN, DAY, HOUR, INTRO, LATER, MAX, MINUTE, SECOND, UNA, Scene

SOON = LATER + 20 * MINUTE


def add_again(scene: Scene) -> None:
    scene.at(SOON, "campaign", "sender", "add", "intro", ANNA, by=UNA)


def assert_nothing_was_lost(scene: Scene, contacted: list[str], waiting: list[str]) -> None:
    """Check that Anna sends her follow-ups and first messages, and that each recipient gets both messages."""
    assert scene.deadlines(SOON) == []
    report, sent = scene.passes(LATER + HOUR)
    assert sorted(sent[ANNA]) == sorted([*contacted, *waiting])
    assert report["stopped"] == 0
    scene.passes(LATER + 3 * DAY)
    people = scene.people(LATER + 3 * DAY).values()
    assert [(row["sent"], row["state"]) for row in people] == [(2, "finished")] * 10
    assert scene.stopped(LATER + 3 * DAY) == set()


def test_c8_story_20_a_resume_is_refused_until_it_goes_on_without_the_mailbox(scene: Scene) -> None:
    scene.disconnect()
    error = scene.refused(SOON, "campaign", "resume", "intro", status=4)
    assert f"mailrotate mailbox connect {ANNA} --rejoin --resume" in error["hint"]
    assert f"mailrotate campaign sender add intro {ANNA}" in error["hint"]
    assert f"--without {ANNA}" in error["hint"]
    scene.at(SOON, "campaign", "resume", "intro", "--without", ANNA)
    assert scene.json(SOON, "campaign", "show", "intro")["state"] == "active"
    _, sent = scene.passes(SOON)
    assert {mailbox: sorted(to) for mailbox, to in sent.items()} == {BEN: sorted(scene.of(BEN, SOON))}
    assert len(sent[BEN]) == 5


def test_c8_why_names_one_command_that_loses_nothing(scene: Scene) -> None:
    scene.disconnect()
    *_, last = scene.at(SOON, "why", "intro").stdout.splitlines()
    assert last == f"next: mailrotate mailbox connect {ANNA} --rejoin --resume"


def test_c8_story_21_connected_again_it_sends_nothing_until_it_is_added_again(scene: Scene) -> None:
    scene.at(LATER, "mailbox", "set", ANNA, "--gap", "5s")
    scene.disconnect()
    told = scene.connect(SOON, ANNA, gap=None).stdout
    assert f"mailrotate mailbox set {ANNA} --daily-limit 3" in told
    assert f"mailrotate mailbox set {ANNA} --gap 5s" in told
    assert f"mailrotate campaign sender add intro {ANNA}" in told
    error = scene.refused(SOON, "campaign", "resume", "intro", status=4)
    assert f"mailrotate campaign sender add intro {ANNA}" in error["hint"]
    assert len(scene.outbox(SOON, "error")) == 2
    assert scene.outbox(SOON, "scheduled") == []
    _, sent = scene.passes(SOON)
    assert sent == {}


def test_c8_story_22_a_mailbox_that_is_added_again_within_the_hour_has_lost_nothing(scene: Scene) -> None:
    contacted, waiting = scene.contacted(), scene.waiting()
    scene.disconnect()
    scene.connect(SOON, ANNA)
    assert scene.json(SOON, "mailbox", "show", ANNA)["daily_limit"] == 500
    add_again(scene)
    assert scene.pauses(SOON) == ["mailbox_disconnected"], "added, and not resumed"
    scene.at(SOON, "campaign", "resume", "intro")
    assert_nothing_was_lost(scene, contacted, waiting)


def test_c8_story_23_rejoined_a_second_before_the_end_it_has_lost_nothing(scene: Scene) -> None:
    contacted, waiting = scene.contacted(), scene.waiting()
    scene.disconnect()
    edge = LATER + HOUR - SECOND
    scene.connect(edge, ANNA, "--rejoin", "--resume", standing=True)
    assert scene.pauses(edge) == []
    assert_nothing_was_lost(scene, contacted, waiting)


def test_c9_story_24_at_the_end_itself_the_hour_is_over_although_nothing_ran(scene_with_solo: Scene) -> None:
    scene = scene_with_solo
    scene.disconnect()
    edge = LATER + HOUR
    told = scene.connect(edge, ANNA, "--rejoin", "--resume", standing=True).stdout
    assert f"connected {ANNA}" in told
    assert "3 recipients were stopped at 2031-03-05 13:01:00 UTC" in told
    assert f"mailrotate campaign sender add intro {ANNA}" in told
    assert len(scene.stopped(edge)) == 3
    assert len(scene.of(BEN, edge)) == 7
    senders = scene.json(edge, "campaign", "sender", "list", "intro")
    assert [each["address"] for each in senders] == [BEN]
    assert scene.pauses(edge) == ["mailbox_disconnected"]
    assert scene.json(edge, "campaign", "show", "solo")["state"] == "active"
    scene.at(edge, "campaign", "resume", "intro")


def test_c12_story_36_a_running_deadline_can_be_extended_and_a_passed_one_cannot(scene: Scene) -> None:
    scene.disconnect()
    half = LATER + 30 * MINUTE
    error = scene.refused(half, "grace", "extend", ANNA, "--by", "2h", status=4, by=MAX)
    assert error["hint"].startswith(f"ask {UNA} (member)")
    (moved,) = scene.json(half, "grace", "extend", ANNA, "--by", "2h")
    assert moved["ends_at"] == "2031-03-05T15:01:00Z"
    assert scene.stopped(LATER + 2 * HOUR) == set()


def test_c12_story_36_a_passed_deadline_cannot_be_extended(scene: Scene) -> None:
    scene.disconnect()
    error = scene.refused(AFTER, "grace", "extend", ANNA, "--by", "2h", status=4)
    assert error["code"] == "grace.none"
    assert scene.deadlines(AFTER) == []
    assert len(scene.stopped(AFTER)) == 3


def test_c12_story_37_an_extension_in_one_campaign_moves_no_other(scene: Scene) -> None:
    scene.start_campaign(LATER, "second", ["second@life.example.com"], ANNA, BEN)
    scene.disconnect()
    words = ("grace", "extend", ANNA, "--by", "2h", "--campaign", "second")
    scene.at(LATER + 30 * MINUTE, *words)
    ends = {row["campaign"]: row["ends_at"] for row in scene.deadlines(LATER + 30 * MINUTE)}
    assert ends == {"intro": "2031-03-05T13:01:00Z", "second": "2031-03-05T15:01:00Z"}


def test_c12_story_38_a_changed_setting_concerns_later_disconnects(scene: Scene) -> None:
    scene.disconnect()
    scene.at(LATER, "settings", "set", "grace=30m")
    (row,) = scene.deadlines(LATER)
    assert row["ends_at"] == "2031-03-05T13:01:00Z"
    scene.disconnect(BEN)
    ends = {each["mailbox"]: each["ends_at"] for each in scene.deadlines(LATER)}
    assert ends == {ANNA: "2031-03-05T13:01:00Z", BEN: "2031-03-05T12:31:00Z"}


def test_c12_story_56_a_stop_ends_the_hour(scene: Scene) -> None:
    scene.disconnect()
    scene.at(LATER + 5 * MINUTE, "campaign", "stop", "intro", "--yes")
    assert scene.deadlines(LATER + 5 * MINUTE) == []
    assert scene.states(LATER + 5 * MINUTE) == {"finished": 10}
    report, sent = scene.passes(AFTER)
    assert (report["stopped"], sent) == (0, {})
    assert scene.states(AFTER) == {"finished": 10}


@pytest.mark.parametrize("much", ["99999999d", "91d"])
def test_c12_an_extension_has_a_bound(scene: Scene, much: str) -> None:
    scene.disconnect()
    error = scene.refused(LATER, "grace", "extend", ANNA, "--by", much, status=2)
    assert error["code"] in ("grace.too_long", "duration.invalid")


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


def test_c8_e2_recipients_who_wait_for_the_mailbox_that_rejoins_get_it(scene: Scene) -> None:
    for user in (UNA, MAX):
        scene.at(LATER, "user", "set", user, "--role", "manager")
    team = INTRO.replace("[[steps]]", "team = true\n[[steps]]", 1)
    scene.start_campaign(LATER, "team", ["team0@life.example.com"], ANNA, BEN, text=team)
    scene.disconnect()
    scene.at(SOON, "campaign", "resume", "team", "--without", ANNA)
    new = "team1@life.example.com"
    scene.enrol(SOON, "team", [new])
    assert scene.people(SOON, "team")[new]["sender"] is None, (
        "only Anna's mailbox is of the user who added them"
    )
    scene.connect(SOON, ANNA, "--rejoin")
    assert scene.people(SOON, "team")[new]["sender"] == ANNA
    _, sent = scene.passes(SOON + MINUTE)
    assert sorted(sent[ANNA]) == ["team0@life.example.com", new]


def test_c8_a_connect_with_rejoin_says_nothing_about_it(scene: Scene) -> None:
    scene.disconnect()
    told = scene.connect(SOON, ANNA, "--rejoin", "--resume")
    assert "--rejoin" not in told.stdout + told.stderr
    assert "resumed campaign 'intro'" in told.stdout


def test_c8_an_error_shows_the_end_of_the_hour_in_the_zone_of_people(scene: Scene) -> None:
    scene.disconnect()
    scene.at(LATER, "settings", "set", "timezone=Asia/Tokyo")
    error = scene.refused(LATER + 5 * MINUTE, "campaign", "resume", "intro", status=4)
    assert "until 2031-03-05T13:01:00Z" in error["message"]
    told = scene.at(LATER + 5 * MINUTE, "campaign", "resume", "intro", status=4).stderr
    assert "without loss, until 2031-03-05 22:01:00 Asia/Tokyo" in told
