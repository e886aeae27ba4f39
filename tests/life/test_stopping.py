"""The hour has ended: who is stopped, who goes to another sender, and that it is for good (B8, C9, C11)."""

from tests.acceptance import autumn
from tests.life.scene import AFTER, ANNA, BEN, DAY, LATER, MINUTE, UNA, Scene
from tests.support.program import Completed
from tests.support.scripted_smtp import answers, closes

FOR_GOOD = "was stopped in this campaign, for good"


def test_c9_story_25_field_39_exactly_the_contacted_ones_are_stopped(scene: Scene) -> None:
    people = scene.contacted()
    waiting = scene.waiting()
    scene.disconnect()
    report, _ = scene.passes(AFTER)
    assert (report["stopped"], report["reassigned"]) == (3, 2)
    found = scene.people(AFTER)
    assert scene.stopped(AFTER) == set(people)
    assert all(ANNA in found[person]["reason"] for person in people)
    assert [(found[person]["state"], found[person]["sender"]) for person in waiting] == [("queued", BEN)] * 2


def test_c11_story_26_every_reader_says_stopped_although_nothing_ran(scene: Scene) -> None:
    people = scene.contacted()
    scene.disconnect()
    assert scene.stopped(AFTER) == set(people)
    assert scene.states(AFTER) == {"stopped": 3, "active": 5, "queued": 2}
    assert "3 stopped" in scene.at(AFTER, "campaign", "show", "intro").stdout
    assert "3 stopped" in scene.at(AFTER, "status").stdout
    assert "stopped" in scene.at(AFTER, "why", "intro", people[0]).stdout
    assert "stopped" in scene.at(AFTER, "contact", "show", people[0]).stdout
    assert scene.deadlines(AFTER) == []
    asked = scene.at(AFTER, "campaign", "stop", "intro", status=7)
    assert "7 recipients" in asked.stdout + asked.stderr


def test_c9_story_27_no_command_brings_a_stopped_recipient_back(scene: Scene) -> None:
    people, waiting = scene.contacted(), scene.waiting()
    planned = {row["id"]: row["to"] for row in scene.plan()}
    assert sorted(planned.values()) == sorted([*people, *waiting])
    letters = {person: len(scene.letters(person)) for person in people}
    scene.disconnect()

    def typed(*words: str, status: int) -> Completed:
        ran = scene.at(AFTER, *words, "--json", by=UNA, status=status)
        assert scene.stopped(AFTER) == set(people), words
        return ran

    for person in people:
        error = typed("recipient", "remove", "intro", person, "--yes", status=4).error()
        assert (error["code"], person in error["message"]) == ("recipient.ended", True)
    imported = typed("recipient", "import", "intro", "people.csv", status=8).json()
    told = {row["email"] for row in imported["problems"] if row["problem"] == FOR_GOOD}
    assert (imported["imported"], told, len(imported["problems"])) == (0, set(people), 10)
    for person in people:
        fields = ("--field", "first_name=P", "--field", "company=C")
        message = typed("recipient", "add", "intro", person, *fields, status=4).error()["message"]
        assert message == f"{person}: {FOR_GOOD}"
    retried = typed("outbox", "retry", *planned, status=4).json()
    assert {row["id"]: row["reason"] for row in retried["refused"]} == dict.fromkeys(
        planned, "it is cancelled, not in error"
    )
    assigned = typed("recipient", "assign", "intro", *people, "--to-sender", BEN, status=8).json()
    assert (assigned["assigned"], len(assigned["problems"])) == (0, 3)
    assert {row["email"] for row in assigned["problems"] if "is stopped" in row["problem"]} == set(people)
    words = ("recipient", "assign", "intro", "--from-sender", ANNA, "--to-sender", BEN)
    assigned = typed(*words, status=8).json()
    assert (assigned["assigned"], len(assigned["problems"])) == (0, 3)
    removed = typed("mailbox", "remove", ANNA, "--move-to", BEN, "--yes", status=0).json()
    assert [(row["campaign"], row["moved"], row["failed"]) for row in removed["campaigns"]] == [
        ("intro", 0, 0)
    ]
    typed("campaign", "resume", "intro", status=0)
    for days in (0, 2, 5, 30):
        _, sent = scene.passes(AFTER + days * DAY, status=None)
        assert {person for to in sent.values() for person in to}.isdisjoint(people)
    assert scene.states(AFTER + 30 * DAY) == {"stopped": 3, "finished": 7}
    assert {person: len(scene.letters(person)) for person in people} == letters


def test_c9_story_29_an_erased_address_is_still_stopped_in_this_campaign_and_in_no_other(
    scene: Scene,
) -> None:
    one = scene.contacted()[0]
    letters = len(scene.letters(one))
    scene.disconnect()
    scene.passes(AFTER)
    # No command erases a contact yet: this is what an erasure leaves of one.
    gone = "address = NULL, canonical = NULL, domain = NULL, fields = '{}', erased_at = created_at"
    scene.execute(f"UPDATE contact SET {gone} WHERE address = ?", one)
    scene.at(AFTER, "contact", "show", one, status=3)
    ran = scene.at(
        AFTER,
        "recipient",
        "import",
        "intro",
        "-",
        "--json",
        typed=autumn.people_file([one]),
        by=UNA,
        status=8,
    ).json()
    assert (ran["imported"], ran["problems"]) == (0, [{"line": 2, "email": one, "problem": FOR_GOOD}])
    fields = ("--field", "first_name=P", "--field", "company=C")
    error = scene.refused(AFTER, "recipient", "add", "intro", one, *fields, status=4, by=UNA)
    assert error["message"] == f"{one}: {FOR_GOOD}"
    scene.at(AFTER, "campaign", "resume", "intro")
    scene.start_campaign(AFTER, "second", [one], BEN)
    assert scene.people(AFTER, "second")[one]["state"] == "queued"
    _, sent = scene.passes(AFTER + MINUTE)
    assert sent[BEN].count(one) == 1, "of the second campaign"
    assert len(scene.letters(one)) == letters + 1
    assert scene.states(AFTER + MINUTE)["stopped"] == 3


def test_c9_story_30_added_again_after_the_hour_it_is_a_new_sender(scene: Scene) -> None:
    scene.disconnect()
    scene.passes(AFTER)
    assert len(scene.of(BEN, AFTER)) == 7
    scene.connect(AFTER, ANNA)
    scene.at(AFTER, "campaign", "sender", "add", "intro", ANNA, by=UNA)
    more = [f"more{number}@life.example.com" for number in range(4)]
    scene.enrol(AFTER, "intro", more)
    found = scene.people(AFTER)
    assert sorted(found[person]["sender"] for person in more) == [ANNA, ANNA, BEN, BEN]
    assert len(scene.of(BEN, AFTER)) == 9
    assert {row["sent"] for row in scene.of(ANNA, AFTER).values() if row["state"] != "stopped"} == {0}


def test_c9_story_31_a_held_message_of_a_stopped_recipient_stays_held_until_a_person_settles_it(
    scene: Scene,
) -> None:
    one, *_ = scene.contacted()
    with scene.misbehaving(ANNA, {"dot": closes()}):
        scene.passes(LATER)
    (held,) = scene.outbox(LATER, "held")
    assert held["to"] == one
    scene.disconnect()
    assert one in scene.stopped(AFTER)
    assert [row["id"] for row in scene.outbox(AFTER, "held")] == [held["id"]]
    scene.at(AFTER, "outbox", "resolve", held["id"], "--not-sent")
    assert scene.json(AFTER, "outbox", "show", held["id"])["state"] == "cancelled"
    assert one in scene.stopped(AFTER)


def test_c9_story_33_a_queued_recipient_whose_only_message_is_in_error_goes_to_another_sender(
    scene: Scene,
) -> None:
    one, other = scene.waiting()
    scene.at(LATER, "mailbox", "set", ANNA, "--daily-limit", "500")
    with scene.misbehaving(ANNA, {"dot": [*[answers("250 2.0.0 taken")] * 3, answers("554 5.6.0 no")]}):
        scene.passes(LATER)
    (error,) = scene.outbox(LATER, "error")
    assert (error["to"], error["error"]["class"], error["error"]["code"]) == (one, "message", 554)
    scene.disconnect()
    people = scene.people(AFTER)
    assert (people[one]["state"], people[one]["sender"]) == ("queued", BEN)
    assert people[other]["state"] == "stopped", "it had a message"
    assert scene.json(AFTER, "outbox", "show", error["id"])["state"] == "cancelled"


def test_c11_story_57_a_removal_after_the_hour_finds_stopped_people(scene: Scene) -> None:
    scene.disconnect()
    scene.at(AFTER, "mailbox", "remove", ANNA, "--yes")
    assert scene.states(AFTER) == {"stopped": 3, "active": 5, "queued": 2}


def test_b8_story_57_a_removal_within_the_hour_fails_them(scene: Scene) -> None:
    scene.disconnect()
    soon = LATER + 30 * MINUTE
    scene.at(soon, "mailbox", "remove", ANNA, "--yes")
    assert scene.states(soon) == {"failed": 3, "active": 5, "queued": 2}
    assert scene.deadlines(soon) == []
    assert scene.stopped(AFTER) == set()
