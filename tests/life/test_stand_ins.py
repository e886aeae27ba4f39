"""Mailboxes that send for a step or for people without being senders of the campaign (C14, B8, D9, E5)."""

from datetime import datetime

import pytest

from tests.life.scene import ANNA, BEN, CLEO, DAY, HOUR, INTRO, LATER, MINUTE, UNA, Scene

pytestmark = pytest.mark.proof

STEPWISE = INTRO.replace('delay = "2d"', f'delay = "1d"\nfrom = "{CLEO}"')
FIRST_AT = LATER
DUE_AT = LATER + DAY + MINUTE
PEOPLE = [f"p{number}@life.example.com" for number in range(3)]


def connect_cleo(scene: Scene, instant: datetime) -> None:
    scene.connect(instant, CLEO)
    scene.share(instant, CLEO)


def stepwise(scene: Scene) -> None:
    """Ben writes the first step to three people; the second is Cleo's."""
    connect_cleo(scene, FIRST_AT - HOUR)
    scene.at(FIRST_AT, "campaign", "pause", "intro")
    scene.start_campaign(FIRST_AT, "stepwise", PEOPLE, BEN, text=STEPWISE)
    scene.passes(FIRST_AT)


def lose(scene: Scene, how: str, instant: datetime) -> None:
    if how == "failed":
        scene.fail(CLEO, instant)
    else:
        scene.disconnect(CLEO, instant)


def bring_back(scene: Scene, how: str, instant: datetime) -> None:
    scene.take_login(CLEO)
    if how == "failed":
        back = scene.json(instant, "mailbox", "reconnect", CLEO, "--password-stdin")
        assert back["people_going_on"] == back["follow_ups"] == 3
    else:
        scene.connect(instant, CLEO)


def of_cleo(scene: Scene, instant: datetime) -> list[tuple[str, str | None]]:
    rows = scene.json(instant, "outbox", "list", "--mailbox", CLEO)
    return [(row["state"], row["error"] and row["error"]["class"]) for row in rows if row["state"] != "sent"]


CUT_OFF, SCHEDULED = ("error", "connection"), ("scheduled", None)


def plan_for_cleo(scene: Scene) -> None:
    scene.at(DUE_AT, "mailbox", "pause", CLEO)
    scene.passes(DUE_AT, status=None)
    assert of_cleo(scene, DUE_AT) == [SCHEDULED] * 3


@pytest.mark.parametrize("how", ["failed", "disconnected"])
@pytest.mark.parametrize("planned_first", [True, False], ids=["planned", "due later"])
def test_c14_messages_of_a_steps_own_sender_are_errors_while_it_is_away(
    scene: Scene, how: str, planned_first: bool
) -> None:
    stepwise(scene)
    if planned_first:
        plan_for_cleo(scene)
        scene.at(DUE_AT, "mailbox", "resume", CLEO)
    lose(scene, how, DUE_AT)
    scene.passes(DUE_AT, status=5)
    assert of_cleo(scene, DUE_AT) == [CUT_OFF] * 3
    hints = [row["error"]["hint"] for row in scene.json(DUE_AT, "outbox", "list", "--state", "error")]
    verb = "reconnect" if how == "failed" else "connect"
    assert hints == [f"mailrotate mailbox {verb} {CLEO}"] * 3
    shown = scene.json(DUE_AT, "campaign", "show", "stepwise")
    assert (shown["state"], shown["pause_reasons"]) == ("active", []), "the campaign goes on"
    assert scene.deadlines(DUE_AT) == [], "without a deadline"
    much_later = DUE_AT + 30 * DAY
    assert scene.states(much_later, "stepwise") == {"active": 3}
    bring_back(scene, how, DUE_AT + HOUR)
    assert of_cleo(scene, DUE_AT + HOUR) == [SCHEDULED] * 3
    _, sent = scene.passes(DUE_AT + HOUR)
    assert sorted(sent[CLEO]) == PEOPLE
    assert [scene.letters(person)[-1]["From"].addresses[0].addr_spec for person in PEOPLE] == [CLEO] * 3


@pytest.mark.parametrize("how", ["failed", "disconnected"])
def test_h4_d9_late_messages_of_a_steps_own_sender_are_told_and_parked(scene: Scene, how: str) -> None:
    stepwise(scene)
    lose(scene, how, DUE_AT)
    for days in (0, 3, 6, 8):
        scene.passes(DUE_AT + days * DAY, status=None)
    late = DUE_AT + 8 * DAY + MINUTE
    scene.take_login(CLEO)
    if how == "failed":
        back = scene.reconnect(late, CLEO, "--park-late", "--json").json()
    else:
        back = scene.connect(late, CLEO, "--park-late", "--json").json()
    assert back["late"] == [{"campaign": "stepwise", "messages": 3, "parked": True}]
    assert scene.passes(late + MINUTE)[1] == {}
    assert scene.json(late + HOUR, "outbox", "release", "--campaign", "stepwise")["released"] == 3
    assert sorted(scene.passes(late + HOUR)[1][CLEO]) == PEOPLE


def test_f1_errors_of_a_steps_own_sender_stay_within_the_room_of_the_campaigns_mailbox(scene: Scene) -> None:
    stepwise(scene)
    scene.at(FIRST_AT, "mailbox", "set", BEN, "--daily-limit", "1")
    lose(scene, "failed", FIRST_AT)
    for minutes in range(3):
        scene.passes(DUE_AT + minutes * MINUTE, status=None)
    assert of_cleo(scene, DUE_AT) == [CUT_OFF] * 2, "one for today, one for tomorrow"


def test_c14_a_disconnect_shows_the_campaign_in_which_only_a_step_names_the_mailbox(scene: Scene) -> None:
    stepwise(scene)
    shown = scene.json(DUE_AT, "mailbox", "disconnect", CLEO, "--dry-run")
    assert [(row["campaign"], row["comes_back_by"]) for row in shown["campaigns"]] == [("stepwise", None)]


def moved_to_cleo(scene: Scene, way: str) -> str:
    """Let Cleo send to one of Ben's people of the rotation, of which she is not a sender."""
    connect_cleo(scene, LATER - HOUR)
    person = next(iter(scene.of(BEN, LATER)))
    if way == "assign":
        scene.at(LATER, "recipient", "assign", "intro", "--from-sender", BEN, "--to-sender", CLEO)
    elif way == "move-to":
        scene.at(LATER, "mailbox", "remove", BEN, "--move-to", CLEO, "--yes")
    else:
        scene.at(LATER, "mailbox", "pause", BEN)
        scene.passes(LATER)
        scene.at(LATER, "mailbox", "resume", BEN)
        (planned,) = (row for row in scene.outbox(LATER, "scheduled", BEN) if row["to"] == person)
        scene.at(LATER, "outbox", "send-from", planned["id"], "--from", CLEO, by=UNA)
    return person


@pytest.mark.parametrize("how", ["failed", "disconnected"])
@pytest.mark.parametrize("way", ["assign", "send-from", "move-to"])
def test_c14_field_44_people_on_a_mailbox_that_is_not_a_sender_wait_in_error_without_a_deadline(
    scene: Scene, how: str, way: str
) -> None:
    person = moved_to_cleo(scene, way)
    lose(scene, how, LATER)
    scene.passes(LATER, status=None)
    assert set(of_cleo(scene, LATER)) == {CUT_OFF}
    assert scene.pauses(LATER) == []
    assert scene.deadlines(LATER) == []
    much_later = LATER + 30 * DAY
    assert scene.people(much_later)[person]["state"] == "active"
    scene.take_login(CLEO)
    if how == "failed":
        scene.at(LATER + HOUR, "mailbox", "reconnect", CLEO, "--password-stdin")
    else:
        scene.connect(LATER + HOUR, CLEO)
    assert set(of_cleo(scene, LATER + HOUR)) == {SCHEDULED}
    _, sent = scene.passes(LATER + HOUR)
    assert person in sent[CLEO]


def test_c15_what_is_settled_as_not_sent_waits_in_error_for_a_mailbox_that_is_away(scene: Scene) -> None:
    stepwise(scene)
    lose(scene, "failed", DUE_AT)
    scene.passes(DUE_AT, status=5)
    scene.execute("UPDATE message SET state = 'held' WHERE state = 'error'")
    rows = scene.outbox(DUE_AT, "held", CLEO)
    scene.at(DUE_AT, "outbox", "resolve", *[row["id"] for row in rows], "--not-sent")
    assert of_cleo(scene, DUE_AT) == [CUT_OFF] * 3


def test_c15_a_retry_after_another_error_is_also_refused_while_the_mailbox_is_away(scene: Scene) -> None:
    stepwise(scene)
    lose(scene, "failed", DUE_AT)
    scene.passes(DUE_AT, status=5)
    scene.execute("UPDATE message SET error_class = 'message' WHERE state = 'error'")
    tried = scene.json(DUE_AT, "outbox", "retry", "--mailbox", CLEO, status=4)
    assert [row["reason"] for row in tried["refused"]] == [f"{CLEO} is failed; reconnect it first"] * 3
    assert of_cleo(scene, DUE_AT) == [("error", "message")] * 3


def sent_by(scene: Scene, instant: datetime) -> dict[str, list[str]]:
    scene.at(instant, "mailbox", "set", ANNA, "--daily-limit", "50")
    _, sent = scene.passes(instant)
    return {mailbox: sorted(people) for mailbox, people in sent.items()}


@pytest.mark.parametrize("planned_first", [True, False], ids=["planned", "due later"])
def test_b8_d9_field_44_a_removed_mailbox_that_only_a_step_names_is_replaced_in_that_step(
    scene: Scene, planned_first: bool
) -> None:
    stepwise(scene)
    if planned_first:
        plan_for_cleo(scene)
    (shown,) = scene.json(DUE_AT, "mailbox", "remove", CLEO, "--move-to", ANNA, "--dry-run")["campaigns"]
    assert (shown["campaign"], shown["steps"], shown["pauses"]) == ("stepwise", 1, False)
    scene.at(DUE_AT, "mailbox", "remove", CLEO, "--move-to", ANNA, "--yes")
    assert scene.json(DUE_AT, "campaign", "show", "stepwise")["state"] == "active"
    # What one lane plans for another may leave with the next pass.
    passes = [sent_by(scene, DUE_AT + minutes * MINUTE) for minutes in (1, 2)]
    assert [sent for sent in passes if sent] == [{ANNA: PEOPLE}]
    assert scene.states(DUE_AT + HOUR, "stepwise") == {"finished": 3}


def test_b8_e5_a_person_who_was_given_to_a_mailbox_by_send_from_moves_with_it(scene: Scene) -> None:
    person = moved_to_cleo(scene, "send-from")
    (shown,) = scene.json(LATER, "mailbox", "remove", CLEO, "--move-to", ANNA, "--dry-run")["campaigns"]
    assert (shown["campaign"], shown["failed"], shown["moved"]) == ("intro", 0, 1)
    scene.at(LATER, "mailbox", "remove", CLEO, "--move-to", ANNA, "--yes")
    assert scene.people(LATER)[person]["sender"] == ANNA
    assert person in sent_by(scene, LATER + HOUR)[ANNA]


def test_b8_e5_without_a_replacement_a_person_who_was_given_by_send_from_fails_and_is_reported(
    scene: Scene,
) -> None:
    person = moved_to_cleo(scene, "send-from")
    (shown,) = scene.json(LATER, "mailbox", "remove", CLEO, "--dry-run")["campaigns"]
    assert (shown["campaign"], shown["failed"], shown["moved"]) == ("intro", 1, 0)
    scene.at(LATER, "mailbox", "remove", CLEO, "--yes")
    found = scene.people(LATER)[person]
    assert (found["state"], found["reason"]) == ("failed", "mailbox_removed")
    scene.at(LATER, "recipient", "assign", "intro", "--from-sender", CLEO, "--to-sender", ANNA)
    assert person in sent_by(scene, LATER + HOUR)[ANNA]


def test_d9_a_campaign_starts_only_while_the_mailbox_that_a_step_names_is_connected(scene: Scene) -> None:
    connect_cleo(scene, FIRST_AT - HOUR)
    (scene.console.home / "stepwise.toml").write_text(STEPWISE.replace('"intro"', '"stepwise"'))
    scene.at(FIRST_AT, "campaign", "create", "stepwise.toml", "--from", BEN, by=UNA)
    scene.enrol(FIRST_AT, "stepwise", PEOPLE)
    lose(scene, "disconnected", FIRST_AT)
    error = scene.refused(FIRST_AT, "campaign", "start", "stepwise", by=UNA, status=4)
    assert error["code"] == "campaign.sender_disconnected"
    assert error["hint"] == f"mailrotate mailbox connect {CLEO}"
