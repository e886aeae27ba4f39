"""A mailbox is disconnected: what that says, pauses and begins (A4, C4, C5, C6, C14)."""

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MINUTE, NEU, OF_ANNA, SOLO, UNA, Scene

ENDS_AT = "2031-03-05T13:01:00Z"


def test_c4_story_16_field_36_a_dry_run_says_what_follows_and_changes_nothing(scene: Scene) -> None:
    ran = scene.at(LATER, "mailbox", "disconnect", ANNA, "--dry-run", standing=True)
    told = ran.stdout + ran.stderr
    assert "campaign intro pauses; recipients who wait for this mailbox: 5" in told
    assert "unless it is back in intro by 2031-03-05 13:01:00 UTC: 3 contacted recipients are stopped" in told
    assert "2 go to another sender" in told
    assert f"mailrotate mailbox reconnect {ANNA} --resume" in told
    assert scene.json(LATER, "mailbox", "show", ANNA)["state"] == "connected"
    assert scene.pauses(LATER) == []
    assert scene.deadlines(LATER) == []


def test_c5_a_dry_run_names_the_slot_in_which_another_address_goes_on(scene_with_solo: Scene) -> None:
    slot = scene_with_solo.json(LATER, "mailbox", "show", ANNA)["slot"]
    told = scene_with_solo.at(LATER, "mailbox", "disconnect", ANNA, "--dry-run").stderr
    way_on = f"mailrotate mailbox connect ADDRESS --slot {slot}"
    assert [line for line in told.splitlines() if way_on in line] == [
        f"to go on with campaign solo from another address: {way_on}"
    ]


def test_c4_story_17_without_yes_and_without_a_terminal_nothing_is_disconnected(scene: Scene) -> None:
    scene.at(LATER, "mailbox", "disconnect", ANNA, status=7)
    assert scene.json(LATER, "mailbox", "show", ANNA)["state"] == "connected"


def test_c6_story_18_a_disconnect_pauses_deletes_the_secret_and_starts_the_hour(
    scene_with_solo: Scene,
) -> None:
    scene = scene_with_solo
    scene.disconnect()
    assert scene.pauses(LATER) == ["mailbox_disconnected"]
    assert scene.pauses(LATER, "solo") == ["mailbox_disconnected"]
    assert scene.execute(f"SELECT secret {OF_ANNA}") == [(None,)]
    (row,) = scene.deadlines(LATER)
    assert (row["mailbox"], row["campaign"], row["kind"]) == (ANNA, "intro", "disconnect")
    assert (row["recipients"], row["started_at"], row["ends_at"]) == (5, "2031-03-05T12:01:00Z", ENDS_AT)


def test_c14_story_19_a_single_sender_campaign_has_no_deadline(scene_with_solo: Scene) -> None:
    scene = scene_with_solo
    scene.disconnect()
    assert [row["campaign"] for row in scene.deadlines(LATER)] == ["intro"]
    month = LATER + 30 * DAY
    scene.passes(month, status=None)
    assert scene.states(month, "solo") == {"active": 2}
    assert {row["sender"] for row in scene.people(month, "solo").values()} <= {ANNA, None}
    scene.connect(month, ANNA)
    scene.at(month, "campaign", "resume", "solo")
    _, sent = scene.passes(month + MINUTE)
    assert sorted(sent[ANNA]) == sorted(SOLO), "they have kept their place"


def test_c5_story_34_another_address_in_the_slot_takes_the_single_sender_campaign_on(
    scene_with_solo: Scene,
) -> None:
    scene = scene_with_solo
    slot = scene.json(LATER, "mailbox", "show", ANNA)["slot"]
    scene.disconnect()
    soon = LATER + 5 * MINUTE
    asked = scene.connect(soon, NEU, "--slot", slot, status=7)
    assert f"{ANNA} was in this slot, and its grace in campaign intro runs until" in asked.stderr
    told = scene.connect(soon, NEU, "--slot", slot, "--yes")
    assert f"2 people move to {NEU} in solo; replies to {ANNA} may go unseen" in told.stdout
    scene.at(soon, "campaign", "resume", "solo")
    _, sent = scene.passes(LATER + 30 * MINUTE)
    assert sent.pop(NEU) == list(SOLO)
    assert sent == {}
    for person in SOLO:
        first, second = scene.thread(person)
        assert ANNA in str(first["From"])
        assert NEU in str(second["From"])
        assert second["In-Reply-To"] == first["Message-ID"]
    senders = scene.json(soon, "campaign", "sender", "list", "intro")
    assert [each["address"] for each in senders] == [ANNA, BEN]


def test_a4_story_35_a_removed_slot_starts_the_hour(scene: Scene) -> None:
    slot = scene.json(LATER, "mailbox", "show", ANNA)["slot"]
    scene.at(LATER, "slot", "remove", slot, "--yes", standing=True)
    assert scene.pauses(LATER) == ["mailbox_disconnected"]
    assert scene.execute(f"SELECT secret {OF_ANNA}") == [(None,)]
    (row,) = scene.deadlines(LATER)
    assert (row["mailbox"], row["campaign"], row["kind"]) == (ANNA, "intro", "disconnect")
    assert (row["recipients"], row["ends_at"]) == (5, ENDS_AT)


def test_c8_a_second_disconnect_within_the_hour_leaves_the_hour_running(scene: Scene) -> None:
    scene.disconnect()
    scene.connect(LATER + 10 * MINUTE, ANNA)
    scene.disconnect(instant=LATER + 20 * MINUTE)
    (row,) = scene.deadlines(LATER + 20 * MINUTE)
    assert (row["recipients"], row["ends_at"]) == (5, ENDS_AT)
    assert scene.states(LATER + HOUR)["stopped"] == 3


def test_c8_a_mailbox_that_fails_within_its_hour_and_is_disconnected_has_its_hour_still(scene: Scene) -> None:
    scene.disconnect()
    scene.connect(LATER + 10 * MINUTE, ANNA)
    scene.fail(ANNA, LATER + 15 * MINUTE)
    scene.disconnect(instant=LATER + 20 * MINUTE)
    assert [row["recipients"] for row in scene.deadlines(LATER + 20 * MINUTE)] == [5]


def test_c10_a_failed_mailbox_that_is_added_again_within_its_hour_has_nine_days(scene: Scene) -> None:
    scene.disconnect()
    soon = LATER + 10 * MINUTE
    scene.connect(soon, ANNA)
    scene.fail(ANNA, soon)
    scene.at(soon, "campaign", "sender", "add", "intro", ANNA, by=UNA)
    (row,) = scene.deadlines(soon)
    assert (row["kind"], row["recipients"]) == ("failure", 5)
    assert scene.outbox(soon, "scheduled") == []
    assert scene.states(soon + 9 * DAY + MINUTE)["stopped"] == 3
