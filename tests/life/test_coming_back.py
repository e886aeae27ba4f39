"""After a pause: no burst, nothing twice, no follow-up to a person who has answered (D1, D6, E4, H5)."""

from tests.life.scene import AFTER, ANNA, BEN, DAY, HOUR, INTRO, LATER, MINUTE, UNA, Scene


def test_e4_field_18_a_limit_holds_after_a_reconnect(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.come_back(LATER + DAY, ANNA)
    days = [scene.passes(LATER + days * DAY + HOUR, status=None)[1].get(ANNA, []) for days in (1, 2)]
    assert [len(to) for to in days] == [3, 2]
    assert len({*days[0], *days[1]}) == 5


def test_d1_field_19_after_a_month_of_pause_a_person_gets_one_message_and_the_next_after_its_delay(
    scene: Scene,
) -> None:
    (scene.console.home / "three.toml").write_text(
        INTRO.replace('"intro"', '"three"') + '[[steps]]\ndelay = "2d"\ntext = "Again, {{ first_name }}."\n'
    )
    person = "three@life.example.com"
    scene.at(LATER, "campaign", "create", "three.toml", "--from", BEN, by=UNA)
    scene.enrol(LATER, "three", [person])
    scene.at(LATER, "campaign", "start", "three", by=UNA)
    scene.passes(LATER + MINUTE)
    scene.at(LATER + HOUR, "campaign", "pause", "three")
    month = LATER + 30 * DAY
    scene.at(month, "campaign", "resume", "three")
    sent = [
        scene.passes(month + hours * HOUR, status=None)[1].get(BEN, []).count(person)
        for hours in (1, 24, 47, 50)
    ]
    assert sent == [1, 0, 0, 1]


def test_f3_field_22_five_failures_and_pauses_send_each_step_once(scene: Scene) -> None:
    scene.at(LATER, "mailbox", "set", ANNA, "--daily-limit", "500")
    received = []
    for hours in range(5):
        began = LATER + hours * HOUR
        scene.fail(ANNA, began)
        scene.at(began, "campaign", "pause", "intro")
        scene.at(began + MINUTE, "campaign", "resume", "intro")
        scene.passes(began + 2 * MINUTE, status=None)
        scene.come_back(began + 10 * MINUTE, ANNA)
        _, sent = scene.passes(began + 20 * MINUTE, status=None)
        received += [person for to in sent.values() for person in to]
    scene.passes(LATER + 3 * DAY)
    people = scene.people(LATER + 3 * DAY).values()
    assert [(row["sent"], row["state"]) for row in people] == [(2, "finished")] * 10
    assert len(received) == len(set(received))


def test_b8_field_28_removed_and_connected_again_within_the_hour_is_a_stranger(scene: Scene) -> None:
    people = set(scene.contacted())
    scene.disconnect()
    soon = LATER + 10 * MINUTE
    scene.at(soon, "mailbox", "remove", ANNA, "--yes")
    scene.connect(soon, ANNA)
    scene.at(soon, "campaign", "sender", "add", "intro", ANNA, by=UNA)
    failed = {email for email, row in scene.people(soon).items() if row["state"] == "failed"}
    assert failed == people
    scene.at(soon, "campaign", "resume", "intro")
    _, sent = scene.passes(AFTER)
    assert people.isdisjoint(sent.get(ANNA, []))


def test_h5_field_38_a_person_who_answered_during_the_gap_gets_no_follow_up(scene: Scene) -> None:
    answered, *others = scene.contacted()
    scene.fail(ANNA)
    try:
        scene.office.answer(scene.letters(answered)[0])
        scene.come_back(LATER + HOUR, ANNA)
        report, sent = scene.passes(LATER + HOUR + MINUTE)
    finally:
        scene.office.empty(ANNA)
    assert report["replies"] == 1
    assert {answered, *others} & {*sent[ANNA]} == {*others}
    assert scene.people(AFTER)[answered]["state"] == "replied"
