"""Change the senders of a rotation: remove one, and move a recipient to another mailbox (E3, E5)."""

from datetime import datetime

from tests.life.scene import AFTER, ANNA, BEN, CLEO, DAY, INTRO, LATER, MAX, MINUTE, UNA, Scene


def test_e3_story_58_a_connected_sender_is_taken_out(scene: Scene) -> None:
    bens = set(scene.of(BEN, LATER))
    scene.at(LATER, "campaign", "sender", "remove", "intro", BEN, status=7)
    done = scene.json(LATER, "campaign", "sender", "remove", "intro", BEN, "--yes")
    assert (done["finished"], done["reassigned"]) == (5, 0)
    ended = {person: row for person, row in scene.people(LATER).items() if row["state"] == "finished"}
    assert set(ended) == bens
    assert {row["reason"] for row in ended.values()} == {"sender_removed"}


def test_c7_a_rotation_that_loses_its_last_able_sender_pauses(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.at(LATER, "campaign", "sender", "remove", "intro", BEN, "--yes")
    assert scene.pauses(LATER) == ["no_sender"]


def counts(scene: Scene) -> dict[str, int]:
    """What the rotation has assigned to each sender."""
    senders = scene.json(LATER, "campaign", "sender", "list", "intro")
    return {each["address"]: each["assigned"] for each in senders}


def test_e1_story_49_a_sender_that_fails_and_recovers_eight_times_is_never_more_than_one_apart(
    scene: Scene,
) -> None:
    assert counts(scene) == {ANNA: 5, BEN: 5}
    scene.connect(LATER, CLEO)
    scene.share(LATER, CLEO)
    scene.at(LATER, "campaign", "sender", "add", "intro", CLEO, by=UNA)
    for number in range(8):
        if is_away := number % 2 == 0:
            scene.fail(CLEO)
        else:
            scene.take_login(CLEO)
            scene.at(LATER, "mailbox", "test", CLEO)
        person = f"flap{number}@life.example.com"
        scene.enrol(LATER, "intro", [person])
        able = [count for mailbox, count in counts(scene).items() if mailbox != CLEO or not is_away]
        assert (len(able), max(able) - min(able) <= 1) == (2 if is_away else 3, True)
        assert scene.people(LATER)[person]["sender"] != CLEO or not is_away
    assert counts(scene) == {ANNA: 9, BEN: 9, CLEO: 8}


def test_e5_story_50_field_41_field_42_a_message_and_all_later_ones_leave_from_another_mailbox(
    scene: Scene,
) -> None:
    person, other, *_ = scene.contacted()
    before = counts(scene)
    (planned,) = [row for row in scene.plan() if row["to"] == person]
    message = planned["id"]
    scene.at(LATER, "outbox", "send-from", message, "--from", BEN, by=UNA)
    moved = scene.json(LATER, "outbox", "show", message)
    assert (planned["from"], moved["from"]) == (ANNA, BEN)
    assert scene.people(LATER)[person]["sender"] == BEN
    assert scene.people(LATER)[other]["sender"] == ANNA
    assert counts(scene) == before
    _, sent = scene.passes(LATER + MINUTE)
    assert person in sent[BEN]
    assert other in sent[ANNA]
    first, second = scene.thread(person)
    assert second["In-Reply-To"] == first["Message-ID"]
    assert BEN in str(second["From"])
    scene.refused(LATER, "mailbox", "show", ANNA, status=4, by=MAX)
    scene.disconnect(instant=LATER + 2 * MINUTE)
    assert person not in scene.stopped(AFTER + 2 * MINUTE), "its place has moved with it"


def test_e5_story_50_every_later_message_leaves_from_the_other_mailbox_in_its_thread(scene: Scene) -> None:
    one, other = (f"long{number}@life.example.com" for number in range(2))
    third = '[[steps]]\ndelay = "2d"\ntext = "Once more, {{ first_name }}."\n'
    scene.at(LATER, "mailbox", "set", ANNA, "--daily-limit", "500")
    scene.start_campaign(
        LATER, "long", [one, "of-ben@life.example.com", other], ANNA, BEN, text=INTRO + third
    )
    scene.passes(LATER)
    due = LATER + 2 * DAY + MINUTE
    (planned,) = [row["id"] for row in scene.plan(due) if row["to"] == one]
    scene.at(due, "outbox", "send-from", planned, "--from", BEN, by=UNA)
    for round_of in (due, due + 2 * DAY + MINUTE):
        _, sent = scene.passes(round_of + MINUTE)
        assert (one in sent[BEN], other in sent[ANNA]) == (True, True)
    letters = scene.letters(one)
    assert [str(letter["From"]).partition("<")[2].strip(">") for letter in letters] == [ANNA, BEN, BEN]
    assert [letter["In-Reply-To"] for letter in letters[1:]] == [
        letter["Message-ID"] for letter in letters[:2]
    ]


def test_e5_story_51_what_is_sent_or_stopped_stays_and_a_mailbox_that_is_away_takes_nothing(
    scene: Scene,
) -> None:
    person = scene.contacted()[0]
    planned = {row["to"]: row["id"] for row in scene.plan()}
    (sent,) = [row["id"] for row in scene.outbox(LATER, "sent") if row["to"] == person]

    def refused(message: str, mailbox: str, instant: datetime = LATER) -> str:
        words = ("outbox", "send-from", message, "--from", mailbox)
        return str(scene.refused(instant, *words, status=4, by=UNA)["code"])

    assert refused(sent, BEN) == "outbox.refused"
    scene.connect(LATER, CLEO)
    assert refused(planned[person], CLEO) == "mailbox.personal"
    scene.disconnect(BEN)
    assert refused(planned[person], BEN) == "mailbox.not_connected"
    scene.connect(LATER, BEN)
    scene.at(LATER, "mailbox", "set", BEN, "--access", "shared")
    scene.at(LATER, "mailbox", "share", "add", BEN, UNA)
    scene.disconnect(ANNA)
    assert refused(planned[person], BEN, AFTER) == "outbox.refused"
    assert person in scene.stopped(AFTER)
