"""A failed mailbox is reconnected, in one step (C3)."""

from typing import Any

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MINUTE, OF_ANNA, Scene


def test_c3_story_03_a_reconnect_keeps_every_setting_and_renews_the_secret(scene: Scene) -> None:
    scene.office.add_folder(ANNA, "Lists")
    words = ("mailbox", "signature", "add", ANNA, "work", "--body", "-", "--main")
    scene.at(LATER, *words, typed="Anna, of Life")
    wanted = ("--sender-name", "Anna of Life", "--gap", "5s", "--folders", "Lists")
    scene.at(LATER, "mailbox", "set", ANNA, *wanted)
    scene.at(LATER, "mailbox", "alias", "add", ANNA, "annie@life.example.org")

    def kept() -> Any:
        shown = scene.json(LATER, "mailbox", "show", ANNA)
        signatures = scene.json(LATER, "mailbox", "signature", "list", ANNA)
        return [*(shown[key] for key in ("settings", "aliases", "slot", "default")), signatures]

    def generation() -> Any:
        return scene.execute(f"SELECT generation {OF_ANNA}")

    before, ((first,),) = kept(), generation()
    values = {name: each["value"] for name, each in before[0].items()}
    assert (values["sender_name"], values["daily_limit"], values["gap"]) == ("Anna of Life", 3, 5)
    assert (values["folders"], values["signature"]) == ("INBOX, Lists", "work")
    assert [alias["address"] for alias in before[1]] == ["annie@life.example.org"]
    scene.fail(ANNA)
    scene.come_back(LATER, ANNA)
    assert kept() == before
    assert generation() == [(first + 1,)]


def test_c3_story_04_after_a_reconnect_everybody_goes_on(scene: Scene) -> None:
    people = scene.contacted()
    scene.fail(ANNA)
    scene.take_login(ANNA)
    told = scene.reconnect(LATER + 2 * DAY, ANNA)
    assert "5 people go on (3 follow-ups, 2 first messages), the first with the next run" in told.stdout
    report, sent = scene.passes(LATER + 2 * DAY + MINUTE)
    assert sorted(sent[ANNA]) == sorted(people), "the follow-ups go before first messages"
    assert report["stopped"] == 0
    for person in people:
        first, second = scene.thread(person)
        assert ANNA in str(second["From"])
        assert second["In-Reply-To"] == first["Message-ID"], "D5: in the thread"


def test_c6_story_06_a_person_resumes_what_the_failure_paused_and_nothing_else(
    scene_with_solo: Scene,
) -> None:
    scene = scene_with_solo
    scene.fail(ANNA)
    scene.take_login(ANNA)
    told = scene.reconnect(LATER + HOUR, ANNA)
    assert "mailrotate campaign resume solo" in told.stdout
    assert scene.pauses(LATER + HOUR, "solo") == ["mailbox_failed"]
    scene.at(LATER + HOUR, "campaign", "pause", "intro")
    assert scene.come_back(LATER + HOUR, ANNA, "--resume")["resumed"] == ["solo"]
    assert scene.json(LATER + HOUR, "campaign", "show", "solo")["state"] == "active"
    assert scene.pauses(LATER + HOUR) == ["by_hand"]


def test_c15_story_08_errors_of_a_mailbox_that_is_back_are_scheduled_and_leave_once(scene: Scene) -> None:
    planned = [row["id"] for row in scene.outbox(LATER, "scheduled")]
    assert len(planned) == 2
    scene.fail(ANNA)
    scene.come_back(LATER + HOUR, ANNA)
    assert [row["id"] for row in scene.outbox(LATER + HOUR, "scheduled")] == planned
    assert scene.outbox(LATER + HOUR, "error") == []
    scene.at(LATER + HOUR, "mailbox", "set", ANNA, "--daily-limit", "500")
    _, sent = scene.passes(LATER + HOUR)
    assert sorted(sent[ANNA]) == sorted(scene.of(ANNA, LATER)), "each of the five once"
    assert {scene.json(LATER + HOUR, "outbox", "show", one)["state"] for one in planned} == {"sent"}


def test_c3_a_reconnect_promises_nothing_to_people_who_wait_for_the_mailbox_to_be_added_again(
    scene: Scene,
) -> None:
    scene.disconnect()
    soon = LATER + 10 * MINUTE
    scene.connect(soon, ANNA)
    scene.fail(ANNA, soon)
    back = scene.come_back(soon, ANNA)
    assert (back["people_going_on"], back["awaiting"]) == (0, ["intro"])


def test_c3_a_reconnect_tells_one_story_while_its_campaign_stays_paused(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.take_login(ANNA)
    told = scene.reconnect(LATER + HOUR, ANNA).stdout.splitlines()
    assert told[-2:] == [
        f"reconnected {ANNA}; its recipients go on when their campaigns are resumed",
        "campaign 'intro' is still paused because no sender was able to send (5 people wait): "
        "mailrotate campaign resume intro",
    ]


def test_c6_a_resume_tells_who_goes_on_from_when_and_who_still_waits_for_what(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.take_login(ANNA)
    scene.reconnect(LATER, ANNA)
    told = scene.at(LATER, "campaign", "resume", "intro", standing=True).stdout.splitlines()
    assert told[0] == "resumed campaign 'intro': 5 people go on, the next message with the next run"
    assert told[1].startswith(f"  5 people still wait for {BEN}: the mailbox has failed: ")
    assert told[1].endswith(f"; to end that: mailrotate mailbox reconnect {BEN}")
    scene.at(LATER, "campaign", "pause", "intro")
    document = scene.json(LATER, "campaign", "resume", "intro")["campaigns"][0]
    assert document["recipients"] == 5
    assert document["next_at"].startswith("2031-03-05T12:01:00")
    assert [(held["address"], held["recipients"]) for held in document["held"]] == [(BEN, 5)]
