"""A mailbox fails: what becomes of its campaigns, its people and its messages (C1, C6, C7, C15)."""

from datetime import timedelta

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MINUTE, MONDAY, Scene


def test_the_scene_has_three_people_contacted_by_anna_and_two_who_wait(scene: Scene) -> None:
    annas = scene.of(ANNA, MONDAY + HOUR)
    assert sorted(row["sent"] for row in annas.values()) == [0, 0, 1, 1, 1]
    assert [row["sent"] for row in scene.of(BEN, MONDAY + HOUR).values()] == [1] * 5


def test_c1_story_01_a_refused_login_fails_the_mailbox_and_status_names_the_reconnect(scene: Scene) -> None:
    scene.fail(ANNA)
    shown = scene.json(LATER, "mailbox", "show", ANNA)
    assert shown["state"] == "failed"
    assert "535" in shown["last_error"]
    assert f"mailrotate mailbox reconnect {ANNA}" in scene.at(LATER, "status").stdout


def test_c1_story_02_an_imap_login_that_alone_is_refused_fails_the_mailbox(scene: Scene) -> None:
    scene.office.refuse_imap(ANNA)
    told = scene.at(LATER, "mailbox", "test", ANNA, status=5).stderr
    steps = {tuple(line.split()[:3]) for line in told.splitlines() if line.startswith("  ")}
    assert {step for step in steps if step[0] == "smtp"} == {
        ("smtp", step, "ok") for step in ("resolve", "connect", "ehlo", "auth")
    }
    assert [step for step in steps if step[2] == "FAILED"] == [("imap", "auth", "FAILED")]
    assert scene.json(LATER, "mailbox", "show", ANNA)["state"] == "failed"


def test_c6_story_05_a_failure_pauses_the_single_sender_campaign_and_leaves_the_rotation_active(
    scene_with_solo: Scene,
) -> None:
    scene_with_solo.fail(ANNA)
    solo = scene_with_solo.json(LATER, "campaign", "show", "solo")
    assert (solo["state"], solo["pause_reasons"]) == ("paused", ["mailbox_failed"])
    intro = scene_with_solo.json(LATER, "campaign", "show", "intro")
    assert (intro["state"], intro["pause_reasons"]) == ("active", [])


def test_c15_a_mailbox_that_fails_when_a_pass_reads_it_leaves_what_is_planned_then_in_error(
    scene: Scene,
) -> None:
    # Too soon for the pass to test it again.
    scene.at(LATER - MINUTE, "mailbox", "test", ANNA)
    scene.refuse_login(ANNA)
    scene.office.refuse_imap(ANNA)
    scene.passes(LATER)
    assert scene.outbox(LATER, "scheduled") == []
    assert {row["to"] for row in scene.outbox(LATER, "error")} == set(scene.of(ANNA, LATER))


def test_c15_story_07_planned_messages_of_a_failed_mailbox_are_errors(scene: Scene) -> None:
    planned = scene.outbox(LATER, "scheduled")
    assert len(planned) == 2
    scene.fail(ANNA)
    errors = scene.outbox(LATER, "error")
    assert [row["id"] for row in errors] == [row["id"] for row in planned]
    assert {row["error"]["class"] for row in errors} == {"connection"}
    assert all("mailbox reconnect" in row["error"]["hint"] for row in errors)
    assert scene.outbox(LATER, "scheduled") == []


def test_c15_story_09_a_retry_is_refused_while_the_mailbox_is_away(scene: Scene) -> None:
    scene.fail(ANNA)
    done = scene.json(LATER, "outbox", "retry", "--all", status=4)
    assert done["retried"] == 0
    assert len(done["refused"]) == 2
    assert all("reconnect it first" in each["reason"] for each in done["refused"])


def test_c15_f1_what_becomes_due_while_the_mailbox_is_away_is_an_error_within_its_room(scene: Scene) -> None:
    scene.fail(ANNA)
    for hour in range(4):
        scene.passes(LATER + hour * HOUR, status=None)
    errors = scene.outbox(LATER, "error")
    assert 3 <= len(errors) <= 6, "what two days have room for"
    assert {row["error"]["class"] for row in errors} == {"connection"}


def test_e1_story_10_a_failed_mailbox_gets_nobody_new(scene: Scene) -> None:
    scene.fail(ANNA)
    more = [f"ten{number}@life.example.com" for number in range(3)]
    scene.enrol(LATER, "intro", more)
    found = scene.people(LATER)
    assert [found[person]["sender"] for person in more] == [BEN] * 3


def test_c7_story_11_field_23_without_an_able_sender_a_rotation_pauses_and_cannot_be_resumed(
    scene: Scene,
) -> None:
    scene.fail(ANNA)
    assert scene.pauses(LATER) == []
    scene.fail(BEN, LATER + HOUR)
    shown = scene.json(LATER + HOUR, "campaign", "show", "intro")
    assert (shown["state"], shown["pause_reasons"]) == ("paused", ["no_sender"])
    error = scene.refused(LATER + HOUR, "campaign", "resume", "intro", status=4)
    assert error["code"] == "campaign.no_sender_connected"


def test_c7_story_12_one_sender_that_is_back_lets_the_rotation_go_on(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.fail(BEN, LATER + HOUR)
    scene.come_back(LATER + 2 * HOUR, BEN, "--resume")
    shown = scene.json(LATER + 2 * HOUR, "campaign", "show", "intro")
    assert (shown["state"], shown["pause_reasons"]) == ("active", [])
    _, sent = scene.passes(LATER + 2 * HOUR)
    assert {mailbox: len(to) for mailbox, to in sent.items()} == {BEN: 5}
    errors = scene.outbox(LATER + 2 * HOUR, "error")
    assert {row["to"] for row in errors} == set(scene.of(ANNA, LATER + 2 * HOUR)), "her share, and all of it"
    assert [row["error"]["class"] for row in errors] == ["connection"] * 5
    assert scene.outbox(LATER + 2 * HOUR, "scheduled") == []


def test_c15_story_55_field_50_what_exceeds_the_daily_limit_waits_for_the_next_day_and_moves_to_no_mailbox(
    scene: Scene,
) -> None:
    _, sent = scene.passes(LATER)
    assert {mailbox: len(to) for mailbox, to in sent.items()} == {ANNA: 3, BEN: 5}, "Ben's people go on"
    rest = scene.outbox(LATER, "scheduled")
    assert {row["expected_at"] for row in rest} == {"2031-03-06T00:00:00Z"}, "the window's next day"
    scene.fail(ANNA, LATER + HOUR)
    errors = scene.outbox(LATER + HOUR, "error")
    assert [row["id"] for row in errors] == [row["id"] for row in rest]
    scene.passes(LATER + DAY, status=5)
    assert {row["from"] for row in scene.outbox(LATER + DAY, "error")} == {ANNA}
    assert len(scene.of(ANNA, LATER + DAY)) == 5


def test_c1_field_01_a_mailbox_that_no_test_has_proven_for_long_is_shown_as_not_checked(scene: Scene) -> None:
    (anna, _) = scene.json(MONDAY + timedelta(minutes=20), "mailbox", "list")
    assert anna["last_sent_at"] is not None
    assert anna["last_read_at"] is not None
    assert anna["unchecked_since"] is None
    (anna, _) = scene.json(LATER, "mailbox", "list")
    assert anna["state"] == "connected"
    assert anna["unchecked_since"] == max(anna["last_sent_at"], anna["last_read_at"], anna["last_test_at"])
    assert "not checked since" in scene.at(LATER, "mailbox", "list").stdout
    assert "not checked since" in scene.at(LATER, "mailbox", "show", ANNA).stdout
    scene.at(LATER, "mailbox", "test", ANNA)
    assert scene.json(LATER, "mailbox", "show", ANNA)["unchecked_since"] is None


def test_h1_a_pass_in_which_all_senders_have_failed_exits_5_although_their_campaign_is_paused(
    scene: Scene,
) -> None:
    scene.plan()
    for mailbox in (ANNA, BEN):
        scene.fail(mailbox)
    assert scene.pauses(LATER) == ["no_sender"]
    assert "mailbox reconnect" in scene.json(LATER, "status")["next_command"]
    told = scene.at(LATER, "run", "--once", status=5)
    assert told.stdout.startswith("nothing was sent")
    scene.at(LATER, "campaign", "pause", "intro")
    scene.at(LATER, "run", "--once")


def test_c7_people_who_joined_while_no_sender_was_able_go_on_with_the_first_one(scene: Scene) -> None:
    for mailbox in (ANNA, BEN):
        scene.fail(mailbox)
    person = "joined@life.example.com"
    scene.enrol(LATER, "intro", [person])
    assert scene.people(LATER)[person]["sender"] is None
    scene.come_back(LATER + HOUR, BEN, "--resume")
    assert scene.people(LATER + HOUR)[person]["sender"] == BEN


def test_h1_an_empty_pass_names_failed_mailboxes_although_nothing_is_due(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.at(LATER, "campaign", "pause", "intro")
    told = scene.at(LATER, "run", "--once").stdout
    assert told.startswith("nothing was sent (2 mailboxes have failed)")
