"""What only an act opens is told with the command for it, and that command exists (F5)."""

import re
from typing import Any

import pytest

from mailrotate.core.rules.gates import Cause, Gate
from mailrotate.core.rules.situation import Obstacle
from mailrotate.core.values.delivery_window import DeliveryWindow
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import CampaignState, ConnectionState, MessageState, RecipientState
from tests.cli.test_hints import problem_with
from tests.unit.rules.test_gates import HOUR, NOW, closed_in, situation

BOX = "a@example.org"
BEHIND = Obstacle("restored", "this database is older than what was sent from it", Command("db", "adopt"))
BY_AN_ACT: list[tuple[Gate, dict[str, Any], str]] = [
    (Gate.WORKSPACE, {"mailbox__obstacle": BEHIND}, "db adopt"),
    (Gate.CAMPAIGN, {"campaign__state": CampaignState.DRAFT}, "campaign start spring"),
    (Gate.CAMPAIGN, {"campaign__state": CampaignState.PAUSED}, "campaign resume spring"),
    (Gate.PAUSE, {"campaign__pause_reasons": ("by_hand",)}, "campaign resume spring"),
    (Gate.CONNECTION, {"mailbox__connection": ConnectionState.FAILED}, f"mailbox reconnect {BOX}"),
    (Gate.CONNECTION, {"mailbox__connection": ConnectionState.DISCONNECTED}, f"mailbox connect {BOX}"),
    (Gate.USER, {"mailbox__locked_user": "mia@example.org"}, "user unlock mia@example.org"),
    (Gate.REST, {"mailbox__paused_at": NOW - HOUR}, f"mailbox resume {BOX}"),
    (Gate.HOLD, {"mailbox__hold_reason": "550 banned"}, f"mailbox release {BOX}"),
    (Gate.DAILY_LIMIT, {"mailbox__daily_limit": 0}, f"mailbox set {BOX} --daily-limit N"),
    (Gate.SLOT_CAP, {"mailbox__daily_cap": 0}, "plan set --daily-cap N"),
    (Gate.MESSAGE, {"message__state": MessageState.ERROR}, "outbox retry m_17"),
    (Gate.MESSAGE, {"message__state": MessageState.HELD}, "outbox resolve m_17 --sent"),
    (Gate.ASSIGNMENT, {"message__is_assigned": False}, "mailbox connect ADDRESS"),
    (Gate.GRACE, {"message__sender_is_away": True}, f"campaign sender add spring {BOX}"),
    (Gate.SUPPRESSION, {"message__suppression": ("a.org", "by_hand")}, "suppression remove a.org"),
    (Gate.INBOX, {"mailbox__inbox_failing_since": NOW - HOUR}, f"mailbox test {BOX}"),
    (Gate.INBOX, {"mailbox__inbox_read_at": None}, "run --once"),
    (Gate.OVERDUE, {"message__late_since": NOW - HOUR}, "outbox release m_17"),
    (
        Gate.OVERDUE,
        {"message__late_since": NOW - HOUR, "message__id": None},
        "outbox release --campaign spring",
    ),
]
# Nothing opens these again, no command does, or none should be offered.
FOR_GOOD: list[tuple[Gate, dict[str, Any]]] = [
    (Gate.CAMPAIGN, {"campaign__state": CampaignState.FINISHED}),
    (Gate.WINDOW, {"campaign__window": DeliveryWindow(unusable="pip install 'mailrotate[holidays]'")}),
    (
        Gate.RECIPIENT_WINDOW,
        {"message__window": DeliveryWindow(unusable="pip install 'mailrotate[holidays]'")},
    ),
    *(
        (Gate.MESSAGE, {"message__state": state})
        for state in MessageState
        if state not in (MessageState.SCHEDULED, MessageState.ERROR, MessageState.HELD)
    ),
    *(
        (Gate.RECIPIENT, {"message__recipient": state})
        for state in RecipientState
        if state not in (RecipientState.QUEUED, RecipientState.ACTIVE)
    ),
    (Gate.SUPPRESSION, {"message__suppression": ("kim@example.com", "unsubscribed")}),
]


def command_of(remedy: Command | Hint | None) -> str:
    assert remedy is not None
    first = remedy.parts[0] if isinstance(remedy, Hint) else remedy
    assert isinstance(first, Command)
    return " ".join(first.words)


@pytest.mark.parametrize(("gate", "changed", "command"), BY_AN_ACT)
def test_f5_a_gate_that_waits_for_an_act_names_a_command_that_exists(
    gate: Gate, changed: dict[str, Any], command: str
) -> None:
    (closed,) = closed_in(situation(**changed))
    assert (closed.gate, closed.until) == (gate, None)
    assert command_of(closed.remedy) == command
    assert problem_with(command.split()) is None


@pytest.mark.parametrize(("gate", "changed"), FOR_GOOD)
def test_f5_what_no_command_opens_names_none(gate: Gate, changed: dict[str, Any]) -> None:
    (closed,) = closed_in(situation(**changed))
    assert (closed.gate, closed.until, closed.remedy) == (gate, None, None)


def test_f5_every_gate_that_time_does_not_open_is_among_these() -> None:
    told = {gate for gate, *_ in (*BY_AN_ACT, *FOR_GOOD)}
    assert {gate for gate in Gate if gate.cause is not Cause.TIME} <= told


def test_f5_no_reason_holds_a_stored_code() -> None:
    for _, changed, *_ in (*BY_AN_ACT, *FOR_GOOD):
        for closed in closed_in(situation(**changed, message__recipient_reason="all_steps_sent")):
            assert not re.search(r"[a-z]_[a-z]", closed.reason)
