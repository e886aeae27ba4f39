"""Every change of state there is, pair by pair (C1, C9, D3, D6, F1, F3)."""

import itertools
from enum import StrEnum

import pytest

from mailrotate.core.rules import transitions
from mailrotate.core.rules.transitions import Machine, origins, outcome
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    MessageState,
    RecipientState,
    RequestState,
    UserState,
)

MACHINES: dict[str, tuple[Machine, type[StrEnum]]] = {
    "campaign": (transitions.CAMPAIGN, CampaignState),
    "recipient": (transitions.RECIPIENT, RecipientState),
    "message": (transitions.MESSAGE, MessageState),
    "connection": (transitions.CONNECTION, ConnectionState),
    "user": (transitions.USER, UserState),
    "request": (transitions.REQUEST, RequestState),
}
PAIRS = [
    (name, state, event)
    for name, (machine, states) in MACHINES.items()
    for state, event in itertools.product(states, machine)
]


@pytest.mark.parametrize(("name", "state", "event"), PAIRS)
def test_every_pair_of_state_and_event_is_in_the_table_or_refused(
    name: str, state: StrEnum, event: str
) -> None:
    machine, states = MACHINES[name]
    assert (state.value in origins(machine, event)) == (state in machine[event])
    if state in machine[event]:
        assert machine[event][state] in states
        assert outcome(machine, event) == machine[event][state]


def ways_out(machine: Machine, state: StrEnum) -> set[StrEnum]:
    return {moves[state] for moves in machine.values() if state in moves} - {state}


def reached(machine: Machine, start: StrEnum) -> set[StrEnum]:
    seen, left = {start}, [start]
    while left:
        for after in ways_out(machine, left.pop()) - seen:
            seen.add(after)
            left.append(after)
    return seen


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("campaign", CampaignState.DRAFT),
        ("recipient", RecipientState.QUEUED),
        ("connection", ConnectionState.CONNECTED),
        ("message", MessageState.DRAFT),
    ],
)
def test_every_state_can_be_reached_from_the_first(name: str, start: StrEnum) -> None:
    machine, states = MACHINES[name]
    assert reached(machine, start) == set(states)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("campaign", CampaignState.FINISHED),
        ("recipient", RecipientState.STOPPED),
        ("recipient", RecipientState.BOUNCED),
        ("recipient", RecipientState.UNSUBSCRIBED),
        ("message", MessageState.SENT),
        ("message", MessageState.CANCELLED),
    ],
)
def test_c9_d6_f3_nothing_leaves_an_end(name: str, state: StrEnum) -> None:
    assert ways_out(MACHINES[name][0], state) == set()


def test_c9_stopped_comes_from_open_recipients_alone() -> None:
    assert set(transitions.RECIPIENT["stopped"]) == set(OPEN_RECIPIENTS)


def test_d6_a_late_reply_is_recorded_over_these_four_states_and_no_other() -> None:
    assert set(transitions.RECIPIENT["replied"]) == {
        RecipientState.QUEUED,
        RecipientState.ACTIVE,
        RecipientState.FINISHED,
        RecipientState.FAILED,
    }


def test_f3_a_message_is_sent_only_from_sending_or_held() -> None:
    to_sent = {
        state
        for moves in transitions.MESSAGE.values()
        for state, to in moves.items()
        if to == MessageState.SENT
    }
    assert to_sent == {MessageState.SENDING, MessageState.HELD}
    assert ways_out(transitions.MESSAGE, MessageState.HELD) == {
        MessageState.SENT,
        MessageState.SCHEDULED,
        MessageState.CANCELLED,
    }


def test_f3_what_is_held_is_not_cancelled_when_its_recipient_ends() -> None:
    assert MessageState.HELD not in transitions.MESSAGE["cancel"]
    assert MessageState.SENDING not in transitions.MESSAGE["cancel"]


def test_c1_a_disconnected_mailbox_recovers_only_by_being_connected_anew() -> None:
    assert ConnectionState.DISCONNECTED not in transitions.CONNECTION["recover"]
    assert ConnectionState.DISCONNECTED not in transitions.CONNECTION["fail"]
