"""Messages that are more than 7 days late when a command releases them (H4)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MAX, MINUTE, MONDAY, SECOND, SOLO, Scene

pytestmark = pytest.mark.proof

WEEK = 7 * DAY
LATE = LATER + 8 * DAY
# What one command says: 3 follow-ups and 2 first messages of Anna.
OF_ANNA_LATE = [{"campaign": "intro", "messages": 5, "parked": False}]


def parked(late: Any) -> Any:
    return [{**one, "parked": True} for one in late]


def away_until(scene: Scene, instant: datetime) -> None:
    """Let Anna's mailbox fail, while a runner works every few days."""
    scene.fail(ANNA)
    for days in range(0, (instant - LATER).days, 3):
        scene.passes(LATER + days * DAY + MINUTE, status=None)


def sent_by_anna(scene: Scene, instant: datetime) -> int:
    return len(scene.passes(instant, status=None)[1].get(ANNA, []))


def test_h4_field_20_a_reconnect_says_how_many_messages_are_late_and_sends_them(scene: Scene) -> None:
    away_until(scene, LATE)
    scene.take_login(ANNA)
    said = scene.reconnect(LATE, ANNA).stdout
    assert (
        "5 messages of campaign 'intro' are more than 7 days late; to park them: "
        f"mailrotate mailbox reconnect {ANNA} --park-late"
    ) in said
    scene.at(LATE, "mailbox", "set", ANNA, "--daily-limit", "50")
    assert sent_by_anna(scene, LATE + MINUTE) == 5


def test_h4_field_20_a_reconnect_parks_late_messages_until_they_are_released(scene: Scene) -> None:
    people = scene.of(ANNA, MONDAY + HOUR)
    away_until(scene, LATE)
    assert scene.come_back(LATE, ANNA, "--park-late")["late"] == parked(OF_ANNA_LATE)
    scene.at(LATE, "mailbox", "set", ANNA, "--daily-limit", "50")
    for instant in (LATE + SECOND, LATE + HOUR):
        assert {scene.json(instant, "why", "intro", person)["binding"] for person in people} == {"overdue"}
        assert sent_by_anna(scene, instant + MINUTE) == 0
    said = scene.at(LATE + HOUR, "why", "intro", next(iter(people))).stdout
    assert "and parked by a user; release it to send it" in said
    released = scene.json(LATE + 2 * HOUR, "outbox", "release", "--campaign", "intro")
    assert released == {"campaign": "intro", "released": 5}
    assert sent_by_anna(scene, LATE + 2 * HOUR + MINUTE) == 5


def test_h4_a_reconnect_can_park_what_an_earlier_one_released(scene: Scene) -> None:
    """Until the next pass, the command that the hint names still comes in time."""
    away_until(scene, LATE)
    assert scene.come_back(LATE, ANNA)["late"] == OF_ANNA_LATE
    assert scene.come_back(LATE + SECOND, ANNA)["late"] == [], "it released nothing"
    assert scene.come_back(LATE + 2 * SECOND, ANNA, "--park-late")["late"] == parked(OF_ANNA_LATE)
    assert scene.come_back(LATE + 3 * SECOND, ANNA, "--park-late")["late"] == [], "parked already"
    assert sent_by_anna(scene, LATE + MINUTE) == 0


def test_h4_parked_messages_are_released_one_by_one_too(scene: Scene) -> None:
    away_until(scene, LATE)
    scene.come_back(LATE, ANNA, "--park-late")
    scene.passes(LATE + MINUTE)
    row = scene.outbox(LATE + MINUTE, "scheduled")[0]
    scene.at(LATE + HOUR, "outbox", "release", row["id"])
    assert scene.passes(LATE + HOUR)[1][ANNA] == [row["to"]]


@pytest.mark.parametrize(("after", "is_last_late"), [(WEEK, False), (WEEK + SECOND, True)])
def test_h4_field_20_exactly_seven_days_is_not_late_yet(
    scene: Scene, after: timedelta, is_last_late: bool
) -> None:
    scene.at(MONDAY + HOUR, "campaign", "pause", "intro")
    due = sorted(datetime.fromisoformat(row["next_at"]) for row in scene.people(MONDAY + HOUR).values())
    last = due.count(due[-1])
    resumed = scene.at(due[-1] + after, "campaign", "resume", "intro", "--json", standing=True).json()
    assert sum(one["messages"] for one in resumed["late"]) == len(due) - (0 if is_last_late else last)


def test_h4_field_20_a_resume_parks_late_people_whose_message_is_not_planned(scene: Scene) -> None:
    scene.at(MONDAY + HOUR, "campaign", "pause", "intro")
    for days in (3, 6, 9):
        scene.passes(MONDAY + days * DAY)
    assert len(scene.outbox(LATE, "scheduled")) == 2, "only Anna's first messages are planned"
    said = scene.at(LATE, "campaign", "resume", "intro").stdout
    assert (
        "10 messages of campaign 'intro' are more than 7 days late; to park them: "
        "mailrotate campaign pause intro, then mailrotate campaign resume intro --park-late"
    ) in said
    scene.at(LATE + SECOND, "campaign", "pause", "intro")
    late = scene.json(LATE + 2 * SECOND, "campaign", "resume", "intro", "--park-late")["late"]
    assert late == [{"campaign": "intro", "messages": 10, "parked": True}]
    assert scene.json(LATE + MINUTE, "campaign", "show", "intro")["next_send_at"] is None
    assert scene.passes(LATE + MINUTE)[1] == {}
    new = "new@life.example.com"
    scene.enrol(LATE + HOUR, "intro", [new])
    assert [new] in scene.passes(LATE + HOUR)[1].values(), "what is not late goes on"
    assert scene.json(LATE + 2 * HOUR, "outbox", "release", "--campaign", "intro")["released"] == 10
    scene.at(LATE + 2 * HOUR, "mailbox", "set", ANNA, "--daily-limit", "50")
    _, sent = scene.passes(LATE + 2 * HOUR + MINUTE)
    assert (len(sent[ANNA]), len(sent[BEN])) == (5, 5)


def test_h4_a_resume_leaves_out_what_a_failed_sender_cannot_send(scene: Scene) -> None:
    scene.at(LATER, "campaign", "pause", "intro")
    away_until(scene, LATE)
    late = scene.json(LATE, "campaign", "resume", "intro")["late"]
    assert late == [{"campaign": "intro", "messages": 5, "parked": False}], "Ben's"


def test_h4_c8_a_resume_leaves_out_what_waits_for_a_sender_to_be_added_again(scene: Scene) -> None:
    scene.at(MONDAY + HOUR, "campaign", "pause", "intro")
    scene.disconnect(ANNA, LATE)
    scene.connect(LATE + MINUTE, ANNA)
    late = scene.json(LATE + 2 * MINUTE, "campaign", "resume", "intro", "--without", ANNA)["late"]
    assert late == [{"campaign": "intro", "messages": 5, "parked": False}], "Ben's"


def test_h4_an_unlock_parks_the_late_messages_of_that_users_mailboxes_only(scene: Scene) -> None:
    scene.at(LATER, "user", "lock", MAX, "--yes")
    for days in (0, 3, 6):
        scene.passes(LATER + days * DAY)
    found = scene.json(LATE, "user", "unlock", MAX, "--park-late")["late"]
    assert found == [{"campaign": "intro", "messages": 5, "parked": True}]
    assert BEN not in scene.passes(LATE + MINUTE)[1]
    scene.at(LATE + HOUR, "outbox", "release", "--campaign", "intro")
    assert len(scene.passes(LATE + HOUR)[1][BEN]) == 5


def test_h4_an_unlock_says_how_many_messages_are_late(scene: Scene) -> None:
    scene.at(LATER, "user", "lock", MAX, "--yes")
    for days in (0, 3, 6):
        scene.passes(LATER + days * DAY)
    assert (
        f"to park them: mailrotate user unlock {MAX} --park-late"
        in scene.at(LATE, "user", "unlock", MAX).stdout
    )
    assert scene.json(LATE, "user", "unlock", MAX)["late"] == [], "it was not locked"


def test_h4_a_connect_that_resumes_parks_the_late_messages_of_a_single_sender(
    scene_with_solo: Scene,
) -> None:
    scene = scene_with_solo
    scene.disconnect()
    for days in (0, 3, 6):
        scene.passes(LATER + days * DAY)
    found = scene.connect(LATE, ANNA, "--resume", "--park-late", "--json").json()["late"]
    assert found == [{"campaign": "solo", "messages": len(SOLO), "parked": True}]
    assert sent_by_anna(scene, LATE + MINUTE) == 0
    scene.at(LATE + HOUR, "outbox", "release", "--campaign", "solo")
    assert sent_by_anna(scene, LATE + HOUR) == len(SOLO)


def test_h4_what_is_paused_still_is_told_by_the_resume(scene_with_solo: Scene) -> None:
    scene = scene_with_solo
    away_until(scene, LATE)
    assert [one["campaign"] for one in scene.come_back(LATE, ANNA)["late"]] == ["intro"]
    assert scene.json(LATE + SECOND, "campaign", "resume", "solo")["late"] == [
        {"campaign": "solo", "messages": len(SOLO), "parked": False}
    ]


def test_h4_within_seven_days_nothing_is_late(scene: Scene) -> None:
    away_until(scene, LATER + DAY)
    assert scene.come_back(LATER + DAY, ANNA)["late"] == []
