"""After a pause: no burst, nothing twice, no follow-up to a person who has answered (D1, D6, E4, H5)."""

import pytest

from tests.acceptance import autumn
from tests.life.scene import AFTER, ANNA, BEN, DAY, HOUR, INTRO, LATER, MINUTE, MONDAY, UNA, Scene

pytestmark = pytest.mark.proof


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


def test_d1_field_21_a_delay_goes_on_during_a_pause_and_no_step_is_skipped(scene: Scene) -> None:
    person = scene.waiting()[0]
    scene.at(MONDAY + HOUR, "mailbox", "set", ANNA, "--daily-limit", "500")
    first = MONDAY + 2 * HOUR
    assert person in scene.passes(first)[1][ANNA]
    scene.at(first + HOUR, "campaign", "pause", "intro")
    scene.at(first + 2 * DAY - HOUR, "campaign", "resume", "intro")
    sent = [scene.passes(first + 2 * DAY + late)[1].get(ANNA, []) for late in (-MINUTE, MINUTE)]
    assert [to.count(person) for to in sent] == [0, 1], "two days after the message, not after the resume"
    first_letter, second = scene.thread(person)
    assert second["In-Reply-To"] == first_letter["Message-ID"]
    assert scene.people(first + 3 * DAY)[person]["state"] == "finished"


def test_d6_field_40_a_copy_of_our_own_follow_up_is_nobodys_reply(scene: Scene) -> None:
    theirs = {ANNA: scene.contacted()[0], BEN: next(iter(scene.of(BEN, LATER)))}
    other = {ANNA: BEN, BEN: ANNA}
    # The campaign also writes to Ben.
    (scene.console.home / "house.toml").write_text(INTRO.replace('"intro"', '"house"'))
    scene.at(LATER, "campaign", "create", "house.toml", "--from", ANNA, by=UNA)
    scene.at(LATER, "recipient", "import", "house", "-", typed=autumn.people_file([BEN]), by=UNA)
    scene.at(LATER, "campaign", "start", "house", by=UNA)
    for mailbox in theirs:
        scene.at(LATER, "mailbox", "set", mailbox, "--daily-limit", "500")
        scene.at(LATER, "mailbox", "pause", mailbox)
    scene.passes(LATER)
    for mailbox, person in theirs.items():
        scene.at(LATER, "mailbox", "resume", mailbox)
        (message,) = [row["id"] for row in scene.outbox(LATER, "scheduled", mailbox) if row["to"] == person]
        scene.at(LATER, "outbox", "send-from", message, "--from", other[mailbox], by=UNA)
    _, sent = scene.passes(LATER + MINUTE)
    assert BEN in sent[ANNA]
    house = next(letter for letter in scene.letters(BEN) if letter["To"] == BEN)
    try:
        for mailbox, person in theirs.items():
            assert person in sent[other[mailbox]]
            letter = scene.letters(person)[-1]
            assert other[mailbox] in str(letter["From"])
            for inbox in (ANNA, BEN):
                scene.office.copy(letter, inbox)
        report, _ = scene.passes(LATER + HOUR)
        colleague = scene.people(LATER + HOUR, "house")[BEN]
        scene.office.answer(house)
        later, _ = scene.passes(LATER + 2 * HOUR)
    finally:
        for inbox in (ANNA, BEN):
            scene.office.empty(inbox)
    assert (report["replies"], later["replies"]) == (0, 1)
    people = scene.people(LATER + HOUR)
    assert {people[person]["state"] for person in theirs.values()} == {"finished"}
    assert colleague["state"] == "active", "that the copies are from Ben decides nothing"
    assert scene.people(LATER + 2 * HOUR, "house")[BEN]["state"] == "replied"


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
    asked = scene.at(soon, "mailbox", "remove", ANNA, status=7).stderr
    assert asked.startswith(f"to keep it instead: mailrotate mailbox connect {ANNA} --rejoin\n")
    scene.at(soon, "mailbox", "remove", ANNA, "--yes")
    scene.connect(soon, ANNA)
    scene.at(soon, "campaign", "sender", "add", "intro", ANNA, by=UNA)
    failed = {email for email, row in scene.people(soon).items() if row["state"] == "failed"}
    assert failed == people
    scene.at(soon, "campaign", "resume", "intro")
    _, sent = scene.passes(AFTER)
    assert people.isdisjoint(sent.get(ANNA, []))


def test_b8_field_28_a_removal_of_a_failed_mailbox_first_names_the_reconnect(scene: Scene) -> None:
    scene.fail(ANNA)
    told = scene.at(LATER, "mailbox", "remove", ANNA, "--dry-run").stderr
    assert told.startswith(f"to keep it instead: mailrotate mailbox reconnect {ANNA}\n")


def test_h5_field_38_a_person_who_answered_during_the_gap_gets_no_follow_up(scene: Scene) -> None:
    answered, *others = scene.contacted()
    scene.fail(ANNA)
    try:
        scene.office.answer(scene.thread(answered)[0])
        scene.come_back(LATER + HOUR, ANNA)
        report, sent = scene.passes(LATER + HOUR + MINUTE)
    finally:
        scene.office.empty(ANNA)
    assert report["replies"] == 1
    assert {answered, *others} & {*sent[ANNA]} == {*others}
    assert scene.people(AFTER)[answered]["state"] == "replied"
