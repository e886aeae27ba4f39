"""Every change of state there is, pair by pair (A7, A10, B8, C1, C9, D3, D6, F1, F3)."""

from collections.abc import Mapping
from enum import StrEnum

import pytest

from mailrotate.core.rules import transitions
from mailrotate.core.rules.transitions import Machine
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    DeadlineState,
    MessageState,
    RecipientState,
    RequestState,
    UserState,
)
from mailrotate.core.values.transition import Transition

MACHINES: dict[str, tuple[Machine, type[StrEnum]]] = {
    "campaign": (transitions.CAMPAIGN, CampaignState),
    "recipient": (transitions.RECIPIENT, RecipientState),
    "message": (transitions.MESSAGE, MessageState),
    "connection": (transitions.CONNECTION, ConnectionState),
    "deadline": (transitions.DEADLINE, DeadlineState),
    "user": (transitions.USER, UserState),
    "mailbox_request": (transitions.REQUEST, RequestState),
}
OPEN = "queued active"

# The states that an event may begin in, `new` for a row that is not there yet, and where it leads.
# Written out a second time, so that no slip in the tables goes unseen.
LEGAL: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "campaign": {
        "create": ("new", "draft"),
        "start": ("draft", "active"),
        "pause": ("active paused", "paused"),
        "resume": ("paused", "active"),
        "stop": ("active paused", "finished"),
    },
    "recipient": {
        "enrol": ("new", "queued"),
        "sent": (OPEN, "active"),
        "sent_last": (OPEN, "finished"),
        "campaign_stopped": (OPEN, "finished"),
        "removed": (OPEN, "finished"),
        "replied": (f"{OPEN} finished failed", "replied"),
        "bounced": (OPEN, "bounced"),
        "unsubscribed": (OPEN, "unsubscribed"),
        "failed": (OPEN, "failed"),
        "retried": ("failed", "active"),
        "mailbox_removed": (OPEN, "failed"),
        "taken_on": ("failed", "active"),
        "requeued": ("bounced unsubscribed", "queued"),
        "reopened": ("bounced unsubscribed", "active"),
        "sender_removed": (OPEN, "finished"),
        "cancelled": (OPEN, "finished"),
        "stopped": (OPEN, "stopped"),
    },
    "message": {
        "write": ("new", "draft"),
        "plan": ("new", "scheduled"),
        "schedule": ("draft", "scheduled"),
        "claim": ("scheduled", "sending"),
        "put_back": ("sending", "scheduled"),
        "settle_sent": ("sending held", "sent"),
        "settle_error": ("sending", "error"),
        "refuse": ("scheduled", "error"),
        "lose": ("sending", "held"),
        "retry": ("error", "scheduled"),
        "cut_off": ("scheduled", "error"),
        "reconnected": ("error", "scheduled"),
        "resolve_sent": ("held", "sent"),
        "resolve_not_sent": ("held", "scheduled"),
        "resolve_dropped": ("held", "cancelled"),
        "doubt": ("scheduled", "held"),
        "cancel": ("draft scheduled error", "cancelled"),
    },
    "connection": {
        "connect": ("new", "connected"),
        "fail": ("connected", "failed"),
        "recover": ("connected failed", "connected"),
        "disconnect": ("connected failed", "disconnected"),
    },
    "deadline": {
        "begin": ("new", "running"),
        "readded": ("running", "ended"),
        "recovered": ("running", "ended"),
        "converted": ("running", "ended"),
        "settled": ("running", "ended"),
        "campaign_ended": ("running", "ended"),
        "sender_removed": ("running", "ended"),
        "mailbox_removed": ("running", "ended"),
    },
    "user": {
        "add": ("new active locked", "active"),
        "lock": ("active", "locked"),
        "unlock": ("locked", "active"),
    },
    "mailbox_request": {
        "request": ("new", "requested"),
        "approve": ("requested", "approved"),
        "deny": ("requested", "denied"),
    },
}
PAIRS = [
    (name, state, event)
    for name, (machine, states) in MACHINES.items()
    for state in (None, *states)
    for event in machine
]


def test_every_event_of_every_machine_is_known() -> None:
    assert {name: set(events) for name, events in LEGAL.items()} == {
        name: set(machine) for name, (machine, _) in MACHINES.items()
    }


@pytest.mark.parametrize(("name", "state", "event"), PAIRS)
def test_every_pair_of_state_and_event_is_legal_or_refused(
    name: str, state: StrEnum | None, event: str
) -> None:
    transition = MACHINES[name][0][event]
    begins_in, leads_to = LEGAL[name][event]
    is_legal = transition.creates if state is None else state in transition.origins
    assert is_legal == ((state or "new") in begins_in.split())
    assert transition.target == leads_to
    assert (transition.machine, transition.event) == (name, event)


def ways_out(machine: Machine, state: StrEnum) -> set[StrEnum]:
    return {transition.target for transition in machine.values() if state in transition.origins} - {state}


def reached(machine: Machine) -> set[StrEnum]:
    seen = {transition.target for transition in machine.values() if transition.creates}
    left = [*seen]
    while left:
        for after in ways_out(machine, left.pop()) - seen:
            seen.add(after)
            left.append(after)
    return seen


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_can_be_reached(name: str) -> None:
    machine, states = MACHINES[name]
    assert reached(machine) == set(states)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("campaign", CampaignState.FINISHED),
        ("recipient", RecipientState.STOPPED),
        ("message", MessageState.SENT),
        ("message", MessageState.CANCELLED),
        ("deadline", DeadlineState.ENDED),
    ],
)
def test_c9_d6_f3_nothing_leaves_an_end(name: str, state: StrEnum) -> None:
    assert ways_out(MACHINES[name][0], state) == set()


@pytest.mark.parametrize("state", [RecipientState.BOUNCED, RecipientState.UNSUBSCRIBED])
def test_d6_f4_only_an_undone_refusal_leaves_the_end_that_it_made(state: RecipientState) -> None:
    leaving = {name for name, each in transitions.RECIPIENT.items() if state in each.origins}
    assert leaving == {"requeued", "reopened"}


def test_c9_stopped_comes_from_open_recipients_alone() -> None:
    assert to(transitions.RECIPIENT, RecipientState.STOPPED) == set(OPEN_RECIPIENTS)


def to(machine: Machine, state: StrEnum) -> set[StrEnum]:
    """The states that lead to one."""
    led = (transition for transition in machine.values() if transition.target is state)
    return {origin for transition in led for origin in transition.origins} - {state}


def test_d6_a_late_reply_is_recorded_over_these_four_states_and_no_other() -> None:
    assert set(transitions.RECIPIENT["replied"].origins) == {
        RecipientState.QUEUED,
        RecipientState.ACTIVE,
        RecipientState.FINISHED,
        RecipientState.FAILED,
    }


def test_f3_a_message_is_sent_only_from_sending_or_held() -> None:
    assert to(transitions.MESSAGE, MessageState.SENT) == {MessageState.SENDING, MessageState.HELD}
    assert ways_out(transitions.MESSAGE, MessageState.HELD) == {
        MessageState.SENT,
        MessageState.SCHEDULED,
        MessageState.CANCELLED,
    }


def test_f3_what_is_held_is_not_cancelled_when_its_recipient_ends() -> None:
    assert MessageState.HELD not in transitions.MESSAGE["cancel"].origins
    assert MessageState.SENDING not in transitions.MESSAGE["cancel"].origins


def test_c1_a_disconnected_mailbox_recovers_only_by_being_connected_anew() -> None:
    assert ConnectionState.DISCONNECTED not in transitions.CONNECTION["recover"].origins
    assert ConnectionState.DISCONNECTED not in transitions.CONNECTION["fail"].origins


def test_a_transition_is_a_value() -> None:
    """The store keeps a statement for each."""
    same = Transition("campaign", "start", (CampaignState.DRAFT,), CampaignState.ACTIVE)
    assert same == transitions.CAMPAIGN["start"]
    assert len({same, transitions.CAMPAIGN["start"]}) == 1
