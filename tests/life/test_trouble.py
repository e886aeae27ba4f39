"""What has gone wrong elsewhere when a mailbox fails or comes back (A3, C1, C2, C3, C15, F4)."""

from typing import Any

import pytest

from tests.life.scene import ANNA, BEN, DAY, HOUR, LATER, MINUTE, PASSWORD, UNA, Scene
from tests.support.scripted_smtp import answers
from tests.support.webhook_server import Receiver

pytestmark = pytest.mark.proof


def test_a3_field_02_every_list_tells_the_same_state_of_a_failed_mailbox(
    scene: Scene, receiver: Receiver
) -> None:
    scene.at(LATER, "webhook", "add", receiver.url, "--event", "mailbox.failed")
    scene.fail(ANNA)
    scene.passes(LATER + MINUTE, status=None)
    (slot,) = (user for user in scene.json(LATER, "slot", "list")["users"] if user["user"] == UNA)
    assert (slot["connected"], slot["total"]) == (1, 2), "connected or failed"
    (listed,) = (box for box in scene.json(LATER, "mailbox", "list") if box["address"] == ANNA)
    senders = scene.json(LATER, "campaign", "show", "intro")["senders"]
    (sender,) = (each for each in senders if each["address"] == ANNA)
    (box,) = (each for each in scene.json(LATER, "status")["mailboxes"] if each["address"] == ANNA)
    (posted,) = receiver.posted
    states = (listed["state"], sender["state"], box["state"], posted.json()["mailbox"]["state"])
    assert states == ("failed",) * 4


def test_c1_field_03_smtp_alone_is_no_recovery(scene: Scene) -> None:
    scene.office.refuse_imap(ANNA)
    scene.fail(ANNA)
    errors = [row["id"] for row in scene.outbox(LATER, "error")]
    scene.take_login(ANNA)
    scene.at(LATER + HOUR, "mailbox", "test", ANNA, status=5)
    assert scene.json(LATER + HOUR, "mailbox", "show", ANNA)["state"] == "failed"
    assert [row["id"] for row in scene.outbox(LATER + HOUR, "error")] == errors
    assert [row["kind"] for row in scene.deadlines(LATER + HOUR)] == ["failure"]
    events = [row["action"] for row in scene.json(LATER + HOUR, "log") if row["mailbox"] == ANNA]
    assert events.count("mailbox.failed") == 1
    assert "mailbox.recovered" not in events


@pytest.mark.parametrize("words", [("run", "--once", "--only", "sync"), ("run", "--once")])
def test_c2_field_04_a_mailbox_fails_by_whatever_is_refused_its_login_first(
    scene: Scene, words: tuple[str, ...]
) -> None:
    scene.at(LATER, "mailbox", "pause", ANNA)
    scene.at(LATER, "mailbox", "test", ANNA)
    scene.office.refuse_imap(ANNA)
    scene.at(LATER + 10 * MINUTE, *words, status=None)
    assert scene.json(LATER + 10 * MINUTE, "mailbox", "show", ANNA)["state"] == "failed"


@pytest.mark.parametrize(
    "phase",
    [{"auth": answers("454 4.7.0 Too many login attempts")}, {"mail": answers("421 4.7.0 slow down")}],
)
def test_f4_field_05_a_limit_is_a_hold_and_no_failure(scene: Scene, phase: dict[str, Any]) -> None:
    with scene.misbehaving(ANNA, phase):
        report, sent = scene.passes(LATER, status=None)
    shown = scene.json(LATER, "mailbox", "show", ANNA)
    assert shown["state"] == "connected"
    assert shown["hold_reason"] is not None
    assert (sent.get(ANNA), report["notified"]) == (None, 0)
    assert scene.pauses(LATER) == []
    assert scene.deadlines(LATER) == []
    assert scene.outbox(LATER, "error") == []


def test_c6_field_24_nothing_of_a_failure_is_left_in_sight_after_it(scene_with_solo: Scene) -> None:
    scene = scene_with_solo
    scene.fail(ANNA)
    assert "535" in scene.at(LATER, "status").stdout
    scene.come_back(LATER + HOUR, ANNA, "--resume")
    shown = scene.json(LATER + HOUR, "mailbox", "show", ANNA)
    assert (shown["last_error"], shown["failed_at"], shown["deadlines"]) == (None, None, [])
    status = scene.at(LATER + HOUR, "status").stdout
    assert "535" not in status
    assert "mailbox_failed" not in status
    assert scene.json(LATER + HOUR, "campaign", "show", "solo")["pause_reasons"] == []
    listed = scene.json(LATER + HOUR, "campaign", "list")
    assert {row["name"]: row["state"] for row in listed} == {"intro": "active", "solo": "active"}


WAYS = {
    "reconnect": ("mailbox", "reconnect", ANNA, "--password-stdin"),
    "test": ("mailbox", "test", ANNA),
    "pass": ("run", "--once", "--only", "test"),
    "set": ("mailbox", "set", ANNA, "--password-stdin"),
}


@pytest.mark.parametrize("way", WAYS)
def test_c15_field_27_each_way_back_frees_the_errors_of_both_kinds_of_campaign(
    scene_with_solo: Scene, way: str
) -> None:
    """Also those that were added after the failure."""
    scene = scene_with_solo
    scene.fail(ANNA)
    before = {row["id"] for row in scene.outbox(LATER, "error")}
    scene.passes(LATER + MINUTE, status=None)
    errors = {row["id"] for row in scene.outbox(LATER + MINUTE, "error")}
    assert before < errors
    scene.take_login(ANNA)
    scene.at(LATER + HOUR, *WAYS[way])
    assert {row["id"] for row in scene.outbox(LATER + HOUR, "scheduled")} >= errors
    assert scene.outbox(LATER + HOUR, "error") == []
    assert scene.json(LATER + HOUR, "mailbox", "show", ANNA)["state"] == "connected"


def test_c10_field_31_trouble_removes_no_mailbox_no_secret_and_no_setting(scene: Scene) -> None:
    before = scene.json(LATER, "mailbox", "show", ANNA)
    scene.fail(ANNA)
    over = LATER + 9 * DAY + MINUTE
    scene.passes(over, status=None)
    shown = scene.json(over, "mailbox", "show", ANNA)
    assert shown["state"] == "failed"
    assert [shown[key] for key in ("settings", "slot", "default")] == [
        before[key] for key in ("settings", "slot", "default")
    ]
    back = scene.come_back(over, ANNA)
    assert [(row["campaign"], row["recipients"]) for row in back["stopped"]] == [("intro", 3)]


def test_c11_field_32_a_deadline_is_stored_once_and_no_later_refusal_moves_it(scene: Scene) -> None:
    scene.fail(ANNA)
    before = scene.deadlines(LATER)
    failed_at = scene.json(LATER, "mailbox", "show", ANNA)["failed_at"]
    for days in (1, 4):
        scene.at(LATER + days * DAY, "mailbox", "test", ANNA, status=5)
        scene.passes(LATER + days * DAY + MINUTE, status=None)
        assert scene.deadlines(LATER + days * DAY + MINUTE) == before
    assert scene.json(LATER + 4 * DAY, "mailbox", "show", ANNA)["failed_at"] == failed_at


def test_c3_field_33_a_reconnect_ends_a_failure_of_imap_alone_too(scene: Scene) -> None:
    scene.office.refuse_imap(ANNA)
    scene.at(LATER, "mailbox", "test", ANNA, status=5)
    assert [row["kind"] for row in scene.deadlines(LATER)] == ["failure"]
    scene.reconnect(LATER, ANNA, status=5)
    scene.office.add(ANNA, PASSWORD)
    scene.reconnect(LATER + HOUR, ANNA)
    shown = scene.json(LATER + HOUR, "mailbox", "show", ANNA)
    assert (shown["state"], shown["failed_at"], shown["last_error"]) == ("connected", None, None)
    assert scene.deadlines(LATER + HOUR) == []
    assert scene.outbox(LATER + HOUR, "error") == []


def test_c3_field_34_a_failed_mailbox_is_reconnected_and_not_connected(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.take_login(ANNA)
    told = scene.connect(LATER, ANNA, status=4)
    assert f"mailrotate mailbox reconnect {ANNA}" in told.stderr
    scene.disconnect()
    scene.connect(LATER, ANNA)


def test_h3_field_37_what_a_reconnect_frees_leaves_in_the_next_pass(scene: Scene) -> None:
    scene.fail(ANNA)
    scene.fail(BEN)
    scene.come_back(LATER + HOUR, ANNA, "--resume")
    next_at = scene.json(LATER + HOUR, "campaign", "show", "intro")["next_send_at"]
    assert next_at is not None
    assert next_at < "2031-03-05T13:02:00Z"
    _, sent = scene.passes(LATER + HOUR + MINUTE)
    assert len(sent[ANNA]) == 3
